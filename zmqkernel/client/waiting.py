"""What a face of the client waits for: a reply, an execution, the next records. No I/O; the conversation fills them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..protocol.errors import ZmqKernelError
from ..protocol.journal import Record
from ..protocol.messages import ExecuteReply, Filter, Position
from ..protocol.wire import Message
from .follow import Follow, Published

_NOT_OUTPUT = frozenset({"status", "execute_input"})


class Waited:
    """Something that a face waits for. Every one of ``wake`` is called whenever it has changed."""

    def __init__(self) -> None:
        self.error: ZmqKernelError | None = None
        self.wake: list[Callable[[], None]] = []

    def changed(self) -> None:
        for wake in self.wake:
            wake()


class Request(Waited):
    """A request on its way. ``reply`` is there when it was answered well, ``error`` when not."""

    def __init__(self, message: Message, deadline: float) -> None:
        super().__init__()
        self.message = message
        self.deadline = deadline
        self.resend_at = float("inf")
        self.reply: Message | None = None
        self.execution: Run | None = None

    @property
    def done(self) -> bool:
        return self.reply is not None or self.error is not None


class Run(Waited):
    """An execution that this client submitted. ``outputs`` waits to be taken with :meth:`Conversation.take`."""

    def __init__(self, request: Request, sender: str) -> None:
        super().__init__()
        self.request = request
        self.msg_id = request.message.msg_id
        self.sender = sender
        self.submitted: Position | None = None
        self.outputs: deque[tuple[Published, int]] = deque()
        self.reply: ExecuteReply | None = None
        self.hungry = False
        """Somebody waits for the next output."""
        self._idle = False

    @property
    def done(self) -> bool:
        """Replied and idle (a reply for a dead kernel or an aborted cell is the last word), or failed."""
        if self.error is not None:
            return True
        reply = self.reply
        return reply is not None and (self._idle or reply.status == "aborted" or reply.ename == "KernelDied")

    def take_record(self, record: Record, size: int, epoch: int) -> int:
        """Take a record of this execution; returns how many bytes of it nobody will fetch."""
        if record.kind == "reply":
            self.reply = record.message().read(ExecuteReply)
        elif record.msg_type == "status":
            self._idle = self._idle or record.data.get("execution_state") == "idle"
        elif record.kind in ("iopub", "input") and record.msg_type not in _NOT_OUTPUT:
            self.outputs.append((Published.of(record, epoch, self.sender), size))
            self.hungry = False
            size = 0
        self.changed()
        return size


class Reader(Waited):
    """A public follow: ``records`` waits to be taken with :meth:`Conversation.take_record`."""

    def __init__(self, position: Position, filter: Filter, until_end: bool) -> None:
        super().__init__()
        self.records: deque[tuple[Record, int]] = deque()
        self.follow = Follow(position, filter, self._sink, until_end=until_end)
        self.over = False
        """The session was shut down: nothing comes any more."""
        self._taken = position

    @property
    def ready(self) -> bool:
        """There is a record to take, or there will never be one again."""
        return bool(self.records) or self.error is not None or self.finished

    @property
    def finished(self) -> bool:
        """The end was reached: that of the journal if it was asked for, or that of the session."""
        return self.over or self.follow.finished

    @property
    def live(self) -> bool:
        """Everything that was in the journal has been taken."""
        return self.follow.live and not self.records

    @property
    def position(self) -> Position:
        """Behind the last record that was taken; behind everything that was searched when nothing waits."""
        return self._taken if self.records else self.follow.position

    def take(self) -> tuple[Record, int]:
        record, size = self.records.popleft()
        self._taken = Position(self.follow.position.epoch, record.seq)
        return record, size

    def _sink(self, record: Record, size: int) -> None:
        self.records.append((record, size))
