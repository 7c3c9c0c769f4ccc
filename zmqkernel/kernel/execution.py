"""The main thread: waits for requests, and executes cells.

A cell: ``execute_input``, user code, its outputs, ``execute_reply``; busy and idle around it are dispatch's.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec

from ..protocol.messages import ExecuteReply, ExecuteRequest, Metadata, Ours
from .loop import UserLoop
from .origin import executed_at
from .ownership import Owner, current, set_foreground

if TYPE_CHECKING:
    from .dispatch import Kernel, Request

PAUSE = 2.0
"""Seconds without a request after which the history is written to disk."""

_decode = msgspec.json.Decoder(ExecuteRequest).decode
_decode_metadata = msgspec.json.Decoder(Metadata).decode
_encode = msgspec.json.encode


class MainLane:
    """The queue of the main thread. Idle, it waits on the queue, or inside the user's event loop once there can be one."""

    def __init__(self) -> None:
        self.loop = UserLoop()
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
        while (request := self.next()) and not self._closed:
            kernel.serve(request)
            if kernel.shell.exit_now:
                return

    def next(self) -> Request | None:
        """Wait for a request."""
        while True:
            if self._held:
                return self._held.popleft()
            seconds = PAUSE if self.pause else None
            try:
                if "asyncio" not in sys.modules:
                    return self._queue.get(timeout=seconds)
                self.loop.wait(self.waiting, seconds, self._wake_with)
                return self._queue.get_nowait()
            except Empty:
                if self.pause:
                    pause, self.pause = self.pause, None
                    pause()

    def abort(self, session: str) -> None:
        """Mark the execute_requests of one client's session that wait now: they are answered, but not executed."""
        while not self._queue.empty():
            self._held.append(self._queue.get())
        for request in self._held:
            if request and request.message.header.session == session:
                request.aborted = True

    def _wake_with(self, function: Callable[[], None] | None) -> None:
        self._end_waiting = function


def execute(kernel: Kernel, request: Request) -> ExecuteReply:
    """Execute."""
    message, shell, outlet = request.message, kernel.shell, kernel.outlet
    asked = _decode(message.content_json)
    if request.aborted:
        return ExecuteReply("aborted", shell.execution_count - 1)
    owner = Owner(
        msg_id=message.header.msg_id,
        key=message.header.msg_id.encode()[:200],
        header_json=message.header_json,
        idents=message.idents,
        allow_stdin=asked.allow_stdin,
        session=message.header.session,
    )
    set_foreground(owner)
    current.set(owner)
    outlet.settle(owner)
    ours = _decode_metadata(message.metadata_json).zmqkernel if b'"zmqkernel"' in message.metadata_json else None
    if not asked.silent:
        outlet.send(
            "iopub",
            kernel.wire.message(
                "execute_input",
                {"code": asked.code, "execution_count": shell.execution_count},
                parent=message.header_json,
                metadata=_echo(ours),
                idents=kernel.input_topic,
            ),
        )
    reply = _run(kernel, asked, ours)
    outlet.settle(owner)
    if reply.status == "error" and asked.stop_on_error and not asked.silent:
        kernel.sweep()
        kernel.main.abort(owner.session)
    return reply


def _run(kernel: Kernel, asked: ExecuteRequest, ours: Ours | None) -> ExecuteReply:
    shell = kernel.shell
    store_history = not asked.silent and asked.store_history is not False
    expressions: dict[str, Any] = {}
    shell.begin()
    result = None
    try:
        kernel.interrupts.arm()
        if ours and ours.origin:
            with executed_at(shell, ours.origin, asked.code):
                result = shell.run_cell(asked.code, store_history, asked.silent)
        else:
            result = shell.run_cell(asked.code, store_history, asked.silent)
        if asked.user_expressions and result.success:
            expressions = shell.user_expressions(asked.user_expressions)
    except KeyboardInterrupt:  # it hit IPython around the user's code, or came while the request waited
        shell.showtraceback()
    finally:
        kernel.interrupts.disarm()
    if store_history:
        kernel.main.pause = shell.save_history
    return shell.reply(result, expressions)


def _echo(ours: Ours | None) -> bytes | None:
    """Everybody who sees the input sees who sent it and from where."""
    return _encode({"zmqkernel": ours}) if ours else None
