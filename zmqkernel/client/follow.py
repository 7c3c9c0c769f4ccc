"""Following the journal, without I/O: positions, duplicates, rewinds and credit of one follow.

Rules:

1. A record is handed on once, in order: what has a number at or below the position has been seen. Numbers may be missing
   (a filter, or a ``gap`` event with the number of the last record that was removed): what comes is what there is.
2. Only pages of the newest follow_request count; those of an earlier one (before a reconnect) are late.
3. Credit is given back for what the consumer has taken, so what waits here is at most ``credit`` bytes; the exception is
   :meth:`Follow.lend`, for a consumer that waits for records behind the ones that nobody takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..protocol import journal
from ..protocol.errors import RemoteProtocolError
from ..protocol.journal import Damage, Record
from ..protocol.messages import Filter, FollowReply, FollowRequest, JournalPage, Position
from ..protocol.wire import Message

CREDIT = 4 * 1024 * 1024
"""Bytes of records that may be on their way or wait here, for one follow."""

GRANT = 64 * 1024
"""Credit is given back in portions of at least this. Small, because a session with many followers gives each a small share."""

REWIND = "rewind"
"""msg_type of the event that a follower gets when a power failure took records that it has seen. Its ``seq`` is the last
record that still exists: everything with a higher number is to be dropped. It is never in a journal."""


class Follow:
    """One reader of the journal. ``sink`` gets (record, bytes it takes of the credit)."""

    def __init__(
        self,
        position: Position,
        filter: Filter,
        sink: Callable[[Record, int], None],
        *,
        until_end: bool = False,
        credit: int = CREDIT,
    ) -> None:
        self.position = position
        self.filter = filter
        self.until_end = until_end
        self.request = ""
        """msg_id of the follow_request that counts now."""
        self.end: Position | None = None
        """The newest position of the journal when the last follow_request was answered."""
        self.live = False
        self.finished = False
        self.heard = 0.0
        """When the session last said something about this follow, on the conversation's clock."""
        self.trouble = ""
        """What keeps the session from going on, as its last page said."""
        self.pruned = 0
        """The number of the last record that retention took before we could read it."""
        self._sink = sink
        self._credit = credit
        self._held = 0
        self._owed = 0

    def begin(self, msg_id: str) -> FollowRequest:
        """The content of a follow_request from where we are; ``msg_id`` is the one it will have."""
        self.request = msg_id
        self.live = False
        self._owed = 0
        credit = max(self._credit - self._held, self._credit // 4)
        return FollowRequest(position=self.position, credit=credit, filter=self.filter, until_end=self.until_end)

    def answer(self, reply: FollowReply) -> Position | None:
        """Take the follow_reply; returns where we were sent back to, if we were."""
        self.end = reply.end
        rewind = reply.rewind
        if rewind is None or rewind.seq >= self.position.seq:
            return None
        self.position = rewind
        self._sink(journal.event(rewind.seq, 0.0, REWIND, {"epoch": rewind.epoch, "seq": rewind.seq}), 0)
        return rewind

    def page(self, message: Message) -> None:
        """Take a journal_page: hands new records to the sink. Raises RemoteProtocolError when it is damaged."""
        page = message.read(JournalPage)
        for buffer in message.buffers:
            for item in journal.scan(buffer):
                if isinstance(item, Damage):
                    raise RemoteProtocolError(f"a journal page is damaged at byte {item.start}")
                self._take(item[2], item[1] - item[0], page.last.epoch)
        if page.last.seq >= self.position.seq:
            self.position = page.last
        self.live, self.trouble = page.live, page.trouble
        self.finished = self.finished or page.finished

    def _take(self, record: Record, size: int, epoch: int) -> None:
        if record.seq <= self.position.seq:
            self._owed += size
            return
        self.position = Position(epoch, record.seq)
        if record.kind == "event" and record.msg_type == "gap" and record.data.get("reason") == "retention":
            self.pruned = record.seq
        self._held += size
        self._sink(record, size)

    def taken(self, size: int) -> None:
        """The consumer has taken a record of this size (or nobody wants it)."""
        back = min(size, self._held)
        self._held -= back
        self._owed += back

    def lend(self) -> None:
        """Give credit for records that are still waiting here."""
        self._owed += self._held
        self._held = 0

    @property
    def blocked(self) -> bool:
        """Nothing may come, because the consumer has not taken what came."""
        return self._held >= self._credit // 2

    def due(self) -> int:
        """The credit to send now, 0 as long as it is not worth a message."""
        if self.finished or self._owed < GRANT:
            return 0
        owed, self._owed = self._owed, 0
        return owed


class Published(msgspec.Struct, frozen=True):
    """What an execution said: an iopub message, or an ``input_request`` that somebody has to answer.

    ``metadata["zmqkernel"]`` has ``epoch``, ``seq``, ``execution`` and ``sender``.
    """

    msg_type: str
    content: dict[str, Any]
    metadata: dict[str, Any]
    buffers: list[bytes]
    seq: int
    execution: str
    msg_id: str

    @classmethod
    def of(cls, record: Record, epoch: int, sender: str) -> Published:
        """Decode a record of kind ``iopub`` or ``input``."""
        metadata: dict[str, Any] = msgspec.json.decode(record.metadata)
        ours = metadata.setdefault("zmqkernel", {})
        ours.update(epoch=epoch, seq=record.seq, execution=record.execution)
        ours.setdefault("sender", sender)
        message = record.message()
        return cls(
            record.msg_type, record.data, metadata, record.buffers, record.seq, record.execution, message.header.msg_id
        )
