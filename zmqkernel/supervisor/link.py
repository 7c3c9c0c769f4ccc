"""The supervisor's end of the link to a kernel, in two forms that give the same things.

:class:`RingLink` is for our own kernel: requests go by ZeroMQ, everything it says comes through the ring and the files
of the captured descriptors. :class:`SocketLink` is for any Jupyter kernel: it is an ordinary client of it.
"""

from __future__ import annotations

import codecs
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

BUSY_TAIL = 0.02
IDLE_TAIL = 0.5
"""How often the captured descriptors' files are looked at, in seconds, while a cell runs and between cells."""
NAP = 0.002
"""Seconds between looks at the ring while text flows: it is cheaper for both sides than a wake-up for every line."""
RETRY = 5
"""Milliseconds between attempts to connect: we mostly knock before the new kernel has bound, and ZeroMQ would wait 100."""
CHUNK = 64 * 1024

Context = zmq.Context[zmq.Socket[bytes]]


class Said(Protocol):
    """Who hears what a kernel says; the relay."""

    def message(self, channel: str, message: Message) -> None: ...
    def text(self, stream: str, execution: str, text: str) -> None: ...


class RingLink:
    """To a kernel of ours that was started with ``--link DIRECTORY``."""

    def __init__(self, context: Context, info: ConnectionInfo, wire: Wire, directory: Path) -> None:
        self._directory = directory
        self._wire = wire
        self._sockets = {name: _dealer(context, info.endpoint(name)) for name in ("shell", "control", "stdin")}
        with open(directory / "ring", "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._ring = RingReader(memoryview(self._memory))
        self._fifo = os.open(directory / "wake", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._tails = (DescriptorTail(directory / "fd1", "stdout"), DescriptorTail(directory / "fd2", "stderr"))
        self._owner = ""
        self._large: list[Path] = []
        self._looked = 0.0
        self._flows = False
        self.pollable: list[int | zmq.Socket[bytes]] = [self._fifo]

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
        for item in self._ring.read():
            self._flows = isinstance(item, Text)
            if isinstance(item, Text):
                said.text(item.stream, item.execution, item.data.decode("utf-8", "replace"))
            elif isinstance(item, Mark):
                self._tails[0].take(said, self._owner, item.fd1)
                self._tails[1].take(said, self._owner, item.fd2)
                self._owner = item.execution
            else:
                self._message(item, said)
        if not self._ring.has_more and time.monotonic() - self._looked >= BUSY_TAIL:
            self._looked = time.monotonic()
            for tail in self._tails:
                tail.take(said, self._owner, None)
        return self._ring.has_more

    def confirm(self) -> None:
        """All that was handed over is journaled."""
        self._ring.confirm()
        for path in self._large:
            path.unlink(missing_ok=True)
        self._large.clear()

    def drain(self, said: Said) -> None:
        """The kernel is dead: hand over the rest."""
        while self.receive(said):
            pass
        for tail in self._tails:
            tail.take(said, self._owner, None, final=True)

    def close(self) -> None:
        """Close everything of this kernel's generation."""
        for socket in self._sockets.values():
            socket.close(linger=0)
        for tail in self._tails:
            tail.close()
        os.close(self._fifo)

    def _message(self, item: Parts | LargeParts, said: Said) -> None:
        if isinstance(item, LargeParts):
            path = self._directory / Path(item.name).name
            self._large.append(path)
            parts = unpack_parts(path.read_bytes())
        else:
            parts = item.parts
        try:
            message = message_of(parts)
        except RemoteProtocolError as error:
            os.write(2, f"link: a message that cannot be read was dropped: {error}\n".encode())
            return
        said.message(item.channel, message)


def message_parts(message: Message) -> tuple[bytes, bytes, bytes, bytes]:
    """The four JSON parts."""
    return message.header_json, message.parent_json, message.metadata_json, message.content_json


class DescriptorTail:
    """What a captured file descriptor has appended, as text."""

    def __init__(self, path: Path, stream: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._stream = stream
        self._offset = 0
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, said: Said, owner: str, upto: int | None, final: bool = False) -> None:
        """Hand over the bytes up to offset ``upto`` (None: all that are there)."""
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:
            self._offset = 0  # a child has truncated it (echo > /dev/stdout): what is there now is new
        end = size if upto is None else min(upto, size)
        while self._offset < end:
            data = os.pread(self._descriptor, min(CHUNK, end - self._offset), self._offset)
            if not data:
                break  # truncated just now: the next look begins anew
            self._offset += len(data)
            text = self._decode.decode(data)
            if text:
                said.text(self._stream, owner, text)
        if final and (rest := self._decode.decode(b"", True)):
            said.text(self._stream, owner, rest)

    def close(self) -> None:
        os.close(self._descriptor)


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
        self.pollable: list[int | zmq.Socket[bytes]] = list(self._sockets.values())

    def send(self, channel: str, message: Message) -> None:
        """Forward a request."""
        frames = self._wire.pack(Message(message.header, *message_parts(message), buffers=message.buffers))
        send_frames(self._sockets[channel], frames)

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
                os.write(2, f"link: a message that cannot be read was dropped: {error}\n".encode())

    def confirm(self) -> None:
        """Nothing is kept on the other side."""

    def drain(self, said: Said) -> None:
        """The kernel is dead: what its sockets still held arrives within a moment."""
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            self.receive(said)
            time.sleep(0.02)

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close(linger=0)


def _dealer(context: Context, endpoint: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.reconnect_ivl = RETRY
    socket.set_hwm(0)  # requests wait in the journal's pending table anyway, and a cell is never dropped
    socket.connect(endpoint)
    return socket
