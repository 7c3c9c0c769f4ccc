"""The one way out of the kernel: everything it says, in order.

Two outlets with the same face: :class:`SocketOutlet` (a bare kernel; the io thread takes messages and sends them) and
:class:`~zmqkernel.kernel.link.RingOutlet` (under a supervisor; the calling thread writes into shared memory).

Writing text is the hottest path of the product: two calls for every ``print``. So an outlet hands out one function for
each stream, :meth:`Outlet.writer`, which has everything in closure cells and does the usual case (the cell that wrote last
writes again) in line. These functions take no lock: their last test and the store after it have no call in between, and
under the GIL no other thread and no signal handler runs there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Protocol

import msgspec

from ..protocol.messages import Stream
from ..protocol.wire import Message
from .descriptors import Captured
from .forks import watch_forks
from .ownership import Owner, current
from .ownership import owner as owner_now

Wake = Callable[[], None]
Build = Callable[[str, msgspec.Struct, Owner | None], Message]

NUMBERS = {"stdout": 1, "stderr": 2}
"""Stream name to file descriptor; the ring numbers streams the same way."""

INTERVAL = 0.005
"""Seconds for which text is collected after some was sent."""
CHUNK = 256 * 1024
"""Most characters in one stream message."""
LIGHT = 4096
"""Longer text and larger messages are weighed."""
MANY = 16 * 1024
HEAVY = 64 * 1024 * 1024
"""Most things in the queue, and most weight of those that are weighed: then writers wait for the io thread."""
ACTIVE = 2.0
TAIL_ACTIVE = 0.02
TAIL_IDLE = 0.1
"""The files of fd 1 and 2 are looked at every TAIL_ACTIVE seconds until ACTIVE seconds after the last sign of life."""


class Outlet(Protocol):
    """Where the kernel's messages and text go. Every method may be called from any thread and from signal handlers."""

    def send(self, channel: str, *messages: Message, soon: bool = False) -> None:
        """Send messages on ``iopub``, ``shell``, ``control`` or ``stdin``; several go in order with one wake-up.

        ``soon``: wake nobody for them. They go with what follows, or within some tens of milliseconds.
        """
        ...

    def text(self, stream: str, text: str, owner: Owner | None) -> None:
        """Text for ``stdout`` or ``stderr``. When this returns the text has its place in the order."""
        ...

    def writer(self, stream: str) -> Callable[[str], int]:
        """The ``write`` of a text stream: like :meth:`text` for whoever owns output now, and fast."""
        ...

    def flush(self) -> None:
        """Somebody wants to see now what was written."""
        ...

    def settle(self, owner: Owner | None) -> None:
        """Take in what C code and child processes wrote so far to fd 1 and 2; what they write next belongs to ``owner``.

        Call it at the start of a cell, and before its execute_result, error, reply and idle.
        """
        ...

    def close(self) -> None:
        """The last call: everything that was written can be read by the other side (SocketOutlet: by ``drain``)."""
        ...


