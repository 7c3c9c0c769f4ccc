"""The cursor: clients of ours read the journal from a position, and live is the end of the replay.

There is one way to read: no gap between a subscription and a replay, and no queue behind a slow reader: what it has no
credit for stays in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ..protocol import journal as format
from ..protocol.messages import Filter, FollowReply, FollowRequest, JournalPage, Position
from .journal import Journal

PAGE = 1024 * 1024
OUTSTANDING = 6 * 1024 * 1024
"""Bytes on their way to all followers together."""
HEARTBEAT = 5.0
"""A silent follower gets an empty page this often, in seconds: it knows that we live, we learn that it is gone."""


class Follower(msgspec.Struct, eq=False):
    """One follow_request that goes on."""

    ident: bytes
    request: bytes
    sender: str
    after: int
    credit: int
    filter: Filter
    until: int
    outstanding: int = 0
    spoken: float = 0.0


Send = Callable[[Follower, JournalPage, list[bytes]], bool]
"""Sends a page; False when the client is gone."""


class Epochs:
    """Which numbers each epoch has: ``ends`` maps an ended epoch to its last number."""

    def __init__(self, current: int, ends: dict[int, int]) -> None:
        self.current = current
        self.ends = ends

    def of(self, seq: int) -> int:
        """The epoch in which a record was written."""
        return next((epoch for epoch, end in sorted(self.ends.items()) if seq <= end), self.current)

    def rewind(self, position: Position, last: int) -> Position | None:
        """None when the position exists, else the place to go back to: the end of its epoch."""
        end = self.ends.get(position.epoch, last if position.epoch >= self.current else 0)
        if position.epoch > self.current:
            return Position(self.current, last)
        return Position(position.epoch, end) if position.seq > end else None


class Cursor:
    """All followers."""

    def __init__(self, journal: Journal, epochs: Epochs, send: Send, now: Callable[[], float]) -> None:
        self._journal = journal
        self._epochs = epochs
        self._send = send
        self._now = now
        self.followers: dict[str, Follower] = {}
        self.trouble = ""
        """What every page says while something keeps the session from going on."""

    @property
    def end(self) -> Position:
        return Position(self._epochs.current, self._journal.last)

    def follow(self, follow_id: str, ident: bytes, request: bytes, sender: str, wanted: FollowRequest) -> FollowReply:
        """Begin (or begin again, for the same id) to follow."""
        rewind = self._epochs.rewind(wanted.position, self._journal.last) if wanted.position.seq else None
        after = rewind.seq if rewind else wanted.position.seq
        self.followers[follow_id] = Follower(
            ident=ident,
            request=request,
            sender=sender,
            after=after,
            credit=wanted.credit,
            filter=wanted.filter,
            until=self._journal.last if wanted.until_end else 0,
        )
        return FollowReply(end=self.end, rewind=rewind)

    def credit(self, follow_id: str, ident: bytes, more: int) -> None:
        follower = self.followers.get(follow_id)
        if follower is not None and follower.ident == ident:
            follower.credit += more
            follower.outstanding = max(0, follower.outstanding - more)

    def needed(self) -> int:
        """The oldest record that a connected reader has not got yet."""
        return min((follower.after + 1 for follower in self.followers.values()), default=self._journal.last + 1)

    def unfollow(self, follow_id: str) -> None:
        self.followers.pop(follow_id, None)

    def pump(self) -> bool:
        """Send every follower what it has credit for; True when there is more to do at once (a long search)."""
        more = False
        for follow_id, follower in list(self.followers.items()):
            more |= self._pump_one(follow_id, follower)
        return more

    def senders(self) -> list[str]:
        """Who follows now. Everybody gets an empty page: that shows who has gone since."""
        self.heartbeat(after=0.0)
        return [follower.sender for follower in self.followers.values()]

    def heartbeat(self, after: float = HEARTBEAT) -> None:
        """Empty pages to those that have heard nothing for ``after`` seconds."""
        for follow_id, follower in list(self.followers.items()):
            if self._now() - follower.spoken >= after:
                self._page(follow_id, follower, follower.after, [])

    def _pump_one(self, follow_id: str, follower: Follower) -> bool:
        share = OUTSTANDING // len(self.followers)
        last = self._journal.last
        budget = 4  # pages in one turn: the others wait for theirs
        while follow_id in self.followers:
            stop = follower.until or last
            if follower.after >= stop:
                if follower.until:
                    self._page(follow_id, follower, follower.after, [])
                    self.unfollow(follow_id)
                return False
            room = min(PAGE, follower.credit, share - follower.outstanding)
            if room <= 0:
                return False
            if budget == 0:
                return True
            budget -= 1
            if follower.after + 1 < self._journal.first:
                self._tell_gap(follow_id, follower)
                continue
            seen, frames = self._journal.read(follower.after, room, follower.filter)
            if frames or seen >= stop:
                self._page(follow_id, follower, seen, frames)
            else:
                follower.after = seen
        return False

    def _tell_gap(self, follow_id: str, follower: Follower) -> None:
        """What it wants next was removed to keep the journal within its limits: say so, in the place of those records."""
        last = self._journal.first - 1
        content = {"reason": "retention", "from": follower.after + 1, "to": last}
        gap = format.event(last, time.time(), "gap", content)
        self._page(follow_id, follower, last, [format.frame(gap)])

    def _page(self, follow_id: str, follower: Follower, seen: int, frames: list[bytes]) -> None:
        finished = bool(follower.until) and seen >= follower.until
        page = JournalPage(
            last=Position(self._epochs.of(seen), seen),
            live=seen >= self._journal.last,
            finished=finished,
            trouble=self.trouble,
        )
        follower.after = seen
        follower.spoken = self._now()
        if not self._send(follower, page, frames):
            self.unfollow(follow_id)
            return
        size = sum(map(len, frames))
        follower.credit -= size
        follower.outstanding += size
        if finished:
            self.unfollow(follow_id)
