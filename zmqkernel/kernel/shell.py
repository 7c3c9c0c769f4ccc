"""IPython's shell, talking to the outlet instead of a terminal. IPython is imported here and in display.py only."""

from __future__ import annotations

import os
import traceback
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from IPython.core import page
from IPython.core.autocall import ZMQExitAutocall
from IPython.core.compilerop import CachingCompiler
from IPython.core.error import UsageError
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets import Any as AnyTrait
from traitlets import Bool, Instance, Type, default

from ..protocol.messages import Error, ExecuteReply
from .display import OutletDisplayHook, OutletDisplayPublisher
from .origin import ExecutedText, Place
from .ownership import owner

if TYPE_CHECKING:
    import ast

    from .dispatch import Kernel


class DocumentCompiler(CachingCompiler):
    """IPython's compiler; between ``enter`` and ``leave`` the cell gets the name and the lines of its document."""

    def __init__(self) -> None:
        super().__init__()
        self._executed = ExecutedText()
        self._place = Place("", 0, "")
        self._line = 0

    def enter(self, place: Place) -> None:
        """The next cell stands at ``place``. Other cells go IPython's way, without a detour through here."""
        self._place = place
        self.cache = self._cache_in_document
        self.ast_parse = self._parse_in_document

    def leave(self) -> None:
        """Undo ``enter``."""
        del self.cache, self.ast_parse

    def _cache_in_document(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        raw = transformed_code if raw_code is None else raw_code
        line = self._place.line_of(raw)
        if line is None:
            return super().cache(transformed_code, number, raw_code)
        code = raw.lstrip()
        self._line = line + raw[: len(raw) - len(code)].count("\n")  # IPython drops leading blank lines
        # A cell magic becomes one line: then the text to show is the user's. Else it is what was compiled.
        shown = transformed_code if transformed_code.count("\n") >= code.rstrip().count("\n") else code
        self._executed.record(self._place.name, self._line, shown)
        return self._place.name

    def _parse_in_document(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> ast.AST:
        if filename == self._place.name:
            source = (
                "\n" * self._line + source
            )  # rather than shifting the tree: a SyntaxError has the right line as well
        return super().ast_parse(source, filename, symbol)


class CellHistory(HistoryManager):
    """IPython's history, written in pauses (see ``save_history``): a commit would be the dearest part of a small cell."""

    # Set for every cell. As traits they would be checked each time; nobody observes or configures them.
    _i00 = _i = _ii = _iii = ""  # pyright: ignore[reportAssignmentType]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.db_cache_size = 1_000_000
        self._stop_save_thread()  # the main thread writes
        self.using_thread = False


class ZMQInteractiveShell(InteractiveShell):
    """Named like ipykernel's: rich, tqdm, plotly and others look for this name to know that they may display HTML."""

    displayhook_class = Type(OutletDisplayHook)
    display_pub_class = Type(OutletDisplayPublisher)
    compiler_class = Type(DocumentCompiler)
    autoindent = Bool(False)
    exiter = Instance(ZMQExitAutocall)
    kernel = AnyTrait()
    compile: DocumentCompiler
    payload_manager: Any
    extension_manager: Any
    keepkernel_on_exit = None

    def __init__(self, kernel: Kernel, **kwargs: Any) -> None:
        runners = InteractiveShell.loop_runner_map
        self.loop_runner_map = {**runners, "asyncio": (kernel.main.loop, True)}
        self.last_error: Error | None = None
        self.display_failed = self._made = False
        self._completer: Any = None
        super().__init__(kernel=kernel, **kwargs)
        self.loop_runner = kernel.main.loop
        # For good, not for each cell: get_ipython() and display() are there for threads and tasks between cells as well.
        self.builtin_trap.__enter__()
        own = self.input_transformer_manager
        self.own_transformers = [*own.cleanup_transforms], [*own.line_transforms], [*own.token_transformers]
        # tqdm asks the configuration whether it runs in a notebook.
        self.config.IPKernelApp.tqdm = "zmqkernel"
        self._made = True

    # --- one cell ----------------------------------------------------------------------------------------------------

    def reply(self, result: ExecutionResult | None, expressions: dict[str, Any]) -> ExecuteReply:
        """The content of the execute_reply; ``result`` is None when the cell was interrupted around user code."""
        reply = ExecuteReply("ok", self.execution_count - 1, self.payload_manager.read_payload(), expressions)
        self.payload_manager.clear_payload()
        if result is None or not result.success or self.display_failed:
            error = self.last_error
            if error is None:  # IPython only prints some: a magic's UsageError
                cause = result and (result.error_before_exec or result.error_in_exec)
                error = Error(type(cause).__name__, text_of(cause), [])
            reply.status = "error"
            reply.ename, reply.evalue, reply.traceback = error.ename, error.evalue, error.traceback
        return reply

    def _tee(self, channel: str) -> AbstractContextManager[None]:
        # IPython would wrap write() for each cell and keep everything that is printed in memory for ever.
        del channel
        return nullcontext()

    # --- errors ------------------------------------------------------------------------------------------------------

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        try:
            kind, value, trace = self._get_exc_info(exc_tuple)
        except ValueError:  # no exception at all: IPython says so
            super().showtraceback(exc_tuple, *args, **kwargs)
            return
        if self.kernel.main.loop.interrupted and kind.__name__ == "CancelledError":
            kind, value = KeyboardInterrupt, KeyboardInterrupt()
            exc_tuple = (kind, value, trace)
        if isinstance(value, BaseExceptionGroup):  # IPython prints these to stderr, and no error message would go out
            self._showtraceback(kind, value, traceback.format_exception(kind, value, trace))
            return
        super().showtraceback(exc_tuple, *args, **kwargs)

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self.last_error = Error(etype.__name__, text_of(evalue), stb)
        self.display_failed = self.display_failed or self.displayhook.is_active
        cell = owner()
        self.kernel.outlet.settle(cell)
        self.kernel.publish("error", self.last_error, owner=cell)

    # --- what IPython does for every cell, made cheaper --------------------------------------------------------------

    execution_count: int = 1  # pyright: ignore[reportIncompatibleVariableOverride]  not a trait, as in CellHistory

    def init_history(self) -> None:
        self.history_manager = CellHistory(shell=self, parent=self)
        self.configurables.append(self.history_manager)

    def save_history(self) -> None:
        """Write what was executed since the last time to IPython's history file."""
        self.history_manager.writeout_cache()

    # --- IPython's completer: 10 ms and a megabyte that our own completion does not need ------------------------------

    def init_completer(self) -> None:
        """Put off until somebody asks: code that uses ``shell.Completer``, or ``%config``."""

    @property
    def Completer(self) -> Any:  # noqa: N802 - IPython's name
        if self._completer is None:
            super().init_completer()
        return self._completer

    @Completer.setter
    def Completer(self, completer: Any) -> None:  # noqa: N802
        self._completer = completer

    @property
    def configurables(self) -> list[Any]:
        """What ``%config`` knows."""
        if self._made and self._completer is None:
            super().init_completer()
        return self._configurables

    @configurables.setter
    def configurables(self, configurables: list[Any]) -> None:
        self._configurables = configurables

    # --- what a front end does instead of a terminal -----------------------------------------------------------------

    def init_environment(self) -> None:
        """Child processes may use colours, and no pager: nobody could press its keys."""
        colours = {"TERM": "xterm-color", "CLICOLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}
        os.environ.update({**colours, "PAGER": "cat", "GIT_PAGER": "cat"})

    def init_hooks(self) -> None:
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(self._page), 99)

    def _page(
        self, text: str | dict[str, Any], start: int = 0, screen_lines: int = 0, pager_cmd: object = None
    ) -> None:
        del screen_lines, pager_cmd
        data = text if isinstance(text, dict) else {"text/plain": text}
        self.payload_manager.write_payload({"source": "page", "data": data, "start": max(0, start)})

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Put text into the front end's next input."""
        self.payload_manager.write_payload({"source": "set_next_input", "text": text, "replace": replace})

    def ask_exit(self) -> None:
        """``exit`` and ``quit``: the kernel leaves after this cell; in a session only the front end does.

        There other clients use the kernel too, and everybody's variables are in it.
        """
        keep = bool(self.keepkernel_on_exit) or self.kernel.in_session
        self.exit_now = not keep
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": keep})

    def enable_gui(self, gui: str | None = None) -> None:
        if gui not in (None, "inline", "auto", "agg"):
            raise UsageError(f"zmqkernel runs no GUI event loop ({gui}); use %matplotlib inline")

    def get_parent(self) -> dict[str, Any]:
        """The request that owns what runs now, as ipykernel's shell gives it."""
        return self.kernel.get_parent()

    @default("exiter")
    def _default_exiter(self) -> ZMQExitAutocall:
        return ZMQExitAutocall(self)


def text_of(error: object) -> str:
    """``str(error)``, whatever the user's class makes of it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - user code: the error must be shown though its __str__ raises
        return "<the exception cannot be shown: its __str__ raised>"
