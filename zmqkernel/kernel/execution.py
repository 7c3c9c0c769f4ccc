"""The main thread: waits for requests, executes cells, and is interrupted.

A cell: ``execute_input``, user code and its outputs, ``execute_reply``; busy and idle around it are dispatch's.
"""

from __future__ import annotations

import os
import re
import signal
import sys

# Not signal.signal: that costs ten times as much, twice for every cell.
from _signal import signal as set_handler  # pyright: ignore[reportMissingImports]
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from keyword import iskeyword
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from ..protocol.messages import ExecuteReply, ExecuteRequest, Metadata, Ours
from . import log
from .loop import UserLoop
from .origin import executed_at
from .ownership import Owner, current, set_foreground

if TYPE_CHECKING:
    from .dispatch import Kernel, Request
    from .shell import ZMQInteractiveShell

PAUSE = 2.0
"""Seconds without a request after which the history is written to disk."""

_SPECIAL = re.compile(r"[%!?]|\A\s|^\s*[,;/]|\A(>>>|In \[|\.\.\.)", re.MULTILINE)
"""What IPython's own transformations look for: magics, shell commands, help, escapes, indentation and prompts."""
_SIGINT = int(signal.SIGINT)

_decode = msgspec.json.Decoder(ExecuteRequest).decode
_decode_metadata = msgspec.json.Decoder(Metadata).decode
_encode = msgspec.json.encode


class MainLane:
    """The queue of the main thread. Idle, it waits on the queue, or inside the user's event loop once there can be one."""

    def __init__(self) -> None:
        self.loop = UserLoop()
        self.interrupts = Interrupts(self.waiting)
        self.pause: Callable[[], None] | None = None
        """Called once, when nothing came for PAUSE seconds."""
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._held: deque[Request | None] = deque()
        self._end_waiting: Callable[[], None] | None = None
        self._closed = False

    def close(self) -> None:
        """End :meth:`run` after the request that is served now; any thread may call it."""
        self._closed = True
        self.put(None)

    def put(self, request: Request | None) -> None:
        """Hand over a request from any thread."""
        self._queue.put(request)
        if self._end_waiting:
            self._end_waiting()

    def waiting(self) -> bool:
        """Is there a request that was not begun?"""
        return bool(self._held) or not self._queue.empty()

    def run(self, kernel: Kernel) -> None:
        """Serve requests until shutdown or ``exit``."""
        process = os.getpid()
        while (request := self.next()) and not self._closed:
            kernel.execute(request)
            if os.getpid() != process:
                leave_child(kernel)
            if kernel.shell.exit_now:
                return

    def next(self) -> Request | None:
        """Wait for a request."""
        while True:
            try:
                try:
                    return self._wait()
                except Empty:
                    if self.pause:
                        pause, self.pause = self.pause, None
                        pause()
            except Exception:  # noqa: BLE001 - a signal handler of user code raised (SIGCHLD: for a child of ours): we wait on
                log.bug("something was raised while no cell ran")

    def _wait(self) -> Request | None:
        if self._held:
            return self._held.popleft()
        seconds = PAUSE if self.pause else None
        if "asyncio" in sys.modules and self.loop.wait(self.waiting, seconds, self._wake_with):
            return self._queue.get_nowait()
        return self._queue.get(timeout=seconds)

    def abort(self, session: str) -> None:
        """Mark the execute_requests of one client's session that wait now: they are answered, but not executed."""
        while not self._queue.empty():
            self._held.append(self._queue.get())
        for request in self._held:
            if request and request.message.header.session == session:
                request.aborted = True

    def _wake_with(self, function: Callable[[], None] | None) -> None:
        self._end_waiting = function


def leave_child(kernel: Kernel) -> NoReturn:
    """End a process that user code forked, and that has come to the end of the cell: there is nothing that it could wait for.

    Without exit handlers: they would remove the parent's files and write its history.
    """
    import ctypes

    ctypes.CDLL(None).fflush(None)
    os._exit(1 if kernel.shell.last_error else 0)


