"""The link: how a kernel of ours hands everything it says to its supervisor, through memory that both map.

Why not a socket: text must reach the supervisor although the statement after ``print`` holds the GIL for ten seconds,
and although the kernel is then killed. So the writing thread itself puts it here, and when :meth:`RingWriter.text`
returns it is safe from the death of either process (the mapped file belongs to neither).

Rules:

1. One writer process, one reader process. Positions only grow; offset = position % size.
2. Bytes are published by the single store of HEAD after all of them. The reader gives space back by storing TAIL.
3. Order in the ring is output order, and the position up to which the ring was read is the kernel's *output number*.
4. Nothing here sleeps, locks or wakes anybody: a full ring is the caller's business (the writer's methods return False).

Layout: one page of header, then ``size`` bytes: plain UTF-8 text with frames in between. A frame begins with the byte 0xFF,
which no UTF-8 text has, so text needs no framing of its own: writing it is one copy, finding its end one ``find``. ::

    [0xFF][u8 kind][u8 which][u8 0][u32 length][body]

    RUN      which = stream   body: execution                            the text from here on belongs to it
    MESSAGE  which = channel  body: [u32 count][u32 size]*count[parts]   a whole Jupyter message
    FILE     which = channel  body: file name                            a message too large for the ring
    MARK                      body: [u64 fd1][u64 fd2][execution]        captured descriptors up to here

``length`` counts the body; little endian. The parts of a message are header, parent_header, metadata, content, buffers.
FILE names a file beside the ring that holds the same bytes as MESSAGE's body.
A MARK says: what file descriptors 1 and 2 have appended up to these file offsets was written before this point, and
what comes after it belongs to ``execution``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from .errors import RemoteProtocolError
from .layout import AWAKE, HEAD, HEADER, MAGIC, MAGIC_WORD, SIZE, SLEEPS, TAIL, WAITING, format_ring
from .wire import Buffer

NOTES = (1024, 1536)
"""Byte offsets of the reader's two notes on what it was reading at a position: a new reader takes the one that is for TAIL.
Two, because a reader may be killed between writing a note and storing TAIL."""

ESCAPE = 0xFF
RUN, MESSAGE, FILE, MARK = 1, 2, 3, 4
STREAMS: tuple[Literal["stdout", "stderr"], ...] = ("stdout", "stdout", "stderr")
"""Streams by number; 0 is what a reader that lost its note says."""
CHANNELS: tuple[str, ...] = ("iopub", "shell", "control", "stdin")
MAX_TEXT = 64 * 1024
MAX_MESSAGE = 512 * 1024
"""Larger messages go through a file."""
MAX_EXECUTION = 200
"""Longest msg_id, in UTF-8 bytes."""

Run = tuple[int, bytes]
"""Whose text it is: stream number and execution."""

_FRAME = struct.Struct("<BBBBI")
_FDS = struct.Struct("<QQ")
_NOTE = struct.Struct("<QQBBB")
_U32 = struct.Struct("<I")
_FIVE = struct.Struct("<5I")
_MOST_FRAME = MAX_MESSAGE + 64 * 1024  # a message's parts also have sizes


class RingWriter:
    """The kernel's end of a ring that ``layout.format_ring`` has prepared.

    Threads and signal handlers may write in the middle of one another: what is written is prepared first, and then
    only stored if ``head`` has not moved meanwhile. Between that test and the last store nothing is called or
    allocated, so under the GIL no other Python code runs there. (A lock would cost as much as the whole write, and a
    signal handler would need it again.)

    The attributes are there for ``kernel/link.py``, which does the same in line.
    """

    __slots__ = ("data", "head", "lap", "run", "size", "stop", "words")

    format = staticmethod(format_ring)

    def __init__(self, memory: memoryview) -> None:
        self.words = memory[:HEADER].cast("Q")
        self.data = memory[HEADER:]
        self.size = _checked_size(self.words, self.data)
        self.head = self.words[HEAD]
        self.lap = self.head - self.head % self.size
        """The position of offset 0 in this lap."""
        self.stop = 0
        """The offset up to which there is room for certain in this lap; the slow path looks again."""
        self.run: Run | None = None

    @property
    def reader_waits(self) -> bool:
        """Does the reader nap or sleep? Asking also takes the note back: whoever gets True wakes it."""
        if self.words[WAITING]:
            self.words[WAITING] = AWAKE
            return True
        return False

    @property
    def is_empty(self) -> bool:
        """Has the reader taken everything?"""
        return self.words[TAIL] == self.head

    def text(self, stream: int, execution: bytes, data: bytes) -> bool:
        """Append at most MAX_TEXT bytes of UTF-8 stream text; False when there is no room now."""
        return self.text_of((stream, execution), data)

    def text_of(self, run: Run, data: bytes) -> bool:
        """The same for a run; afterwards ``self.run`` is this very object."""
        while True:
            head = self.head
            frame = data if run == self.run else _frame(RUN, run[0], run[1]) + data
            stored = self._store(frame, head, run)
            if stored is not None:
                return stored

    def message(self, channel: int, parts: Sequence[Buffer]) -> bool:
        """Append a message of at most MAX_MESSAGE bytes; False when there is no room now."""
        return self._append(_frame(MESSAGE, channel, pack_parts(parts)))

    def file(self, channel: int, name: str) -> bool:
        """Append the name of a file that holds a larger message."""
        return self._append(_frame(FILE, channel, name.encode()))

    def mark(self, execution: bytes, fd1: int, fd2: int) -> bool:
        """Append how far the captured descriptors have got."""
        return self._append(_frame(MARK, 0, _FDS.pack(fd1, fd2) + execution))

    def _append(self, frame: bytes) -> bool:
        while True:
            stored = self._store(frame, self.head, self.run)
            if stored is not None:
                return stored

    def _store(self, frame: bytes, head: int, run: Run | None) -> bool | None:
        """Append ``frame``, whole; False when there is no room now, None when ``head`` has moved."""
        limit = self.words[TAIL] + self.size
        end = head + len(frame)
        if end > limit:
            return False
        at = head % self.size
        first = min(len(frame), self.size - at)
        left, right = frame[:first], frame[first:]
        before_wrap, after_wrap = slice(at, at + first), slice(0, len(right))
        lap = end - end % self.size
        stop = min(self.size, limit - lap)
        if self.head != head:
            return None
        # From here to the end no call: see the class.
        self.data[before_wrap] = left
        self.data[after_wrap] = right
        self.head = end
        self.lap = lap
        self.stop = stop
        self.run = run
        self.words[HEAD] = end
        return True


class Text(msgspec.Struct, frozen=True):
    """At most MAX_TEXT bytes of stream text of one execution, cut between characters."""

    stream: Literal["stdout", "stderr"]
    execution: str
    data: bytes


class Parts(msgspec.Struct, frozen=True):
    """A message for ``channel``: the four JSON parts, then buffers."""

    channel: str
    parts: list[bytes]


class LargeParts(msgspec.Struct, frozen=True):
    """A message for ``channel`` that lies in the file ``name`` beside the ring."""

    channel: str
    name: str


class Mark(msgspec.Struct, frozen=True):
    """The captured descriptors had these sizes here; what follows belongs to ``execution``."""

    execution: str
    fd1: int
    fd2: int


Item = Text | Parts | LargeParts | Mark


class RingReader:
    """The supervisor's end. ``read`` gives items, ``confirm`` gives their space back once they are journaled.

    A second reader on the same memory (a new supervisor) goes on after what the first one confirmed; ``after`` is the
    position up to which the first one has journaled what it read, which may be further.
    """

    def __init__(self, memory: memoryview, after: int = 0) -> None:
        self._words = memory[:HEADER].cast("Q")
        self._header = memory[:HEADER]
        self._data = memory[HEADER:]
        self._size = _checked_size(self._words, self._data)
        self.position: int = self._words[TAIL]
        """How far the ring was read: the kernel's output number."""
        self.after = after
        """Items that end here or before were journaled by another reader: only marks and files of them are given again."""
        self.frames = 0
        """How many frames were read since the ring was made."""
        self.owner = b""
        """The execution that what the captured descriptors get belongs to: that of the last MARK."""
        self._before_mark: tuple[int, bytes] = self.position, b""
        self._stream, self._execution = 0, b""
        for offset in NOTES:
            position, frames, stream, length, owner_length = _NOTE.unpack_from(memory, offset)
            if position == self.position and stream < len(STREAMS) and max(length, owner_length) <= MAX_EXECUTION:
                self.frames, self._stream = frames, stream
                start = offset + _NOTE.size
                self._execution = bytes(memory[start : start + length])
                self.owner = bytes(memory[start + length : start + length + owner_length])

    def wait(self, how: int = SLEEPS) -> bool:
        """Note that the reader is about to sleep or nap; False when there is something to read after all."""
        self._words[WAITING] = how
        return self._words[HEAD] == self.position

    @property
    def is_new(self) -> bool:
        """The item that was given last was not journaled by another reader."""
        return self.position > self.after

    @property
    def has_more(self) -> bool:
        """Is there something that was not read?"""
        return self._words[HEAD] != self.position

    def read(self, most: int = 1024 * 1024) -> Iterator[Item]:
        """Items that are there now, about ``most`` bytes of the ring. An item counts as read once it was given."""
        head, begin = self._words[HEAD], self.position
        if not 0 <= head - begin <= self._size:
            raise RemoteProtocolError("the ring's head and tail contradict each other")
        # One copy of the whole stretch: then slicing needs no thought about the wrap.
        data = self._copy(begin, min(head, begin + most + _MOST_FRAME))
        is_all = begin + len(data) == head
        at = 0
        while at < min(len(data), most):
            if data[at] == ESCAPE:
                before = begin + at, self.owner
                at, item = self._frame(data, at)
                self.position = begin + at
                if isinstance(item, Mark):
                    self._before_mark = before
                # Not new, but to be looked at again: where descriptors are, and files that may not have been removed yet.
                if item is not None and (self.is_new or isinstance(item, Mark | LargeParts)):
                    yield item
                continue
            end = _text_end(data, at, is_all)
            text = data[max(at, min(end, self.after - begin)) : end]
            at = end
            self.position = begin + at
            if text:
                yield Text(STREAMS[self._stream], self._execution.decode("utf-8", "replace"), text)

    def again(self) -> None:
        """What the mark that was given last asks for is not done yet: the next :meth:`read` begins with it again."""
        self.position, self.owner = self._before_mark
        self.frames -= 1

    def confirm(self) -> None:
        """Everything read so far is safe: the writer may have its space. The note comes first."""
        tail = self._words[TAIL]
        if tail == self.position:
            return
        first, second = NOTES
        (noted,) = struct.unpack_from("<Q", self._header, first)
        offset = second if noted == tail else first
        note = _NOTE.pack(self.position, self.frames, self._stream, len(self._execution), len(self.owner))
        note += self._execution + self.owner
        self._header[offset : offset + len(note)] = note
        self._words[TAIL] = self.position

    def _frame(self, data: bytes, at: int) -> tuple[int, Item | None]:
        if at + _FRAME.size > len(data):
            raise RemoteProtocolError("a frame of the ring is cut short")
        _, kind, which, _, length = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        end = start + length
        if end > len(data):
            raise RemoteProtocolError("a frame of the ring is longer than what was published")
        body = data[start:end]
        self.frames += 1
        if kind == MESSAGE:
            return end, Parts(_channel(which), unpack_parts(body))
        if kind == FILE:
            return end, LargeParts(_channel(which), body.decode("utf-8", "replace"))
        if kind == MARK and _FDS.size <= length <= _FDS.size + MAX_EXECUTION:
            fd1, fd2 = _FDS.unpack_from(body)
            self.owner = body[_FDS.size :]
            return end, Mark(self.owner.decode("utf-8", "replace"), fd1, fd2)
        if kind == RUN and which < len(STREAMS) and length <= MAX_EXECUTION:
            self._stream, self._execution = which, body
            return end, None
        raise RemoteProtocolError(f"a frame of unknown kind {kind} in the ring")

    def _copy(self, start: int, end: int) -> bytes:
        low, high = start % self._size, start % self._size + (end - start)
        if high <= self._size:
            return bytes(self._data[low:high])
        return bytes(self._data[low:]) + bytes(self._data[: high - self._size])


