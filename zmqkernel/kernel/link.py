"""The outlet of a kernel under a supervisor: the calling thread itself writes into the ring.

When ``print`` returns, the text lies in memory that the supervisor maps as well: the next statement may hold the GIL, and
the process may be killed.
"""

from __future__ import annotations

import itertools
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..protocol.layout import HEAD, SLEEPS, WAITING
from ..protocol.ring import CHANNELS, MAX_MESSAGE, MAX_TEXT, RingWriter, pack_sizes
from ..protocol.wire import Buffer, Message
from .descriptors import Captured
from .forks import let_go, watch_forks
from .outlet import NOBODY, NUMBERS, valid, write_descriptor
from .ownership import Owner, current
from .ownership import owner as owner_now

# The order of what Python prints against what C code and children write to fd 1 and 2. Looking at the files' sizes before every
# write would keep it exactly, and make a print two to four times as expensive (measured). So a write looks unless the last
# one was so short ago that its thread cannot have called write(2) in between: that is exact. When many looks in a row have
# found nothing, only after a pause that makes the look cheap, and every LOOK seconds: then the first text of C code
# or a child after a flood of prints may come up to LOOK late in the order. It is never lost.
BRIEF = 5e-7
"""Seconds. Less lies between the two writes of one print; a write(2) and the calls around it take longer."""
PAUSE = 2e-5
"""Seconds: the same, once PATIENCE is at its end."""
PATIENCE = 500
"""Looks that found nothing. A cell that only prints pays 2 ms for them, once; every cell begins with all of it."""
REWARD = 50
"""Looks that one which found something is worth: C code that goes on writing is never late again."""
LOOK = 0.001
LARGE_WAITING = 64 * 1024 * 1024
"""Bytes of large messages that wait for the supervisor, beyond which the kernel waits."""
LONGEST_WAIT = 0.005
"""Seconds of sleep while the ring is full."""


