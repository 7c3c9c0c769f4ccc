"""What has changed among the user's names since the last pass, in chunks that are ready to be sent."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Set
from functools import partial
from typing import Any, NamedTuple

import msgspec

from ...protocol.mirror import LIMIT, Changes, Delta, Entry, pack
from .. import log
from ..introspection.lookup import is_class, is_module, is_routine
from .describe import Description
from .ran import Ran
from .secrets import is_secret_name
from .tables import Tables
from .texts import type_text
from .witness import WITNESSES, is_small

CHUNK = 128 * 1024
"""Bytes of entries that go into one message: what waits behind it in the ring waits no longer than for this."""
ENTRY = 64 * 1024
"""Bytes of one packed entry, beyond which it is told without what is below its attributes and keys."""
OVERHEAD = 24
"""Bytes counted for each name beside its packed entry."""
STEP = 64
"""Names that are looked at before others may have their turn."""

_OF_IPYTHON = re.compile(r"_+|_i{1,3}|_i?\d+|__\w+__|_exit_code|_sh|_oh|_ih|_dh")


class Known:
    """A name that was told (or had no room: ``size`` 0)."""

    __slots__ = ("bound", "changed", "fingerprint", "size", "used")

    def __init__(self) -> None:
        self.used: frozenset[str] = frozenset()
        self.bound: tuple[str, int] = "", 0
        """msg_id and In[n] of the cell that bound it."""
        self.changed = 0
        self.fingerprint = 0
        self.size = 0


class Chunk(NamedTuple):
    """Ready to be sent. ``is_empty``: it says no more than that a cell's effects are in."""

    delta: Delta
    body: bytes
    is_empty: bool


NOTHING = object()
"""The value of a name that is gone."""
MISSING = object()