class Interrupts:
    """SIGINT: a KeyboardInterrupt for user code, nothing at all for the kernel. Main thread only.

    While user code runs the handler is Python's own (so ``asyncio.run()`` can put its own in its place). In between it
    only remembers an interrupt when requests are waiting: the user has seen them sent, and means the first of them.
    """

    def __init__(self, waiting: Callable[[], bool]) -> None:
        self.armed = False
        """User code runs."""
        self._waiting = waiting
        self._next = False

    def install(self) -> None:
        """From now on SIGINT never ends or disturbs the kernel itself."""
        set_handler(_SIGINT, self._between_cells)

    def arm(self) -> None:
        """User code begins. Raises KeyboardInterrupt when an interrupt came while this request waited."""
        set_handler(_SIGINT, signal.default_int_handler)
        self.armed = True
        if self._next:
            self._next = False
            raise KeyboardInterrupt

    def disarm(self) -> None:
        """User code has ended. An interrupt that comes now is too late for it."""
        while True:
            try:
                set_handler(_SIGINT, self._between_cells)
                self.armed = False
                return
            except KeyboardInterrupt:
                continue  # it came between the end of the code and this line

    def _between_cells(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if not self._waiting():
            return
        asyncio = sys.modules.get("asyncio")
        if asyncio and asyncio._get_running_loop() and asyncio.current_task():
            raise KeyboardInterrupt  # a background task that does not let go of the loop stands before the request
        self._next = True


def execute(kernel: Kernel, request: Request) -> ExecuteReply:
    """Execute."""
    message, shell, outlet = request.message, kernel.shell, kernel.outlet
    asked = _decode(message.content_json)
    if request.aborted:
        return ExecuteReply("aborted", shell.execution_count - 1)
    header = message.header
    owner = Owner(
        header.msg_id,
        header.msg_id.encode()[:200],
        message.header_json,
        message.idents,
        asked.allow_stdin,
        header.session,
    )
    set_foreground(owner)
    current.set(owner)
    outlet.settle(owner)
    ours = _decode_metadata(message.metadata_json).zmqkernel if b'"zmqkernel"' in message.metadata_json else None
    if not asked.silent:
        announced = kernel.wire.message(
            "execute_input",
            _encode({"code": asked.code, "execution_count": shell.execution_count}),
            parent=message.header_json,
            metadata=_encode({"zmqkernel": ours})
            if ours
            else None,  # who sent it and from where, for everybody who sees it
            idents=kernel.input_topic,
        )
        outlet.send("iopub", announced, soon=True)
    reply = _run(kernel, asked, ours)
    outlet.settle(owner)
    if kernel.mirror is not None:
        kernel.mirror.ran(header.msg_id, reply.execution_count or 0, asked.code, failed=reply.status != "ok")
    if reply.status == "error" and asked.stop_on_error and not asked.silent:
        kernel.sweep()
        kernel.main.abort(owner.session)
    return reply


def _run(kernel: Kernel, asked: ExecuteRequest, ours: Ours | None) -> ExecuteReply:
    """What ``InteractiveShell.run_cell`` does, without its second compilation and its copies of what is printed."""
    shell, code, silent = kernel.shell, asked.code, asked.silent
    store_history = not silent and asked.store_history is not False
    expressions: dict[str, Any] = {}
    result = failure = None
    shell.last_error, shell.display_failed = None, False
    try:
        kernel.interrupts.arm()
        with executed_at(shell, ours.origin, code) if ours and ours.origin else nullcontext():
            try:
                cell = code + "\n" if is_plain(code, shell) else shell.transform_cell(code)
            except Exception:  # noqa: BLE001 - the user's: IPython shows it as the cell's error
                cell, failure = code, sys.exc_info()
            running = shell.run_cell_async(
                code, store_history, silent, transformed_cell=cell, preprocessing_exc_tuple=failure
            )
            try:
                # Without one of these words it cannot be asynchronous; else IPython compiles it to find out.
                if ("await" in cell or "async" in cell) and shell.should_run_async(
                    code, transformed_cell=cell, preprocessing_exc_tuple=failure
                ):
                    result = (shell.trio_runner or shell.loop_runner)(running)
                else:
                    running.send(None)
            except StopIteration as ended:  # how a coroutine that awaits nothing returns
                result = ended.value
            finally:
                shell.events.trigger("post_execute")
                if not silent:
                    shell.events.trigger("post_run_cell", result)
        if asked.user_expressions and result and result.success:
            expressions = shell.user_expressions(asked.user_expressions)
    except BaseException:  # noqa: BLE001 - it hit IPython around the user's code, or an interrupt came while the request waited
        shell.showtraceback()
    finally:
        kernel.interrupts.disarm()
    if store_history:
        kernel.main.pause = shell.save_history
    return shell.reply(result, expressions)


def is_plain(code: str, shell: ZMQInteractiveShell) -> bool:
    """Is this Python and nothing else? IPython tokenizes every cell four times to find out."""
    if _SPECIAL.search(code):
        return False
    # Single lines may be aliases, magics without their %, or exit: but not when they begin with a keyword.
    if "\n" not in code.rstrip() and not iskeyword(code.partition(" ")[0].rstrip()):
        return False
    all_of_it = shell.input_transformer_manager
    own = (all_of_it.cleanup_transforms, all_of_it.line_transforms, all_of_it.token_transformers)
    return shell.own_transformers == own and not shell.input_transformers_post
