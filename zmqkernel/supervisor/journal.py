"""The journal on disk: segments of frames (see ``protocol/journal.py``), one writer, any number of readers.

A turn of the supervisor's loop stages its records and commits them in one write; only then are their messages sent.
Every segment but the first begins with a ``state`` event, so that who opens the journal reads the newest segment only.

Whatever the disk does, nothing is raised and nothing is forgotten: records wait in memory until they are written.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..protocol import journal as format
from ..protocol.errors import JournalDamaged
from ..protocol.journal import Damage, Record
from ..protocol.messages import Filter
from .log import log
from .reader import Lost, Reader
from .reserve import Reserve
from .segment import Segment, brief, segments, whole
from .sync import Sync
from .writer import Job, Writer

SEGMENT = 16 * 1024 * 1024
CACHE = 1024 * 1024
JOB = 1024 * 1024
"""Bytes written at once, at most (one record may be longer): a disk with a little room takes what it can."""
LOOK_BACK = 2
"""Segments that are read at opening when none begins with a state: a journal of before there were any."""
CLOSE_SECONDS = 5.0
SIZE_LIMIT = 4 * 1024**3
AGE_LIMIT = 90 * 86400.0


class Journal:
    """The records of one session. Not thread-safe."""

    def __init__(
        self,
        directory: Path,
        visit: Callable[[Record], None] | None = None,
        *,
        first_record: Callable[[], None] | None = None,
    ) -> None:
        """Open or begin the journal in ``directory``; nothing is written before the first commit. Raises OSError when it
        cannot be read, JournalDamaged when another version has written it.

        ``visit`` gets every record from the newest segment that begins with a ``state`` event on. ``first_record`` is
        called when a segment begins and stages the ``state`` event.
        """
        self._directory = directory
        self._segments = segments(directory) or [Segment(directory, 1)]
        self._first_record = first_record
        self._staged: list[tuple[Record, bytes]] = []
        self._job: Job | None = None
        self._cache: list[tuple[Record, bytes]] = []
        self._cached = 0
        self._limit = 1 << 62
        """Bytes that a file may have, when there is such a limit."""
        self._reader = Reader(self._segments)
        self.damage: list[Damage] = []
        """What could not be read at opening, in bytes; :meth:`take_lost` has the numbers, but for those of a torn end."""
        self.last = 0
        """The number of the newest committed record."""
        self._open(visit)
        self._next = self.last + 1
        reserve = Reserve(directory)
        self._writer = Writer(Sync(directory, reserve.keep), reserve)
        self._reserve = reserve
        self.wake = self._writer.wake
        """A descriptor that is readable when the writer's thread has finished something; :meth:`commit` empties it."""
        self.size_limit = SIZE_LIMIT
        self.age_limit = AGE_LIMIT
        """What :meth:`prune` leaves: bytes, and seconds since a segment's last record."""

    def _open(self, visit: Callable[[Record], None] | None) -> None:
        # Numbers are in the newest segment; what a visitor has to know may be further back.
        needed = self._segments[self._state_begins() if visit else -1 :]
        self.last = needed[0].first - 1
        for segment in needed:
            self._reader.passed(self.last, segment.first - 1)
            self.last = segment.first - 1
            damage: list[Damage] = []
            for piece in segment.walk(whole) if visit else segment.walk(brief):
                damage += piece.damage
                for _, _, head in piece.frames:
                    if head.seq != self.last + 1:
                        self._reader.passed(self.last, head.seq - 1)
                    self.last = head.seq
                    if visit:
                        visit(head)  # pyright: ignore[reportArgumentType]  with a visitor it is a Record
            self.damage += damage
            if damage and damage[-1].torn and segment is self._segments[-1]:
                if segment.holds_unknown(damage[-1].start):
                    raise JournalDamaged(
                        f"{segment.path} holds records that this version of zmqkernel cannot read",
                        hint="A newer version has written them: use that one.",
                    )
                segment.size = damage[-1].start  # the writer cuts the file there

    def _state_begins(self) -> int:
        """The number of the newest segment that begins with a ``state`` event."""
        for number in range(len(self._segments) - 1, 0, -1):
            segment = self._segments[number]
            try:
                frames = segment.piece(0, 4096, segment.first - 1, brief).frames if segment.size else []
            except OSError:
                continue  # what it began with is not known, so what was before it is needed
            if frames and frames[0][0] == 0 and (frames[0][2].kind, frames[0][2].msg_type) == ("event", "state"):
                return number
        return max(0, len(self._segments) - LOOK_BACK)

    # --- writing -----------------------------------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """The number of the oldest record that is still there."""
        return self._segments[0].first

    @property
    def next(self) -> int:
        """The number that the next staged record must have."""
        return self._next

    @property
    def has_staged(self) -> bool:
        return bool(self._staged) or self._job is not None

    @property
    def staged_bytes(self) -> int:
        """How much waits to be written."""
        if not self._staged and self._job is None:
            return 0  # asked in every turn
        return sum(len(frame) for _, frame in self._staged) + (len(self._job[1]) if self._job else 0)

    @property
    def patience(self) -> float:
        """Seconds until :meth:`commit` is worth calling again although nothing new is staged and ``wake`` is silent;
        infinite when it is not."""
        if self._job is None or self._writer.since:
            return float("inf")
        return max(0.0, self._writer.due - time.monotonic())

    @property
    def trouble(self) -> str:
        """'' or one sentence for people about a disk that does not do its work."""
        if self._writer.is_well:
            return ""
        if what := self._writer.trouble():
            amount = f"{round(self.staged_bytes / 1e6)} MB" if self.staged_bytes >= 5e5 else "less than 1 MB"
            cure = "until there is room" if "full" in what or "quota" in what else "until it is written"
            return f"{what}: output waits ({amount}) {cure}"
        what = self._writer.unsafe()
        return f"{what}: a power failure would cost what was said since" if what else ""

    def stage(self, make: Record) -> Record:
        """Number a record (its ``seq`` must be :attr:`next`) and hold it for the commit."""
        if make.seq != self._next:
            raise ValueError(f"record {make.seq} is staged as number {self._next}")  # two with one number: never
        self._staged.append((make, format.frame(make)))
        self._next += 1
        return make

    def commit(self) -> bool:
        """Write what is staged. True: all of it is written. False: it waits for the disk, and is written by a later call."""
        if self._job is not None and not self._settle(self._job):
            return False
        while self._staged or self._job is not None:
            job = self._job = self._job or self._gather()
            if self._writer.write(job):
                self._written(job)
            elif self._writer.since or not self._begin_another(job):
                return False
        return True

    def _settle(self, job: Job) -> bool:
        """What became of an earlier call's job. False: the thread has it still, or it was refused and is not due again."""
        if not self._writer.since:
            return time.monotonic() >= self._writer.due
        done = self._writer.poll()
        if done is None:
            return False
        if not done:
            return self._begin_another(job)
        self._written(job)
        return True

    def _gather(self) -> Job:
        segment = self._segments[-1]
        items, self._staged = self._staged, []
        data = b"".join([frame for _, frame in items])
        if len(data) > JOB:
            count = _fitting(items)
            items, self._staged = items[:count], items[count:]
            data = b"".join([frame for _, frame in items])
        size = segment.size + len(data)
        # A segment that holds nothing but its state is not full, however long that is.
        if (size >= SEGMENT or size >= self._limit) and segment.size and not self._staged:
            self._segments.append(Segment(self._directory, self._next))
            if self._first_record is not None:
                self._first_record()
        return items, data, segment

    def _written(self, job: Job) -> None:
        items, data, segment = job
        self._job = None
        segment.note(items[0][0].seq, segment.size)
        segment.size += len(data)
        self.last = items[-1][0].seq
        self._cache += items
        self._cached += len(data)
        if self._cached > CACHE + CACHE // 4:
            self._trim()

    def _trim(self) -> None:
        count = 0
        while self._cached > CACHE and count < len(self._cache):
            self._cached -= len(self._cache[count][1])
            count += 1
        del self._cache[:count]

    def _begin_another(self, job: Job) -> bool:
        """The job was refused. When that is because its file may not grow, it begins another file; else False."""
        items, data, segment = job
        error = self._writer.error
        if error is None or error.errno != errno.EFBIG or not segment.size:
            return False
        self._limit = max(segment.size // 2, 1)
        another = Segment(self._directory, items[0][0].seq)
        self._segments.insert(self._segments.index(segment) + 1, another)
        self._job = (items, data, another)
        return True

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, after: int, most: int, filter: Filter) -> tuple[int, list[bytes]]:
        """Frames of the wanted records after number ``after``, about ``most`` bytes, at least one record.

        Returns (number of the last record looked at, runs of frames). Looks at no more than a few MB at a time, so that
        a narrow filter over a long journal does not hold up the loop: then the list may be empty before the end.
        """
        if self._cache and self._cache[0][0].seq <= after + 1:
            return self._read_cache(after, most, filter)
        return self._reader.read(after, self.last, most, filter)

    def _read_cache(self, after: int, most: int, filter: Filter) -> tuple[int, list[bytes]]:
        frames: list[bytes] = []
        size = 0
        start = after + 1 - self._cache[0][0].seq
        for number in range(start, len(self._cache)):
            record, frame = self._cache[number]
            if size and size + len(frame) > most:
                break
            after = record.seq
            if format.wanted(record, filter.document, filter.execution, filter.outputs_only):
                frames.append(frame)
                size += len(frame)
        return after, frames

    def take_lost(self) -> list[Lost]:
        """Numbers of records that opening and reading found damaged since the last call; each is told once."""
        return self._reader.take_lost()

    # --- retention and end -------------------------------------------------------------------------------------------

    def prune(self, keep: int, now: float) -> int:
        """Remove the oldest segments while all are larger than ``size_limit`` or these older than ``age_limit`` at ``now``
        (as ``time.time()``), but none that holds record ``keep`` or a later one, and never the newest. Returns how many
        records are gone."""
        if self._writer.since:
            return 0  # a disk that does not answer would hold us up as well
        first, total = self.first, sum(segment.size for segment in self._segments)
        while len(self._segments) > 1 and self._segments[1].size and self._segments[1].first <= keep:
            oldest = self._segments[0]
            try:
                if total <= self.size_limit and now - oldest.path.stat().st_mtime <= self.age_limit:
                    break
                oldest.path.unlink()
            except FileNotFoundError:
                pass  # somebody was faster
            except OSError as error:
                log(f"journal: {oldest.path.name} cannot be removed: {error}")
                break
            total -= oldest.size
            del self._segments[0]
        if self.first != first:
            self._reader.forget()
        return self.first - first

    def close(self, patience: float = CLOSE_SECONDS) -> bool:
        """Write, sync and close, within ``patience`` seconds. False: the disk did not take everything; the log says what."""
        deadline = time.monotonic() + patience
        self._writer.due = 0.0  # one more attempt, at once
        while not self.commit() and self._writer.since:
            if not self._writer.wait(deadline - time.monotonic()):
                break
        written = not self.has_staged
        if not written:
            self._say_unwritten()
        synced = self._writer.close(max(0.1, deadline - time.monotonic()))
        self._reserve.give_up()
        return written and synced

    def _say_unwritten(self) -> None:
        numbers = f"records {self.last + 1} to {self._next - 1} ({self.staged_bytes} bytes) were not written"
        text = f"{numbers}: {self._writer.trouble() or 'the disk does not answer'}"
        # The log may be on the disk that does not answer.
        thread = threading.Thread(target=log, args=(f"journal: {text}",), name="journal-log", daemon=True)
        thread.start()
        thread.join(1.0)


def _fitting(items: list[tuple[Record, bytes]]) -> int:
    """How many records go into one job."""
    size = 0
    for count, (_, frame) in enumerate(items):
        size += len(frame)
        if size > JOB:
            return max(count, 1)
    return len(items)
