"""The supervisor's end of the link to a kernel, in two forms that give the same things.

:class:`RingLink` is for our own kernel: requests go by ZeroMQ, everything it says comes through the ring and the files
of the captured descriptors. :class:`SocketLink` is for any Jupyter kernel: it is an ordinary client of it.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import zmq

from ..protocol.connection import ConnectionInfo
from ..protocol.errors import RemoteProtocolError
from ..protocol.layout import NAPS, SLEEPS
from ..protocol.ring import LargeParts, Mark, Parts, RingReader, Text, unpack_parts
from ..protocol.wire import Message, Wire, message_of
from .frames import receive_frames, send_frames
from .log import log
from .tails import DescriptorTail

BUSY_TAIL = 0.02
IDLE_TAIL = 0.5
"""How often the captured descriptors' files are looked at, in seconds, while a cell runs and between cells."""
NAP = 0.002
"""Seconds between looks at the ring while text flows: it is cheaper for both sides than a wake-up for every line."""
TURN = 4 * 1024 * 1024
"""Bytes of messages that are taken from the kernel in one turn of the loop."""
DRAIN = 0.2
"""Seconds in which the last messages of a dead kernel arrive."""
RETRY = 5
"""Milliseconds between attempts to connect: we mostly knock before the new kernel has bound, and ZeroMQ would wait 100."""
Taken = tuple[int, int, int]
"""How far a kernel's output was taken: (position in the ring, offset in fd1, offset in fd2)."""

Context = zmq.Context[zmq.Socket[bytes]]


class Said(Protocol):
    """Who hears what a kernel says; the relay."""

    def message(self, channel: str, message: Message) -> None: ...
    def text(self, stream: str, execution: str, text: str) -> None: ...
    def skip(self, execution: str, size: int) -> bool: ...
    def is_cut(self, execution: str) -> bool: ...


