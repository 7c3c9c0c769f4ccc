"""The journal on disk: segments of frames (see ``protocol/journal.py``), one writer, any number of readers.

A turn of the supervisor's loop stages its records and commits them in one write; only then are their messages sent.
``fdatasync`` is called by a thread of its own: the page cache is enough against the death of processes, and a slow disk
must not hold up the door.
"""

from __future__ import annotations

import bisect
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..protocol import journal as format
from ..protocol.errors import JournalDamaged
from ..protocol.journal import Damage, Record
from ..protocol.messages import Filter

SEGMENT = 64 * 1024 * 1024
INDEX_EVERY = 128 * 1024
CACHE = 1024 * 1024
SYNC_EVERY = 0.5
"""Seconds after a write until the disk is told: what a power failure may cost, at most."""


class Segment:
    """One file; its name holds the number of its first record. ``index`` has a (seq, offset) every 128 KB."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.size = 0
        self.index: list[tuple[int, int]] = []
        self.indexed = False

    def note(self, seq: int, offset: int) -> None:
        """Remember where a record begins, if the last remembered one is far enough behind."""
        if not self.index or offset - self.index[-1][1] >= INDEX_EVERY:
            self.index.append((seq, offset))

    def offset_before(self, seq: int) -> int:
        """An offset at or before record ``seq``."""
        if not self.indexed:
            self.scan(_ignore)
        at = bisect.bisect_right(self.index, (seq, 1 << 62)) - 1
        return self.index[at][1] if at >= 0 else 0

    def scan(self, visit: Callable[[Record], None]) -> list[Damage]:
        """Read the whole file, noting positions; returns what was damaged."""
        damage: list[Damage] = []
        self.size = self.path.stat().st_size
        self.indexed = True
        if not self.size:
            return damage
        with open(self.path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
            for item in format.scan(memoryview(memory)):
                if isinstance(item, Damage):
                    damage.append(item)
                else:
                    self.note(item[2].seq, item[0])
                    visit(item[2])
        return damage


class Journal:
    """The records of one session. Not thread-safe; only the sync thread touches the descriptor beside the loop."""

    def __init__(self, directory: Path, visit: Callable[[Record], None] | None = None) -> None:
        """Open or begin the journal in ``directory``; ``visit`` gets every record of the newest segment."""
        self._directory = directory
        self._segments = [Segment(p, int(p.stem.partition("-")[2])) for p in sorted(directory.glob("journal-*.zkj"))]
        self._staged: list[tuple[Record, bytes]] = []
        self._cache: deque[tuple[Record, bytes]] = deque()
        self._cached = 0
        self._descriptor = -1
        self.last = 0
        """The number of the newest committed record."""
        self.damage: list[Damage] = []
        self._open_last(visit or _ignore)
        self._next = self.last + 1
        self._sync = Sync()

    @property
    def first(self) -> int:
        """The number of the oldest record that is still there."""
        return self._segments[0].first

    def _open_last(self, visit: Callable[[Record], None]) -> None:
        if not self._segments:
            self._segments.append(Segment(self._directory / f"journal-{1:016d}.zkj", 1))
            self._segments[0].indexed = True
            self._open_file(self._segments[0])
            return
        segment = self._segments[-1]
        self.last = segment.first - 1

        def see(record: Record) -> None:
            self.last = record.seq
            visit(record)

        self.damage = segment.scan(see)
        self._open_file(segment)
        if self.damage and self.damage[-1].torn:
            segment.size = self.damage[-1].start
            os.ftruncate(self._descriptor, segment.size)  # a torn tail would hide what is appended after it

    def _open_file(self, segment: Segment) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(segment.path, flags, 0o600)

    def stage(self, make: Record) -> Record:
        """Number a record (its ``seq`` must be :attr:`next`) and hold it for the commit."""
        self._staged.append((make, format.frame(make)))
        self._next += 1
        return make

    @property
    def next(self) -> int:
        """The number that the next staged record must have."""
        return self._next

    @property
    def has_staged(self) -> bool:
        return bool(self._staged)

    def commit(self) -> None:
        """Write what is staged. On OSError nothing was written and all of it stays staged: the caller tries again."""
        if not self._staged:
            return
        segment = self._segments[-1]
        data = b"".join([frame for _, frame in self._staged])
        self._write(data, segment)
        offset = segment.size
        for record, frame in self._staged:
            segment.note(record.seq, offset)
            offset += len(frame)
        segment.size = offset
        self.last = self._next - 1
        self._cache.extend(self._staged)
        self._cached += len(data)
        self._staged = []
        while self._cached > CACHE and self._cache:
            self._cached -= len(self._cache.popleft()[1])
        self._sync.wanted(self._descriptor)
        if segment.size >= SEGMENT:
            self._roll()

    def _write(self, data: bytes, segment: Segment) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, segment.size)  # half a frame would hide the next one
            raise

    def _roll(self) -> None:
        self._sync.drain()
        os.close(self._descriptor)
        segment = Segment(self._directory / f"journal-{self._next:016d}.zkj", self._next)
        segment.indexed = True
        self._segments.append(segment)
        self._open_file(segment)

    def read(self, after: int, most: int, filter: Filter) -> tuple[int, list[bytes]]:
        """Frames of the wanted records after number ``after``, about ``most`` bytes, at least one record looked at.

        Returns (number of the last record looked at, frames). Looks at no more than a few MB at a time, so that a
        narrow filter over a long journal does not hold up the loop: then the list may be empty before the end.
        """
        if self._cache and self._cache[0][0].seq <= after + 1:
            start = after + 1 - self._cache[0][0].seq
            items = [self._cache[i] for i in range(start, len(self._cache))]
            return _select(items, after, most, filter)
        return self._read_file(after, most, filter)

    def _read_file(self, after: int, most: int, filter: Filter) -> tuple[int, list[bytes]]:
        number = bisect.bisect_right([s.first for s in self._segments], after + 1) - 1
        segment = self._segments[max(number, 0)]
        start = segment.offset_before(after + 1)
        span = max(most, 1024 * 1024)
        while True:
            with open(segment.path, "rb") as file:
                file.seek(start)
                data = file.read(span)
            items = [
                (item[2], data[item[0] : item[1]])
                for item in format.scan(data)
                if not isinstance(item, Damage) and item[2].seq > after
            ]
            at_end = start + len(data) >= segment.size
            if items or (at_end and number + 1 >= len(self._segments)):
                return _select(items, after, most, filter)
            if at_end:
                number += 1
                segment, start = self._segments[number], 0
            else:
                span *= 2  # a record larger than the span, or damage as long as that

    def close(self) -> None:
        """Write, sync and close."""
        self.commit()
        self._sync.close()
        os.close(self._descriptor)

    def check(self) -> None:
        """Raise JournalDamaged when the newest segment holds damage other than a torn tail."""
        for item in self.damage:
            if not item.torn:
                path = self._segments[-1].path
                raise JournalDamaged(f"{path} is damaged between bytes {item.start} and {item.end}")


def _ignore(_record: Record) -> None:
    """A visitor that looks at nothing."""


def _select(items: list[tuple[Record, bytes]], after: int, most: int, filter: Filter) -> tuple[int, list[bytes]]:
    seen, size, frames = after, 0, list[bytes]()
    for record, frame in items:
        if size and size + len(frame) > most:
            break
        seen = record.seq
        if format.wanted(record, filter.document, filter.execution, filter.outputs_only):
            frames.append(frame)
            size += len(frame)
    return seen, frames


class Sync:
    """Calls fdatasync in a thread, SYNC_EVERY seconds after the first write that it has not seen."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._descriptor = -1
        self._urgent = False
        self._stop = False
        self._working = False
        self._thread: threading.Thread | None = None

    def wanted(self, descriptor: int) -> None:
        """Something was written to this descriptor."""
        if self._descriptor == descriptor:
            return  # asked already; the thread takes the note away before it syncs
        with self._condition:
            self._descriptor = descriptor
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def drain(self) -> None:
        """Wait until everything written so far is on disk."""
        with self._condition:
            self._urgent = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._descriptor < 0 and not self._working)

    def close(self) -> None:
        if self._thread is None:
            return
        self.drain()
        with self._condition:
            self._stop = True
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._descriptor >= 0 or self._stop)
                if self._stop:
                    return
                self._condition.wait_for(lambda: self._urgent or self._stop, timeout=SYNC_EVERY)
                descriptor, self._descriptor = self._descriptor, -1
                self._urgent, self._working = False, True
            started = time.monotonic()
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                # The data is in the page cache all the same: it is only less safe against power loss, so we go on.
                os.write(2, f"journal: fdatasync: {error} after {time.monotonic() - started:.1f} s\n".encode())
            with self._condition:
                self._working = False
                self._condition.notify_all()
