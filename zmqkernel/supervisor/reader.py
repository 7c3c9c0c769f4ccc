"""Reading the journal back by pages, for any number of readers at different places, whatever is damaged."""

from __future__ import annotations

import bisect
import errno
from collections.abc import Sequence
from typing import NamedTuple

from ..protocol import journal as format
from ..protocol.messages import Filter
from .segment import INDEX_EVERY, Brief, Piece, Segment, brief

SPAN = 1024 * 1024
"""Bytes that one reading looks at behind its beginning, about: the loop has others to serve."""
PLACES = 256
GONE = (errno.ENOENT, errno.EIO, errno.ELOOP, errno.EACCES, errno.ESTALE, errno.EISDIR)
"""The file is not there, or its disk cannot read it: trying again would not help."""


class Lost(NamedTuple):
    """Records ``first`` to ``last`` were written and cannot be read any more."""

    first: int
    last: int


class Reader:
    """Pages from the files. Not thread-safe."""

    def __init__(self, segments: list[Segment]) -> None:
        self._segments = segments  # the journal's own list
        self._places: dict[int, tuple[Segment, int]] = {}
        """Where readers were: a record's number to (segment, offset behind it)."""
        self._reported: set[int] = set()
        self._lost: list[Lost] = []

    def read(self, after: int, last: int, most: int, filter: Filter) -> tuple[int, list[bytes]]:
        """As ``Journal.read``; ``last`` is the number of the newest record that is written."""
        if after >= last:
            return after, []
        known = self._places.get(after)
        if known:
            segment, start, previous = *known, after
        else:
            segment = self._segments[max(0, bisect.bisect_right(self._segments, after + 1, key=_first) - 1)]
            start, previous = segment.place(after + 1)
        span = min(SPAN, max(most, 4096) + (0 if known else INDEX_EVERY))
        looked = 0
        while True:
            try:
                piece = segment.piece(start, span, previous, brief)
            except OSError as error:
                if error.errno not in GONE:
                    return after, []  # out of descriptors or memory: another time
                piece = Piece[Brief](b"", [], [], 0, True)
            previous = self._jumps(piece, previous)
            looked += len(piece.data)
            if piece.frames and previous > after:
                after, frames = self._page(segment, start, piece, after, most, filter)
                if frames or looked >= SPAN:
                    return after, frames
                span = SPAN  # a narrow filter
            if piece.frames:
                at, _, head = piece.frames[-1]
                segment.note(head.seq, start + at)
            start += piece.used
            if piece.last:
                following = self._after(segment)
                self.passed(previous, following.first - 1 if following else last)
                if following is None:
                    return max(after, last), []
                segment, start, previous = following, 0, following.first - 1

    def take_lost(self) -> list[Lost]:
        """Which records were found missing since the last call; each is told once."""
        lost, self._lost = self._lost, []
        return lost

    def passed(self, previous: int, to: int) -> None:
        """Record ``previous`` was followed by the one after ``to``: what is between them is lost."""
        if to > previous and previous + 1 not in self._reported:
            self._reported.add(previous + 1)
            self._lost.append(Lost(previous + 1, to))

    def forget(self) -> None:
        """Segments were removed."""
        self._places.clear()

    def _jumps(self, piece: Piece[Brief], previous: int) -> int:
        """Note the missing numbers in a piece that begins after ``previous``; the number of its last record."""
        if not piece.frames:
            return previous
        newest = piece.frames[-1][2].seq
        if newest - previous != len(piece.frames):
            for _, _, head in piece.frames:
                self.passed(previous, head.seq - 1)
                previous = head.seq
        return newest

    def _page(
        self, segment: Segment, start: int, piece: Piece[Brief], after: int, most: int, filter: Filter
    ) -> tuple[int, list[bytes]]:
        frames = piece.frames
        begin = bisect.bisect_right(frames, after, key=_number)
        stop, found = chosen(frames, begin, most, filter)
        seen = frames[stop - 1][2].seq
        if len(self._places) >= PLACES:
            del self._places[next(iter(self._places))]  # the oldest; its reader has moved on
        self._places[seen] = (segment, start + frames[stop - 1][1])
        return seen, [piece.data[begin:end] for begin, end in found]

    def _after(self, segment: Segment) -> Segment | None:
        number = bisect.bisect_right(self._segments, segment.first, key=_first)
        # The newest has no file before its first record is written.
        return next((later for later in self._segments[number:] if later.size), None)


def chosen(
    frames: Sequence[tuple[int, int, Brief]], begin: int, most: int, filter: Filter
) -> tuple[int, list[tuple[int, int]]]:
    """Which frames from number ``begin`` on fit into ``most`` bytes (at least one): (number of the frame to go on with,
    runs of neighbours as (start, end))."""
    runs: list[tuple[int, int]] = []
    plain = not (filter.document or filter.execution or filter.outputs_only)
    size, stop = 0, begin
    run_start = run_end = -1
    while stop < len(frames):
        start, end, head = frames[stop]
        if size and size + end - start > most:
            break
        stop += 1
        if plain or format.wanted(head, filter.document, filter.execution, filter.outputs_only):  # pyright: ignore[reportArgumentType]
            size += end - start
            if start != run_end:
                if run_end >= 0:
                    runs.append((run_start, run_end))
                run_start = start
            run_end = end
    if run_end >= 0:
        runs.append((run_start, run_end))
    return stop, runs


def _first(segment: Segment) -> int:
    return segment.first


def _number(frame: tuple[int, int, Brief]) -> int:
    return frame[2].seq
