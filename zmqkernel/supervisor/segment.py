"""One file of the journal: where its records are, and cutting its bytes into records although some may be damaged.

Numbers rise by one from record to record, so a jump between two records that check is exactly what damage has taken.
"""

from __future__ import annotations

import bisect
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from ..protocol import journal as format
from ..protocol.journal import FRAME, Damage, Record

INDEX_EVERY = 128 * 1024
SCAN = 1024 * 1024
"""Bytes read at once when a whole segment is walked through."""
MIN_FRAME = 24
"""No frame is shorter: so many numbers at most are missing in so many damaged bytes."""
NO_END = 1 << 62


class Brief(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The beginning of a :class:`Record`: all that a filter looks at. The rest is skipped, not copied."""

    seq: int
    time: float
    kind: str
    msg_type: str
    execution: str = ""
    document: str = ""


Head = TypeVar("Head", Brief, Record)
Decode = Callable[[memoryview], Head]
brief: Decode[Brief] = msgspec.msgpack.Decoder(Brief).decode
whole: Decode[Record] = msgspec.msgpack.Decoder(Record).decode


class Piece(NamedTuple, Generic[Head]):
    """Some bytes of a segment, cut. Offsets of ``frames`` are within ``data``, those of ``damage`` within the file."""

    data: bytes
    frames: list[tuple[int, int, Head]]
    damage: list[Damage]
    used: int
    """The bytes at the beginning of ``data`` that frames and damage cover; the next piece begins behind them."""
    last: bool
    """Nothing comes after this piece."""


class Segment:
    """A file whose name holds the number of its first record. ``index`` has a (seq, offset) about every 128 KB."""

    def __init__(self, directory: Path, first: int, size: int = 0) -> None:
        self.path = directory / f"journal-{first:016d}.zkj"
        self.first = first
        self.size = size
        """Bytes that are written and whole, as far as is known."""
        self.index: list[tuple[int, int]] = []

    def note(self, seq: int, offset: int) -> None:
        """Remember that record ``seq`` begins at ``offset``, if the last remembered one is far enough behind."""
        if offset - (self.index[-1][1] if self.index else 0) >= INDEX_EVERY:
            self.index.append((seq, offset))

    def place(self, seq: int) -> tuple[int, int]:
        """A known place at or before record ``seq``: (offset, the number before the record that begins there)."""
        at = bisect.bisect_right(self.index, (seq, NO_END)) - 1
        return (self.index[at][1], self.index[at][0] - 1) if at >= 0 else (0, self.first - 1)

    def piece(self, start: int, span: int, previous: int, decode: Decode[Head]) -> Piece[Head]:
        """Read and cut about ``span`` bytes from offset ``start``, behind record ``previous``; more when a record or
        damage is longer. Raises OSError when the file cannot be read."""
        while True:
            data = self._bytes(start, min(span, self.size - start))
            last = start + len(data) >= self.size or len(data) < span
            piece = cut(data, start, last, previous, decode)
            if piece.used or last:
                return piece
            span *= 4

    def holds_unknown(self, offset: int) -> bool:
        """Does a frame begin at ``offset`` whose CRC is right, but whose body we do not know?"""
        prefix = self._bytes(offset, FRAME.size)
        if len(prefix) < FRAME.size:
            return False
        length, crc = FRAME.unpack(prefix)
        body = self._bytes(offset + FRAME.size, min(length, self.size))
        if not length or len(body) != length or zlib.crc32(body) != crc:
            return False
        try:
            whole(memoryview(body))
        except ValueError:
            return True
        return False

    def walk(self, decode: Decode[Head]) -> Iterator[Piece[Head]]:
        """The whole file, piece by piece, noting places."""
        start, previous = 0, self.first - 1
        while start < self.size:
            piece = self.piece(start, SCAN, previous, decode)
            for at, _, head in piece.frames:
                self.note(head.seq, start + at)
                previous = head.seq
            yield piece
            start += piece.used
            if piece.last:
                return

    def _bytes(self, start: int, count: int) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(descriptor, count, start)
        finally:
            os.close(descriptor)


def segments(directory: Path) -> list[Segment]:
    """The segments in a directory, oldest first."""
    found: list[Segment] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            head, _, number = entry.name.removesuffix(".zkj").partition("-")
            if head == "journal" and entry.name.endswith(".zkj") and number.isdigit() and entry.is_file():
                found.append(Segment(directory, int(number), entry.stat().st_size))
    return sorted(found, key=lambda segment: segment.first)


def cut(data: bytes, offset: int, last: bool, previous: int, decode: Decode[Head]) -> Piece[Head]:
    """Cut ``data``, which lies at ``offset`` of the file and reaches its end if ``last``, into frames.

    Every CRC is verified, and a record must have a higher number than the one before: a frame that somebody's output
    holds, in the middle of a damaged one, is not taken for a record.
    """
    frames: list[tuple[int, int, Head]] = []
    damage: list[Damage] = []
    view = memoryview(data)
    end_of_data = len(data)
    unpack, crc32, prefix = FRAME.unpack_from, zlib.crc32, FRAME.size
    at = 0
    while at < end_of_data:
        if at + prefix <= end_of_data:
            length, crc = unpack(data, at)
            end = at + prefix + length
            if end <= end_of_data:
                body = view[at + prefix : end]
                if length and crc32(body) == crc:
                    try:
                        head = decode(body)
                    except ValueError:
                        head = None  # another version's record: damage for this reader
                    if head is not None and head.seq > previous:
                        frames.append((at, end, head))
                        previous, at = head.seq, end
                        continue
        if not last:
            break  # cut off here, or damaged. Where damage ends is judged with all that follows at hand: a cut off frame
            # may hold others, as when somebody shows a journal's bytes.
        following = _resync(view, at, previous)
        if following < 0:
            following = end_of_data
        damage.append(Damage(offset + at, offset + following, torn=following == end_of_data))
        at = following
    return Piece(data, frames, damage, at, last)


def _resync(view: memoryview, at: int, previous: int) -> int:
    """Where the next record after the damage at ``at`` begins, or -1."""
    for item in format.scan(view, at + 1):
        # One that cannot belong here is somebody's output: so few bytes have no room for so many records.
        if not isinstance(item, Damage) and 0 < item[2].seq - previous <= 1 + (item[0] - at) // MIN_FRAME:
            return item[0]
    return -1
