"""The door: every socket that a client ever sees, and the only file that sends on one.

Messages are queued during a turn of the loop and sent by :meth:`Door.flush`, after the journal has what they say.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence

import zmq

from ..protocol.connection import CHANNELS, ConnectionInfo
from ..protocol.errors import RemoteProtocolError, ZmqKernelError
from ..protocol.messages import IopubWelcome
from ..protocol.wire import Buffer, Message, Wire
from .frames import receive_frames, send_frames

REQUESTS = ("control", "shell", "stdin")
"""The channels on which clients send, in the order in which a turn reads them."""
PUBLISH_MARK = 250
"""Messages that wait for a subscriber: at 64 KB each 16 MB when one stops reading."""
STALL = 2.0
"""Seconds that healthy subscribers wait for a stalled one before it loses messages. A slow one that reads makes room
only every 500 messages (half of its own mark), which takes jupyter_client most of a second."""
LOSSY = 30.0
"""Seconds after which a stalled subscriber is given another chance to hold up the others."""
BURST = 25
PACE = 0.025
"""Seconds between bursts of BURST messages while sending lossy: a thousand a second is what jupyter_client reads."""
BACKLOG = 8 * 1024 * 1024
"""Bytes that wait for slow plain subscribers before the kernel has to wait as well."""
BATCH = 200

Socket = zmq.Socket[bytes]


class Door:
    """Binds the five channels. Queue with :meth:`send` and :meth:`publish`, then :meth:`flush`."""

    def __init__(self, context: zmq.Context[Socket], info: ConnectionInfo, wire: Wire) -> None:
        self.wire = wire
        self.sockets: dict[str, Socket] = {}
        for channel in CHANNELS:
            socket = context.socket(zmq.XPUB if channel == "iopub" else zmq.ROUTER)
            _configure(socket, channel, info.transport)
            try:
                socket.bind(info.endpoint(channel))
            except zmq.ZMQError as error:
                raise ZmqKernelError(
                    f"cannot listen on {info.endpoint(channel)}: {error}",
                    hint="Is the socket directory writable? ZMQKERNEL_SOCKET_DIR names another (a short path).",
                ) from None
            self.sockets[channel] = socket
        self._queue: list[tuple[str, list[Buffer]]] = []
        self._publisher = Publisher(self.sockets["iopub"])

    @property
    def stalled(self) -> bool:
        """A plain subscriber does not read: nothing more should be taken from the kernel just now."""
        return self._publisher.stalled

    @property
    def waits(self) -> bool:
        """Something waits for a plain subscriber."""
        return self._publisher.waits

    @property
    def has_subscribers(self) -> bool:
        return self._publisher.subscriptions > 0

    def messages(self, channel: str) -> Iterator[Message]:
        """What has arrived on a request channel; garbage is logged and dropped."""
        socket = self.sockets[channel]
        for _ in range(BATCH):
            frames = receive_frames(socket)
            if frames is None:
                return
            try:
                yield self.wire.unpack(frames)
            except RemoteProtocolError as error:
                os.write(2, f"door: {channel}: refused: {error}\n".encode())

    def send(self, channel: str, message: Message) -> None:
        """Queue a message to the identities it carries."""
        self._queue.append((channel, self.wire.pack(message)))

    def publish(self, message: Message, detail: str = "") -> None:
        """Queue an iopub message (nothing happens without subscribers)."""
        if not self.has_subscribers:
            return
        topic = f"kernel.{self.wire.session}.{message.msg_type}{detail}".encode()
        self._queue.append(("iopub", [topic, *self.wire.pack(message)]))

    def page(self, message: Message) -> bool:
        """Send a page of the journal now; False when its follower is gone."""
        return self._send("control", self.wire.pack(message))

    def flush(self) -> None:
        """Send what is queued."""
        queue, self._queue = self._queue, []
        for channel, frames in queue:
            if channel == "iopub":
                self._publisher.publish(frames)
            else:
                self._send(channel, frames)
        self._publisher.retry()

    def echo(self) -> None:
        """Answer heartbeats."""
        socket = self.sockets["hb"]
        for _ in range(BATCH):
            frames = receive_frames(socket)
            if frames is None:
                return
            self._send("hb", frames)

    def subscriptions(self) -> None:
        """Read subscriptions; welcome every new one (JEP 65)."""
        for topic in self._publisher.subscribed():
            welcome = self.wire.message("iopub_welcome", IopubWelcome(topic.decode("utf-8", "replace")))
            self._queue.append(("iopub", [topic, *self.wire.pack(welcome)]))

    def close(self) -> None:
        """Let the last replies out, for a second at most, and close."""
        for socket in self.sockets.values():
            socket.close(linger=1000)

    def _send(self, channel: str, frames: Sequence[Buffer]) -> bool:
        try:
            send_frames(self.sockets[channel], frames)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                os.write(2, f"door: {channel}: {error}\n".encode())
            return False  # that client is gone: what it asked for is journaled, or nobody wants it any more
        return True


class Publisher:
    """iopub for plain clients: nothing is lost while everybody reads, and one that stopped costs the others two seconds.

    ZeroMQ does not say whose queue is full. So as long as anything moves the fastest waits for the slowest; when nothing
    has moved for STALL seconds, messages go out lossy for a while, paced so that those who read can keep up.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._backlog: deque[list[Buffer]] = deque()
        self._waiting = 0  # bytes
        self._moved = 0.0
        self._lossy_until = 0.0
        self._sent_lossy = 0
        self._pace_until = 0.0
        self.subscriptions = 0

    @property
    def waits(self) -> bool:
        """Something waits to be sent."""
        return bool(self._backlog)

    @property
    def stalled(self) -> bool:
        """So much waits that nothing more should come."""
        return self._waiting > BACKLOG

    def subscribed(self) -> Iterator[bytes]:
        """The topics that were subscribed since."""
        while True:
            try:
                notice = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.subscriptions += 1 if notice[:1] == b"\x01" else -1
            if notice[:1] == b"\x01":
                yield notice[1:]

    def publish(self, frames: list[Buffer]) -> None:
        if self._backlog or not self._try(frames):
            self._moved = self._moved if self._backlog else time.monotonic()
            self._backlog.append(frames)
            self._waiting += sum(map(len, frames))

    def retry(self) -> None:
        """Send what waits; when nothing has moved for STALL seconds, those who do not read begin to lose."""
        while self._backlog and self._try(self._backlog[0]):
            self._waiting -= sum(map(len, self._backlog.popleft()))
            self._moved = time.monotonic()
        if self._backlog and not self._lossy_until and time.monotonic() - self._moved > STALL:
            self._lossy_until = time.monotonic() + LOSSY
            self._socket.setsockopt(zmq.XPUB_NODROP, 0)

    def _try(self, frames: list[Buffer]) -> bool:
        if self._lossy_until and not self._may_send_lossy(time.monotonic()):
            return False
        try:
            send_frames(self._socket, frames)
        except zmq.Again:
            return False
        return True

    def _may_send_lossy(self, now: float) -> bool:
        if now > self._lossy_until:
            self._lossy_until = 0.0
            self._moved = now
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
            return True
        if now < self._pace_until:
            return False
        self._sent_lossy += 1
        if self._sent_lossy % BURST == 0:
            self._pace_until = now + PACE
        return True


def _configure(socket: Socket, channel: str, transport: str) -> None:
    socket.linger = 0
    if channel == "iopub":
        socket.set_hwm(PUBLISH_MARK)
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        socket.setsockopt(zmq.XPUB_NODROP, 1)
    else:
        # ROUTER drops silently at its mark. Pages are bounded by credit, replies by what a client asked for.
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    if transport == "tcp":
        # Over ipc the operating system tells at once when a peer is gone, and a stopped one may come back.
        socket.setsockopt(zmq.HEARTBEAT_IVL, 10_000)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30_000)
