"""The supervisor's copy of the namespace mirror: packed bytes by name, the newest at the end.

It answers for a kernel that is busy, stopped or dead. It is in memory only: a supervisor that takes a kernel over asks it
for everything, and nothing of it is ever on disk.

Versions go on from the clock of the start, so a version of an earlier supervisor of this session is older than everything here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import takewhile

import msgspec

from ..protocol.errors import RemoteProtocolError
from ..protocol.mirror import (
    PAGE,
    Changes,
    Delta,
    MirrorChanged,
    MirrorReply,
    MirrorRequest,
    pack,
    unpack_changes,
)
from ..protocol.wire import Message, Wire
from .door import Door
from .log import log

REMOVED = 20_000
"""Names that are gone and remembered; who has not asked for longer than that is told everything."""
WATCHERS = 1000

Versioned = dict[str, tuple[int, bytes]]


class Watcher(msgspec.Struct, eq=False):
    """A client that wants to hear of changes."""

    door: Door
    idents: list[bytes]
    request: bytes


class Mirror:
    """``ask`` is set by the owner of the kernel's link: have the kernel tell everything."""

    def __init__(self, wire: Wire) -> None:
        self.ask: Callable[[], object] = _nothing
        self._wire = wire
        self._version = self._begin = int(time.time() * 1e6)
        self._names: Versioned = {}
        self._types: Versioned = {}
        self._removed: dict[str, int] = {}
        self._types_removed: dict[str, int] = {}
        self._reply = MirrorReply(0, 0)
        self._number = 0
        self._watchers: dict[bytes, Watcher] = {}
        self._told = self._version

    # --- from the kernel ---------------------------------------------------------------------------------------------

    def take(self, message: Message, generation: int) -> None:
        """Take a ``mirror_delta`` of the kernel of this generation."""
        try:
            delta = message.read(Delta)
            changes = unpack_changes(message.buffers[0])
        except (RemoteProtocolError, msgspec.MsgspecError, IndexError) as error:
            log(f"mirror: a delta of the kernel dropped: {error}")
            self.lost()
            return
        if delta.full:
            self._clear()
        elif delta.number != self._number + 1 or generation != self._reply.generation:
            # The first ones after a kernel was taken over belong to what the supervisor before knew. What was asked for comes.
            if self._number:
                self.lost()
            return
        self._number = delta.number
        self._apply(changes)
        reply = self._reply
        reply.generation, reply.stale, reply.truncated = generation, False, delta.truncated
        if not delta.more:
            reply.execution, reply.execution_count = delta.execution, delta.execution_count
            self._tell()

    def lost(self) -> None:
        """Something of what the kernel told is missing."""
        self._number = 0
        self.ask()

    def kernel_gone(self) -> None:
        """The kernel is dead; what is known of its names stays readable until the next one has executed something."""
        if not self._reply.stale and self._reply.generation:
            self._reply.stale = True
            self._number = 0
            self._version += 1
            self._tell()

    def restarted(self) -> None:
        """Somebody wanted a new kernel: nobody wants the names of the old one."""
        self._clear()
        self._reply = MirrorReply(0, 0)
        self._tell()

    def _clear(self) -> None:
        self._version += 1
        self._begin = self._version
        self._number = 0
        for known in (self._names, self._types, self._removed, self._types_removed):
            known.clear()

    def _apply(self, changes: Changes) -> None:
        if changes.changed or changes.removed or changes.types or changes.types_removed:
            self._version += 1
        version = self._version
        for gone, known, removed in (
            (changes.removed, self._names, self._removed),
            (changes.types_removed, self._types, self._types_removed),
        ):
            for name in gone:
                known.pop(name, None)
                removed.pop(name, None)
                removed[name] = version
        for new, known, removed in (
            (changes.changed, self._names, self._removed),
            (changes.types, self._types, self._types_removed),
        ):
            for name, raw in new.items():
                known.pop(name, None)  # so that what changed last is at the end
                removed.pop(name, None)
                known[name] = version, bytes(raw)
        if len(self._removed) + len(self._types_removed) > REMOVED:
            self._removed.clear()
            self._types_removed.clear()
            self._begin = version

    # --- for clients -------------------------------------------------------------------------------------------------

    def answer(self, door: Door, message: Message) -> Message:
        """The reply to a mirror_request."""
        wanted = message.read(MirrorRequest)
        if wanted.watch:
            self._watchers.pop(message.idents[0], None)
            self._watchers[message.idents[0]] = Watcher(door, list(message.idents), message.header_json)
            if len(self._watchers) > WATCHERS:
                del self._watchers[next(iter(self._watchers))]
        after = wanted.after
        full = not self._begin <= after <= self._version
        after = 0 if full else after
        changes, until, more = self._since(after, wanted.prefix)
        known = self._reply
        reply = MirrorReply(
            until,
            known.generation,
            known.execution,
            known.execution_count,
            full,
            more,
            known.stale,
            known.truncated,
        )
        return self._wire.message(
            "mirror_reply", reply, parent=message.header_json, idents=message.idents, buffers=[pack(changes)]
        )

    def _since(self, after: int, prefix: str) -> tuple[Changes, int, bool]:
        """What came after a version, up to about a page, and up to which version that is."""
        names, types = _newer(self._names, after), _newer(self._types, after)
        until, more = self._page(names, types)
        changes = Changes(
            {name: msgspec.Raw(raw) for name, version, raw in names if version <= until and name.startswith(prefix)},
            [],
            {key: msgspec.Raw(raw) for key, version, raw in types if version <= until},
            [],
        )
        if after:
            changes.removed = [name for name, version in self._removed.items() if after < version]
            changes.types_removed = [key for key, version in self._types_removed.items() if after < version]
        return changes, until, more

    def _page(self, *found: list[tuple[str, int, bytes]]) -> tuple[int, bool]:
        """The version at which a page ends. The kernel's deltas are small, and so is what has the same version."""
        sizes: dict[int, int] = {}
        for rows in found:
            for name, version, raw in rows:
                sizes[version] = sizes.get(version, 0) + len(name) + len(raw)
        size = 0
        for version in sorted(sizes):
            if size and size + sizes[version] > PAGE:
                return version - 1, True
            size += sizes[version]
        return self._version, False

    def _tell(self) -> None:
        """Say that there is something new to those who watch. One who is not there any more is forgotten."""
        if self._version == self._told:
            return
        self._told = self._version
        for ident, watcher in list(self._watchers.items()):
            content = MirrorChanged(self._version)
            message = self._wire.message("mirror_changed", content, parent=watcher.request, idents=watcher.idents)
            if not watcher.door.page(message):
                del self._watchers[ident]


def _newer(known: Versioned, after: int) -> list[tuple[str, int, bytes]]:
    """Those with a later version, which are at the end."""
    rows = ((name, version, raw) for name, (version, raw) in reversed(known.items()))
    return list(takewhile(lambda row: row[1] > after, rows))[::-1]


def _nothing() -> None:
    """There is no kernel that could be asked."""