class RingLink:
    """To a kernel of ours that was started with ``--link DIRECTORY``; ``taken`` is how far another supervisor has journaled
    its output. ``info`` None: the kernel is dead, and only what it has said is wanted."""

    def __init__(
        self, context: Context, info: ConnectionInfo | None, wire: Wire, directory: Path, taken: Taken | None = None
    ) -> None:
        self._directory = directory
        self._wire = wire
        with open(directory / "ring", "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        after, fd1, fd2 = taken or (0, 0, 0)
        self._ring = RingReader(memoryview(self._memory), after)
        self._fifo = os.open(directory / "wake", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._tails = (
            DescriptorTail(directory / "fd1", "stdout", fd1),
            DescriptorTail(directory / "fd2", "stderr", fd2),
        )
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        if info is not None:
            self._sockets = {name: _dealer(context, info.endpoint(name)) for name in ("shell", "control", "stdin")}
        self._owner = self._ring.owner.decode("utf-8", "replace")
        self._large: list[Path] = []
        self._looked = 0.0
        self._flows = False
        self.pollable: list[int | zmq.Socket[bytes]] = [self._fifo]

    def taken(self) -> Taken | None:
        """How far the kernel's output was handed over."""
        first, second = self._tails
        return max(self._ring.position, self._ring.after), first.taken, second.taken

    def send(self, channel: str, message: Message) -> None:
        """Forward a request."""
        frames = self._wire.pack(Message(message.header, *message_parts(message), buffers=message.buffers))
        send_frames(self._sockets[channel], frames)

    def ready_to_sleep(self) -> bool:
        """Ask the kernel to wake us; False when there is something to read already."""
        return self._ring.wait(NAPS if self._flows else SLEEPS)

    def deadline(self, busy: bool) -> float:
        """Seconds until the ring and the files want to be looked at again."""
        if self._flows:
            return NAP
        return max(0.0, self._looked + (BUSY_TAIL if busy else IDLE_TAIL) - time.monotonic())

    def woken(self) -> None:
        """The FIFO woke us: empty it."""
        try:
            os.read(self._fifo, 4096)
        except BlockingIOError:
            pass  # it is empty: another wake-up was for the same byte

    def receive(self, said: Said) -> bool:
        """Hand over what the kernel has said since; True when there is more already."""
        self._flows = False
        size = 0
        for item in self._ring.read():
            self._flows = isinstance(item, Text)
            if isinstance(item, Text):
                said.text(item.stream, item.execution, item.data.decode("utf-8", "replace"))
            elif not isinstance(item, Mark):
                size += self._message(item, said)
                if size > TURN:
                    return True  # the door gets its turn, and the journal
            elif self._take_tails(said, item.fd1, item.fd2):
                self._owner = item.execution
            else:
                self._ring.again()
                return True
        if not self._ring.has_more and time.monotonic() - self._looked >= BUSY_TAIL:
            self._looked = time.monotonic()
            if not self._take_tails(said):
                self._looked = 0.0  # there is more than belongs into one turn
                return True
        return self._ring.has_more

    def _take_tails(self, said: Said, fd1: int | None = None, fd2: int | None = None) -> bool:
        first, second = self._tails
        done = first.take(said, self._owner, fd1)
        return second.take(said, self._owner, fd2) and done

    def confirm(self) -> None:
        """All that was handed over is journaled."""
        for path in self._large:
            path.unlink(missing_ok=True)  # before the ring forgets it: the kernel waits for files that stay
        self._large.clear()
        self._ring.confirm()
        for tail in self._tails:
            tail.confirm()

    def drained(self, said: Said) -> bool:
        """The kernel is dead: hand over more of the rest; True: that was all."""
        self._looked = 0.0
        if self.receive(said):
            return False
        for tail in self._tails:
            tail.take(said, self._owner, final=True)
        return True

    def close(self) -> None:
        """Close everything of this kernel's generation."""
        for socket in self._sockets.values():
            socket.close(linger=0)
        for tail in self._tails:
            tail.close()
        os.close(self._fifo)

    def _message(self, item: Parts | LargeParts, said: Said) -> int:
        """Hand over a message; returns its size in bytes."""
        if isinstance(item, LargeParts):
            path = self._directory / Path(item.name).name
            self._large.append(path)
            if not self._ring.is_new:
                return 0  # journaled by a supervisor that died before it could remove the file
            parts = self._read_large(path)
        else:
            parts = item.parts
        try:
            message = message_of(parts)
        except RemoteProtocolError as error:
            log(f"link: a message that cannot be read was dropped: {error}")
            return 0
        said.message(item.channel, message)
        return sum(map(len, parts))

    def _read_large(self, path: Path) -> list[bytes]:
        try:
            return unpack_parts(path.read_bytes())
        except (OSError, RemoteProtocolError) as error:
            # Somebody has removed or cut the file: what it held is gone, and what comes after it must not be.
            log(f"link: a large message is lost: {error}")
            return []


def message_parts(message: Message) -> tuple[bytes, bytes, bytes, bytes]:
    """The four JSON parts."""
    return message.header_json, message.parent_json, message.metadata_json, message.content_json


class SocketLink:
    """To any other Jupyter kernel."""

    def __init__(self, context: Context, info: ConnectionInfo, wire: Wire) -> None:
        self._wire = wire
        self._sockets = {name: _dealer(context, info.endpoint(name)) for name in ("shell", "control", "stdin")}
        iopub = context.socket(zmq.SUB)
        iopub.reconnect_ivl = RETRY
        iopub.set_hwm(0)  # the journal takes everything; the kernel's own mark bounds the memory
        iopub.subscribe(b"")
        iopub.connect(info.endpoint("iopub"))
        self._sockets["iopub"] = iopub
        self._dead_since = 0.0
        self.pollable: list[int | zmq.Socket[bytes]] = list(self._sockets.values())

    def send(self, channel: str, message: Message) -> None:
        """Forward a request."""
        frames = self._wire.pack(Message(message.header, *message_parts(message), buffers=message.buffers))
        send_frames(self._sockets[channel], frames)

    def taken(self) -> Taken | None:
        """Such a kernel does not number what it says."""
        return None

    def ready_to_sleep(self) -> bool:
        """The sockets wake the poller by themselves."""
        return True

    def woken(self) -> None:
        """The sockets are read by :meth:`receive`."""

    def deadline(self, busy: bool) -> float:  # noqa: ARG002  the same face as RingLink
        """There is nothing to look at by time."""
        return 3600.0

    def receive(self, said: Said) -> bool:
        """Hand over what has arrived. iopub first: a reply must not overtake the output before it by much."""
        for name in ("iopub", "stdin", "control", "shell"):
            for message in self._messages(name):
                said.message(name, message)
        return False

    def _messages(self, name: str) -> Iterator[Message]:
        for _ in range(500):
            frames = receive_frames(self._sockets[name])
            if frames is None:
                return
            try:
                yield self._wire.unpack(frames)
            except RemoteProtocolError as error:
                log(f"link: a message that cannot be read was dropped: {error}")

    def confirm(self) -> None:
        """Nothing is kept on the other side."""

    def drained(self, said: Said) -> bool:
        """The kernel is dead: what its sockets still held arrives within a moment. True: the moment is over."""
        self._dead_since = self._dead_since or time.monotonic()
        self.receive(said)
        return time.monotonic() - self._dead_since > DRAIN

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close(linger=0)


def _dealer(context: Context, endpoint: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.reconnect_ivl = RETRY
    socket.set_hwm(0)  # requests wait in the journal's pending table anyway, and a cell is never dropped
    socket.connect(endpoint)
    return socket