def _checked_size(words: memoryview, data: memoryview) -> int:
    size = int(words[SIZE])
    if words[MAGIC_WORD] != MAGIC or size != len(data) or not size:
        raise RemoteProtocolError("this is not a kernel's ring, or it is another version's")
    return size


def _text_end(data: bytes, at: int, is_all: bool) -> int:
    """Where the text at ``at`` ends: at a frame, at the end of what was published, or after MAX_TEXT bytes."""
    escape = data.find(b"\xff", at, at + MAX_TEXT)
    if escape >= 0:
        return escape
    end = at + MAX_TEXT
    if end >= len(data):
        end = len(data)
        if is_all:
            return end  # writers publish whole characters
    # Cut before the character that would be cut in two: its first byte is no continuation byte (10xxxxxx).
    last = end - 1
    while last > at and end - last < 4 and data[last] & 0xC0 == 0x80:
        last -= 1
    width = 1 if data[last] < 0xC0 else 2 if data[last] < 0xE0 else 3 if data[last] < 0xF0 else 4
    return end if last + width <= end or last == at else last


def _frame(kind: int, which: int, body: bytes) -> bytes:
    return _FRAME.pack(ESCAPE, kind, which, 0, len(body)) + body


def _channel(number: int) -> str:
    if number >= len(CHANNELS):
        raise RemoteProtocolError(f"a frame for unknown channel {number} in the ring")
    return CHANNELS[number]