class SocketOutlet:
    """The outlet of a bare kernel. Without ``captured`` file descriptors 1 and 2 are not read.

    ``wake`` is called from any thread when the io thread should call :meth:`drain` now; ``build`` makes a stream message.

    The queue is one list that lives as long as the outlet: writers append, and the io thread alone takes from its
    front, so there is no swap in which text could be lost. Text lies in it as plain strings after a :class:`_Run` that
    says whose it is.
    """

    def __init__(self, wake: Wake, build: Build, captured: Captured | None = None) -> None:
        self._wake = wake
        self._build = build
        self._captured = captured
        self._tails = captured.tails() if captured else []
        self._queue: list[str | _Run | tuple[str, Message]] = []
        self._run: _Run | None = None  # whose text may be appended without saying so; None: say it
        self._runs = 0
        self._drained = _Run("stdout", None)
        self._gates = {stream: _Gate() for stream in NUMBERS}
        self._lock = threading.RLock()
        self._inside = self._taking = 0  # the thread that holds the lock below
        self._tail_lock = threading.Lock()
        self._tail_owner: Owner | None = None
        self._heavy = 0
        self._room = threading.Event()
        self._drainer = 0
        self._woken = self._urgent = self._closed = self._forked = False
        self._idle = True
        self._next = self._active_until = 0.0
        watch_forks(self)

    def send(self, channel: str, *messages: Message, soon: bool = False) -> None:
        if self._forked:
            return  # a child process has no front end: its text goes to fd 1 and 2, its messages nowhere
        if len(self._queue) >= MANY or self._heavy > HEAVY:
            self._wait_for_room()
        for message in messages:
            if message.buffers or len(message.content_json) > LIGHT:
                self._heavy += _weight(message)
        self._queue.extend(zip(repeat(channel), messages, strict=False))
        if soon:
            return
        self._urgent = True
        if not self._woken:
            self._woken = True
            self._wake()

    def text(self, stream: str, text: str, owner: Owner | None) -> None:
        if self._forked:
            write_descriptor(stream, text)
            return
        self._take_tails(wait=False)
        self._append(stream, text, owner)

    def writer(self, stream: str) -> Callable[[str], int]:
        queue, gate = self._queue, self._gates[stream]
        append, get, size = queue.append, current.get, len

        def write(text: str) -> int:
            length = size(text)
            if (
                length < LIGHT
                and size(queue) < MANY
                and type(text) is str
                and get() is gate.owner
                and self._run is gate.run
            ):
                append(text)
                return length
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            self.text(stream, str(text), owner_now())
            return length

        return write

    def flush(self) -> None:
        """Nothing to do: the first write after a pause has woken the io thread, and it comes back every few ms."""

    def settle(self, owner: Owner | None) -> None:
        if self._captured and not self._forked:
            self._captured.flush()
            for tail in self._tails:
                # Mostly there is nothing: two system calls say so. A thread that takes something now has it queued soon.
                if os.lseek(tail.file, 0, os.SEEK_END) != tail.position or self._tail_lock.locked():
                    self._take_tails(wait=True)
                    break
            self._tail_owner = owner
            self._active_until = time.monotonic() + ACTIVE

    def close(self) -> None:
        self.settle(self._tail_owner)
        self._closed = True
        self._wake()

    def drain(self) -> Iterator[tuple[str, Message]]:
        """For the io thread, when woken and after :meth:`due` seconds: what to send now. Run it to its end."""
        self._drainer = threading.get_ident()
        self._woken = False
        now = time.monotonic()
        if now < self._next and not self._urgent and not self._closed:
            return
        self._urgent = self._idle = False
        self._take_tails(wait=False, most=1)
        # The next write takes the slow way: it looks at the descriptors, and wakes us if we sleep.
        self._run = None
        if not self._queue:
            self._idle = True
            if not self._queue:  # else a writer has not seen the note, and nobody will wake us
                return
            self._idle = False
        self._next = now + INTERVAL
        yield from self._take()

    def due(self) -> float:
        """Seconds until ``drain`` should be called again if nobody wakes the io thread."""
        now = time.monotonic()
        if not self._idle:
            return max(0.0, self._next - now)
        if not self._tails:
            return 60.0
        return TAIL_ACTIVE if now < self._active_until else TAIL_IDLE

    def before_fork(self) -> None:
        """Nothing to prepare."""

    def forked(self) -> None:
        """In a child process: from now on text goes to the file descriptors."""
        self._forked = True
        self._wake = lambda: None  # its descriptor is closed in here, and may be the user's
        self._run = None
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._tail_lock = threading.Lock()

    def _append(self, stream: str, text: str, owner: Owner | None) -> None:
        self._wait_for_room()
        if len(text) >= LIGHT:
            self._heavy += len(text)
        run, gate = _Run(stream, owner), self._gates[stream]
        with self._lock:
            self._inside = threading.get_ident()
            self._run = None
            self._runs += 1
            mine = self._runs
            self._queue.extend((run, text))
            # A signal handler that wrote in between has put its run before or after ours: then nobody knows.
            self._run = run if self._runs == mine else None
            gate.owner, gate.run = owner or NOBODY, run
            self._inside = 0
        if self._idle and not self._woken:
            self._woken = True
            self._wake()

    def _wait_for_room(self) -> None:
        while (len(self._queue) >= MANY or self._heavy > HEAVY) and not self._closed:
            if threading.get_ident() in (self._drainer, self._inside):
                return  # the io thread would wait for itself, a signal handler for the io thread that needs our lock
            self._room.clear()
            self._urgent = True
            self._wake()
            self._room.wait(0.05)

    def _take(self) -> Iterator[tuple[str, Message]]:
        count = len(self._queue)
        items = self._queue[:count]
        del self._queue[:count]
        self._room.set()
        start = 0
        for at in [at for at, item in enumerate(items) if type(item) is not str]:
            yield from self._streams(items, start, at)
            start = at + 1
            item = items[at]
            if isinstance(item, _Run):
                self._drained = item
            elif isinstance(item, tuple):
                yield item
                self._heavy -= _weight(item[1])
        yield from self._streams(items, start, count)

    def _streams(self, items: list[Any], start: int, end: int) -> Iterator[tuple[str, Message]]:
        """The messages of the strings from ``start`` to ``end``; only the first of them can be heavy."""
        if start < end and len(items[start]) >= LIGHT:
            yield from self._chunks(items[start])
            self._heavy -= len(items[start])
            start += 1
        if start < end:
            yield from self._chunks("".join(items[start:end]))

    def _chunks(self, text: str) -> Iterator[tuple[str, Message]]:
        stream, owner = self._drained.stream, self._drained.owner
        for at in range(0, len(text), CHUNK):
            yield "iopub", self._build("stream", Stream(stream, valid(text[at : at + CHUNK])), owner)

    def _take_tails(self, wait: bool, most: int = 1 << 30) -> None:
        """Queue what the descriptors' files got. Waiting for another thread that does it is only worth it in ``settle``."""
        if not self._tails or self._taking == threading.get_ident() or not self._tail_lock.acquire(blocking=wait):
            return
        try:
            self._taking = threading.get_ident()
            for tail in self._tails:
                for text in tail.take(most):
                    self._append(tail.stream, text, self._tail_owner)
                    self._active_until = time.monotonic() + ACTIVE
        finally:
            self._taking = 0
            self._tail_lock.release()


class _Nobody:
    """An owner that nobody is."""


NOBODY = _Nobody()


class _Run:
    """In the queue: the text after this belongs to ``owner`` and ``stream``."""

    __slots__ = ("owner", "stream")

    def __init__(self, stream: str, owner: Owner | None) -> None:
        self.stream = stream
        self.owner = owner


class _Gate:
    """The owner who wrote last on a stream, and his run: if it is still the outlet's run, text is just appended."""

    __slots__ = ("owner", "run")

    def __init__(self) -> None:
        self.owner: object = NOBODY
        self.run: object = NOBODY


def _weight(message: Message) -> int:
    weight = len(message.content_json)
    for buffer in message.buffers:
        weight += memoryview(buffer).nbytes
    return weight if weight > LIGHT else 0


def valid(text: str) -> str:
    """``text`` with lone surrogates replaced; pairs become the character that they mean."""
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def write_descriptor(stream: str, text: str) -> None:
    """Write to file descriptor 1 or 2 itself: how a forked child prints; the parent's capture takes it in."""
    data = memoryview(valid(text).encode())
    while data:
        data = data[os.write(NUMBERS[stream], data) :]