class RingOutlet:
    """``Outlet`` over ``directory/ring``; ``captured`` is descriptors.capture(directory), None leaves fd 1 and 2 alone."""

    def __init__(self, directory: Path, captured: Captured | None = None) -> None:
        self._directory = directory
        self._captured = captured
        with open(directory / "ring", "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
            ring = os.fstat(file.fileno())
        # A child must not write here even if no Python hook ran when it was forked: it has no such memory.
        self._memory.madvise(mmap.MADV_DONTFORK)
        self._ring = RingWriter(memoryview(self._memory))
        self._fifo = os.open(directory / "wake", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        wake = os.fstat(self._fifo)
        self._files = {(ring.st_dev, ring.st_ino), (wake.st_dev, wake.st_ino)}
        self._lock = threading.RLock()
        self._gates = {stream: _Gate() for stream in NUMBERS}
        self._look_at = self._fresh = 0.0
        self._brief = BRIEF
        self._patience = PATIENCE
        self._marked: tuple[bytes, int, int] = (b"", 0, 0)
        self._large = itertools.count(1)
        self._large_files: list[tuple[Path, int]] = []
        self._forked = self._immortal = False
        watch_forks(self)

    def send(self, channel: str, *messages: Message, soon: bool = False) -> None:
        if self._forked:
            return  # a child process has no front end: its text goes to fd 1 and 2, its messages nowhere
        number = CHANNELS.index(channel)
        with self._lock:
            if time.monotonic() >= self._fresh:
                self._look(self._marked[0])
            for message in messages:
                self._message(number, message)
        if not soon:
            self._wake()

    def text(self, stream: str, text: str, owner: Owner | None) -> None:
        if self._forked:
            write_descriptor(stream, text)
            return
        if not text:
            return
        run = (NUMBERS[stream], owner.key if owner else b"")
        with self._lock:
            self._look(self._marked[0])
            for piece in _pieces(text):
                self._until_stored(lambda piece=piece: self._ring.text_of(run, piece))
            gate = self._gates[stream]
            gate.owner, gate.run = owner or NOBODY, run
        self._fresh = time.monotonic() + self._brief
        self._wake_for(text)

    def writer(self, stream: str) -> Callable[[str], int]:
        gate, ring, get, clock = self._gates[stream], self._ring, current.get, time.monotonic
        data, words, encode, size = ring.data, ring.words, str.encode, len

        def write(text: str) -> int:
            now = clock()
            # Each test of ``ring.head`` is the last: from there to the store of HEAD nothing is called, see RingWriter.
            if text is NEWLINE:  # every other write of print(), and too cheap to encode
                head = ring.head
                at = head - ring.lap
                if (
                    at < ring.stop
                    and now < self._fresh
                    and get() is gate.owner
                    and ring.run is gate.run
                    and ring.head == head
                ):
                    data[at] = 10
                    ring.head = head = head + 1
                    words[HEAD] = head
                    self._fresh = now + self._brief
                    if words[WAITING] == SLEEPS:
                        self._wake()
                    return 1
            else:
                try:
                    raw = encode(text)
                except UnicodeEncodeError:
                    raw = b""  # the slow way replaces surrogates
                length = size(raw)
                head = ring.head
                at = head - ring.lap
                end = at + length
                where = slice(at, end)
                if (
                    0 < length <= MAX_TEXT
                    and end <= ring.stop
                    and now < self._fresh
                    and now < self._look_at
                    and get() is gate.owner
                    and ring.run is gate.run
                    and ring.head == head
                ):
                    data[where] = raw
                    ring.head = head = head + length
                    words[HEAD] = head
                    self._fresh = now + self._brief
                    if words[WAITING] == SLEEPS:
                        self._wake_for(text)
                    return size(text)
            self.text(stream, text, owner_now())
            return size(text)

        return write

    def settle(self, owner: Owner | None) -> None:
        if self._forked or not self._captured:
            return
        self._captured.flush()
        with self._lock:
            self._look(owner.key if owner else b"")
            self._patience, self._brief = PATIENCE, BRIEF
        self._wake()

    def close(self) -> None:
        if self._captured and not self._forked:
            self._captured.flush()
            with self._lock:
                self._look(self._marked[0])
            self._wake()

    def before_fork(self) -> None:
        """Keep the mapping object alive for ever: freed in a child, it would unmap whatever lies at its address there."""
        if not self._immortal:
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._memory))
            self._immortal = True

    def forked(self) -> None:
        """In a child process: from now on text goes to the file descriptors, and ring and FIFO are let go."""
        self._forked = True
        self._lock = threading.RLock()  # another thread of the parent may have held it
        for gate in self._gates.values():
            gate.owner = NOBODY
        let_go(lambda _, what: (what.st_dev, what.st_ino) in self._files)  # the mapping holds a descriptor as well

    def _message(self, channel: int, message: Message) -> None:
        parts: list[Buffer] = [message.header_json, message.parent_json, message.metadata_json, message.content_json]
        parts += message.buffers
        sizes = pack_sizes(parts)
        size = len(sizes) + sum(memoryview(part).nbytes for part in parts)
        if size <= MAX_MESSAGE:
            self._until_stored(lambda: self._ring.message(channel, parts))
            return
        self._until_stored(self._has_room_for_large)
        path = self._directory / f"large-{next(self._large)}"
        try:
            _write_file(path, [sizes, *parts])
            self._until_stored(lambda: self._ring.file(channel, path.name))
        except BaseException:
            path.unlink(missing_ok=True)  # nobody was told of it
            raise
        self._large_files.append((path, size))

    def _has_room_for_large(self) -> bool:
        """Large messages take hardly any room in the ring: their files are bounded as well. The reader removes them."""
        if sum(size for _, size in self._large_files) > LARGE_WAITING:
            self._large_files = [one for one in self._large_files if one[0].exists()]
        return sum(size for _, size in self._large_files) <= LARGE_WAITING

    def _look(self, key: bytes) -> None:
        """Mark how far the descriptors' files have got, if they got further or belong to another cell from here on."""
        self._look_at = time.monotonic() + LOOK
        if not self._captured:
            return
        mark = (key, *self._captured.sizes())
        if mark == self._marked:
            self._patience = max(0, self._patience - 1)
        else:
            self._until_stored(lambda: self._ring.mark(*mark))
            self._marked = mark
            self._patience = min(PATIENCE, self._patience + REWARD)
        self._brief = BRIEF if self._patience else PAUSE

    def _until_stored(self, store: Callable[[], bool]) -> None:
        """Nothing is dropped: while the ring is full, wait for the supervisor. An interrupt leaves nothing half done."""
        delay = 0.0002
        while not store():
            self._wake()
            time.sleep(delay)
            delay = min(2 * delay, LONGEST_WAIT)

    def flush(self) -> None:
        if not self._forked:
            self._wake()

    def _wake_for(self, text: str) -> None:
        """Half a line wakes nobody: the other half mostly follows at once, and the supervisor looks often anyway."""
        if text.endswith("\n") and self._ring.words[WAITING] == SLEEPS:
            self._wake()

    def _wake(self) -> None:
        if self._ring.reader_waits:
            try:
                os.write(self._fifo, b"\0")
            except BlockingIOError:
                pass  # the FIFO is full of wake-ups already


NEWLINE = "\n"


class _Gate:
    """The owner who wrote last on a stream, and his run: if it is still the ring's run, text is just appended."""

    __slots__ = ("owner", "run")

    def __init__(self) -> None:
        self.owner: object = NOBODY
        self.run: object = NOBODY


def _pieces(text: str) -> Iterator[bytes]:
    """``text`` in UTF-8, in pieces that the ring takes."""
    if not isinstance(text, str):
        raise TypeError(f"write() argument must be str, not {type(text).__name__}")
    step = MAX_TEXT if text.isascii() else MAX_TEXT // 4
    for at in range(0, len(text), step):
        yield valid(text[at : at + step]).encode()


def _write_file(path: Path, parts: list[Buffer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        for part in parts:
            file.write(part)