def pack_parts(parts: Sequence[Buffer]) -> bytes:
    """[u32 count][u32 size]*count[parts]: the form of a message in the ring and in the files beside it."""
    return pack_sizes(parts) + b"".join(parts)


def pack_sizes(parts: Sequence[Buffer]) -> bytes:
    """What comes before the parts in that form."""
    sizes = [len(part) if isinstance(part, bytes) else memoryview(part).nbytes for part in parts]
    return struct.pack(f"<{len(parts) + 1}I", len(parts), *sizes)


def unpack_parts(body: bytes) -> list[bytes]:
    """The inverse of :func:`pack_parts`."""
    if len(body) >= _FIVE.size and body[0] == 4 and not any(body[1:4]):  # no buffers: nearly every message
        _, one, two, three, four = _FIVE.unpack_from(body)
        sizes = (one, two, three, four)
    else:
        sizes = _sizes(body)
    at = 4 + 4 * len(sizes)
    if len(sizes) < 4 or at + sum(sizes) != len(body):
        raise RemoteProtocolError("a message in the ring has the wrong size")
    result: list[bytes] = []
    for size in sizes:
        result.append(body[at : at + size])
        at += size
    return result


def _sizes(body: bytes) -> tuple[int, ...]:
    try:
        (count,) = _U32.unpack_from(body, 0)
        return struct.unpack_from(f"<{count}I", body, 4)
    except struct.error:
        raise RemoteProtocolError("a message in the ring is cut short") from None