class Namespace:
    """``names`` gives the namespace, ``hidden`` what IPython itself has put there."""

    def __init__(self, names: Callable[[], dict[str, Any]], hidden: Callable[[], dict[str, Any]]) -> None:
        self._names, self._hidden = names, hidden
        self._state: dict[str, Any] = {}
        """A small value itself, the witness for anything else."""
        self._known: dict[str, Known] = {}
        self._tables = Tables()
        self._cells = [Ran("", 0, "", failed=True)]
        self._done = self._cells[0]
        self._number = 0
        self._size = 0
        self._cut: set[str] = set()
        self._changes, self._waiting = Changes({}, [], {}, []), 0
        self._is_full = False

    def look(self, cells: list[Ran], full: bool) -> Iterator[Chunk | None]:
        """One pass over all names, in steps; the last chunk is the one that is not ``more``.

        ``cells`` have ended since the last pass, and all their effects will be in; ``full``: tell everything.
        """
        self._cells = cells or [self._done]
        if full:
            self._begin_anew()
        if full or not cells or not all(cell.is_nothing for cell in cells):
            yield from self._look_at_all()
            yield from self._tell_tables()
        self._done = self._cells[-1]
        yield self._chunk(more=False)

    def _look_at_all(self) -> Iterator[Chunk | None]:
        names, hidden = self._names(), self._hidden()
        self._forget_bound()
        get, state = partial(dict.get, names) if type(names) is not dict else names.get, self._state.get
        listed: list[str] = list(names)
        if set(map(type, listed)) != {str}:
            listed = [name for name in listed if type(name) is str]  # to look another one up would run its __hash__
        seen, value = 0, None
        for start in range(0, len(listed), STEP):
            for name in listed[start : start + STEP]:
                value = get(name, NOTHING)
                known = state(name, MISSING)
                if known is value or (type(known) in WITNESSES and known.same(value)):
                    seen += 1
                elif value is not NOTHING and self._is_users(name, value, hidden):
                    seen += 1
                    self._look_at(name, value, self._known.get(name))
                    value = known = None
                    yield from self._if_heavy()
            value = known = None  # while others have their turn nothing of the user's is kept
            yield None
        if seen != len(self._known):
            self._remove(names, hidden)

    def _forget_bound(self) -> None:
        """Names that a cell has bound are looked at, though the object may be the one that they had: ``x = 1`` again."""
        for cell in self._cells:
            for name in () if cell.failed else cell.binds:
                self._state.pop(name, None)

    def _begin_anew(self) -> None:
        self._state.clear()
        for old in self._known.values():
            old.fingerprint, old.size = 0, 0
        self._cut.clear()
        self._tables.reset()
        self._size = 0
        self._changes, self._waiting, self._is_full = Changes({}, [], {}, []), 0, True

    def _is_users(self, name: str, value: Any, hidden: dict[str, Any]) -> bool:
        if name[:1] == "_" and _OF_IPYTHON.fullmatch(name):
            return False
        if name in hidden and hidden[name] is value:
            return False
        return not is_secret_name(name) or is_module(value) or is_class(value) or is_routine(value)

    # --- one name ----------------------------------------------------------------------------------------------------

    def _look_at(self, name: str, value: Any, old: Known | None) -> None:
        known = old or Known()
        before = self._state.pop(name, None)
        in_place = type(before) in WITNESSES and before.is_of(value)
        told_again = old is not None and known.fingerprint == 0  # somebody asked for everything
        description = Description(self._tables)
        try:
            entry, witness = description.look(value)
        except Exception:  # noqa: BLE001 - an odd object costs its own description, not the mirror
            log.bug(f"the mirror cannot describe {name!r}")
            entry, witness = Entry("variable", type_text(type(value)), truncated=True), None
        if not (in_place or told_again):
            known.bound, known.changed = self._binder(name), 0
        packed = pack_safely(entry)
        fingerprint = zlib.crc32(packed, witness.digest() if witness else 0) or 1
        if witness is not None:
            self._state[name] = witness
        elif is_small(value):
            self._state[name] = value
        if in_place and fingerprint == known.fingerprint:
            self._use(known, description.used)
            return
        if in_place:
            known.changed = self._cells[-1].count
        known.fingerprint = fingerprint
        self._known[name] = known
        self._use(known, description.used)
        self._tell(name, known, entry, len(packed))

    def _binder(self, name: str) -> tuple[str, int]:
        """The cell that has bound a name since the last pass: one that says so, else one that names it, else the newest."""
        cells = [cell for cell in reversed(self._cells) if name in cell.code]
        found = next((cell for cell in cells if name in cell.binds), cells[0] if cells else self._cells[-1])
        return found.msg_id, found.count

    def _tell(self, name: str, known: Known, entry: Entry, size: int) -> None:
        entry.execution, entry.count = known.bound
        entry.changed = known.changed if known.changed != entry.count else 0
        entry.fingerprint = f"{known.fingerprint:08x}"
        self._size -= known.size
        self._cut.discard(name)
        packed = pack_safely(entry)
        if size > ENTRY:
            packed = pack_safely(_without_depth(entry))
            if len(packed) > ENTRY:
                packed = pack_safely(_flat(entry))
        room = LIMIT - self._size - self._tables.size - len(name.encode(errors="replace")) - OVERHEAD
        if len(packed) > room:
            self._cut.add(name)
            packed = pack_safely(_flat(entry))
        if len(packed) > room or not _is_text(name):
            if known.size:
                self._changes.changed.pop(name, None)
                self._changes.removed.append(name)
            known.size = 0
            return
        known.size = len(packed) + len(name) + OVERHEAD
        self._size += known.size
        self._changes.changed[name] = msgspec.Raw(packed)
        self._waiting += known.size

    def _use(self, known: Known, used: Set[str]) -> None:
        if used == known.used:
            return
        new = frozenset(used)
        self._drop_tables(self._tables.use(new - known.used, known.used - new))
        known.used = new

    def _drop_tables(self, keys: list[str]) -> None:
        for key in keys:
            self._changes.types.pop(key, None)
            self._changes.types_removed.append(key)

    def _remove(self, names: dict[str, Any], hidden: dict[str, Any]) -> None:
        for name in list(self._known):
            value = dict.get(names, name, NOTHING)
            if value is not NOTHING and self._is_users(name, value, hidden):
                continue
            known = self._known.pop(name)
            self._state.pop(name, None)
            self._cut.discard(name)
            self._size -= known.size
            self._drop_tables(self._tables.use(frozenset(), known.used))
            if known.size:
                self._changes.changed.pop(name, None)
                self._changes.removed.append(name)

    # --- what is sent ------------------------------------------------------------------------------------------------

    def _tell_tables(self) -> Iterator[Chunk | None]:
        self._tables.sweep()
        for key in self._tables.untold():
            room = LIMIT - self._size - self._tables.size
            for packed in self._tables.build(key, room):
                if packed is not None:
                    self._changes.types[key] = msgspec.Raw(packed)
                    self._waiting += len(packed)
                yield None
            yield from self._if_heavy()

    def _if_heavy(self) -> Iterator[Chunk | None]:
        yield self._chunk(more=True) if self._waiting >= CHUNK else None

    def _chunk(self, more: bool) -> Chunk:
        self._number += 1
        delta = Delta(self._number, self._is_full, more, bool(self._cut), self._done.msg_id, self._done.count)
        changes, self._changes = self._changes, Changes({}, [], {}, [])
        self._waiting, self._is_full = 0, False
        is_empty = not (changes.changed or changes.removed or changes.types or changes.types_removed)
        return Chunk(delta, pack(changes), is_empty)


def pack_safely(entry: Entry) -> bytes:
    """The packed entry; lone surrogates in anybody's text are replaced."""
    try:
        return pack(entry)
    except UnicodeEncodeError:
        return pack(_cleaned(msgspec.to_builtins(entry)))


def _cleaned(value: Any) -> Any:
    if type(value) is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is dict:
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if type(value) is list else value


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False  # globals()["\ud800"]: nobody can type it
    return True


def _without_depth(entry: Entry) -> Entry:
    """Attributes and keys without what is below them."""
    for below in (entry.attributes, entry.items):
        for name, child in below.items():
            below[name] = Entry(child.kind, child.type, dtype=child.dtype, members=child.members, truncated=True)
    entry.truncated = True
    return entry


def _flat(entry: Entry) -> Entry:
    """Only the thing itself."""
    entry.attributes, entry.items, entry.value, entry.truncated = {}, {}, "", True
    return entry
