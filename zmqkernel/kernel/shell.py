"""IPython's shell, talking to the outlet instead of a terminal. IPython is imported here and in display.py only."""

from __future__ import annotations

import os
import re
import traceback
from contextlib import AbstractContextManager, nullcontext
from keyword import iskeyword
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

_SPECIAL = re.compile(r"[%!?]|\A\s|^\s*[,;/]|\A(>>>|In \[|\.\.\.)", re.MULTILINE)
"""What IPython's own transformations look for: magics, shell commands, help, escapes, indentation and prompts."""


class DocumentCompiler(CachingCompiler):
    """IPython's compiler; while ``place`` is set, the cell gets the name and the lines of its document (see origin.py)."""

    place: Place | None = None
    executed = ExecutedText()

    def __init__(self) -> None:
        super().__init__()
        self._blank = ("", 0)

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        raw = transformed_code if raw_code is None else raw_code
        line = self.place.line_of(raw) if self.place else None
        if self.place is None or line is None:
            return super().cache(transformed_code, number, raw_code)
        code = raw.lstrip()
        line += raw[: len(raw) - len(code)].count("\n")  # IPython drops leading blank lines
        # A cell magic becomes one line: then the text to show is the user's. Else it is what was compiled.
        shown = transformed_code if transformed_code.count("\n") >= code.rstrip().count("\n") else code
        self.executed.record(self.place.name, line, shown)
        self._blank = (self.place.name, line)
        return self.place.name

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> ast.AST:
        name, line = self._blank
        if filename == name:
            source = "\n" * line + source  # rather than shifting the tree: a SyntaxError has the right line as well
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
    keepkernel_on_exit = None

    def __init__(self, kernel: Kernel, **kwargs: Any) -> None:
        runners = InteractiveShell.loop_runner_map
        self.loop_runner_map = {**runners, "asyncio": (kernel.main.loop, True)}
        self.last_error: Error | None = None
        self._display_failed = False
        super().__init__(kernel=kernel, **kwargs)
        self.loop_runner = kernel.main.loop
        # For good, not for each cell: get_ipython() and display() are there for threads and tasks between cells as well.
        self.builtin_trap.__enter__()
        own = self.input_transformer_manager
        self._own_transformers = [*own.cleanup_transforms], [*own.line_transforms], [*own.token_transformers]
        # tqdm asks the configuration whether it runs in a notebook.
        self.config.setdefault("IPKernelApp", {})

    # --- one cell ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A cell begins."""
        self.last_error = None
        self._display_failed = False

    def reply(self, result: ExecutionResult | None, expressions: dict[str, Any]) -> ExecuteReply:
        """The content of the execute_reply; ``result`` is None when the cell was interrupted around user code."""
        reply = ExecuteReply("ok", self.execution_count - 1, self.payload_manager.read_payload(), expressions)
        self.payload_manager.clear_payload()
        if result is None or not result.success or self._display_failed:
            error = self.last_error
            if error is None:  # IPython only prints some: a magic's UsageError
                cause = result and (result.error_before_exec or result.error_in_exec)
                error = Error(type(cause).__name__, str(cause), [])
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
        try:
            text = str(evalue)
        except Exception:  # user code: the error must be shown though its __str__ raises
            text = "<the exception cannot be shown: its __str__ raised>"
        self.last_error = Error(etype.__name__, text, stb)
        self._display_failed = self._display_failed or self.displayhook.is_active
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

    def transform_cell(self, raw_cell: str) -> str:
        # IPython tokenizes every cell four times, looking for what a regular expression can rule out in plain Python.
        if self._is_plain(raw_cell):
            return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"
        return super().transform_cell(raw_cell)

    def _is_plain(self, cell: str) -> bool:
        transformers = self.input_transformer_manager
        return (
            not _SPECIAL.search(cell)
            # Single lines may be aliases, magics without their %, or exit: but not when they begin with a keyword.
            and ("\n" in cell.rstrip() or iskeyword(cell.partition(" ")[0].rstrip()))
            and self._own_transformers
            == (transformers.cleanup_transforms, transformers.line_transforms, transformers.token_transformers)
            and not self.input_transformers_post
        )

    def should_run_async(self, raw_cell: str, *, transformed_cell: str | None = None, **keys: Any) -> bool:
        # IPython compiles the cell to find out. Without one of these words it cannot be asynchronous.
        text = transformed_cell or raw_cell
        if "await" not in text and "async" not in text:
            return False
        return super().should_run_async(raw_cell, transformed_cell=transformed_cell, **keys)

    # --- what a front end does instead of a terminal -----------------------------------------------------------------

    def init_environment(self) -> None:
        """Child processes may use colours, and no pager: nobody could press its keys."""
        colours = {"TERM": "xterm-color", "CLICOLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}
        os.environ.update({**colours, "PAGER": "cat", "GIT_PAGER": "cat"})

    def init_hooks(self) -> None:
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(self._page), 99)

    def _page(self, text: str | dict[str, Any], start: int = 0, screen_lines: int = 0, pager_cmd: object = None) -> None:
        del screen_lines, pager_cmd
        data = text if isinstance(text, dict) else {"text/plain": text}
        self.payload_manager.write_payload({"source": "page", "data": data, "start": max(0, start)})

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Put text into the front end's next input."""
        self.payload_manager.write_payload({"source": "set_next_input", "text": text, "replace": replace})

    def ask_exit(self) -> None:
        """``exit`` and ``quit``: the kernel leaves after this cell."""
        self.exit_now = not self.keepkernel_on_exit
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": bool(self.keepkernel_on_exit)})

    def enable_gui(self, gui: str | None = None) -> None:
        if gui not in (None, "inline", "auto", "agg"):
            raise UsageError(f"zmqkernel runs no GUI event loop ({gui}); use %matplotlib inline")

    def get_parent(self) -> dict[str, Any]:
        """The request that owns what runs now, as ipykernel's shell gives it."""
        return self.kernel.get_parent()

    @default("exiter")
    def _default_exiter(self) -> ZMQExitAutocall:
        return ZMQExitAutocall(self)
