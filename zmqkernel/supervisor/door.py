"""The door: every socket that a client ever sees, and the only file that sends on one.

Messages are queued during a turn of the loop and sent by :meth:`Door.flush`, after the journal has what they say.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence

import zmq

from ..protocol.connection import CHANNELS, Channel, ConnectionInfo
from ..protocol.errors import RemoteProtocolError, ZmqKernelError
from ..protocol.messages import ErrorReply, IopubWelcome
from ..protocol.wire import DELIMITER, MAX_JSON, Buffer, Message, Wire, as_object
from .frames import receive_frames, send_frames
from .log import log
from .pieces import Piece, Pieces

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
BACKLOG = 4 * 1024 * 1024
"""Bytes that wait for slow plain subscribers before the kernel has to wait as well."""
BATCH = 200
LARGEST = 128 * 1024 * 1024
"""Bytes of a client's message, beyond which it is refused."""
LARGE_TEXT = 16 * 1024
"""Bytes of a stream message that need no company."""
COMES_BACK = 5.0
"""Seconds for which the answer to something journaled waits for a plain client that is not connected: after the death of a
supervisor it may take a moment to find the next one."""

Socket = zmq.Socket[bytes]


class Door:
    """Binds the five channels of ``info``. Queue with :meth:`send` and :meth:`publish`, then :meth:`flush`."""

    def __init__(self, context: zmq.Context[Socket], info: ConnectionInfo, wire: Wire) -> None:
        self.wire = wire
        self.info = info
        self.sockets: dict[str, Socket] = {}
        for channel in CHANNELS:
            socket = context.socket(zmq.XPUB if channel == "iopub" else zmq.ROUTER)
            _configure(socket, channel, info.transport)
            try:
                socket.bind(info.endpoint(channel))
            except zmq.ZMQError as error:
                for opened in (socket, *self.sockets.values()):
                    opened.close(linger=0)
                raise ZmqKernelError(
                    f"cannot listen on {info.endpoint(channel)}: {error}",
                    hint="Is the socket directory writable? ZMQKERNEL_SOCKET_DIR names another (a short path).",
                ) from None
            self.sockets[channel] = socket
        self._queue: list[tuple[int, str, list[Buffer]]] = []
        self._late: deque[tuple[float, str, list[Buffer]]] = deque()
        self._publisher = Publisher(self.sockets["iopub"])
        self._pieces = Pieces()

    @property
    def stalled(self) -> bool:
        """A plain subscriber does not read: nothing more should be taken from the kernel just now."""
        return self._publisher.stalled

    @property
    def patience(self) -> float:
        """Seconds until :meth:`flush` should try again."""
        if self._publisher.waits:
            return 0.002  # ZeroMQ does not say when a subscriber has made room
        return min(0.05 if self._late else 3600.0, self._pieces.patience)

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
            if _is_too_large(frames):
                self._refuse(channel, frames)
                continue
            try:
                yield self.wire.unpack(frames)
            except RemoteProtocolError as error:
                log(f"door: {channel}: refused: {error}")

    def _refuse(self, channel: str, frames: Sequence[bytes]) -> None:
        """A message that is too large: nothing of it is looked at but its header, to tell the sender."""
        size = f"{sum(map(len, frames)) / 1e6:.0f} MB"
        log(f"door: {channel}: refused: a message of {size}")
        start = frames.index(DELIMITER) if DELIMITER in frames[:10] else len(frames)
        header = frames[start + 2] if len(frames) > start + 2 else b""
        if not 0 < len(header) < 10_000:
            return
        try:
            msg_type = str(as_object(header).get("msg_type"))
        except RemoteProtocolError:
            return  # garbage: the log has it
        limits = f"{MAX_JSON >> 20} MB of JSON, {LARGEST >> 20} MB with buffers"
        text = f"a message of {size}; the limits are {limits}. Hand large data over in a file."
        reply_type = msg_type.removesuffix("_request") + "_reply"
        error = ErrorReply("RemoteProtocolError", text)
        self.send(channel, self.wire.message(reply_type, error, parent=header, idents=frames[:start]))

    def send(self, channel: str, message: Message, after: int = 0) -> None:
        """Queue a message to the identities it carries; it leaves when the journal has record ``after``."""
        self._publish(self._pieces.take())
        self._queue.append((after, channel, self.wire.pack(message)))

    def publish(self, message: Message, detail: str = "", after: int = 0) -> None:
        """Queue an iopub message (nothing happens without subscribers)."""
        if not self.has_subscribers:
            return
        piece = Piece(message, detail, after)
        if message.msg_type == "stream" and len(message.content_json) < LARGE_TEXT:
            self._publish(self._pieces.add(piece))
        else:
            self._publish(self._pieces.take())
            self._publish(piece)

    def _publish(self, piece: Piece | None) -> None:
        if piece is None:
            return
        topic = f"kernel.{self.wire.session}.{piece.message.msg_type}{piece.detail}".encode()
        self._queue.append((piece.after, "iopub", [topic, *self.wire.pack(piece.message)]))

    def page(self, message: Message) -> bool:
        """Send a page of the journal now; False when its follower is gone."""
        return self._send("control", self.wire.pack(message))

    def flush(self, last: int) -> None:
        """Send what is queued and needs no record beyond number ``last``."""
        if not self._pieces.patience:
            self._publish(self._pieces.take())
        queue, self._queue = self._queue, []
        for entry in queue:
            after, channel, frames = entry
            if after > last:
                self._queue.append(entry)  # the disk refuses: what needs no journal goes ahead
            elif channel == "iopub":
                self._publisher.publish(frames)
            elif not self._send(channel, frames) and after:
                self._late.append((time.monotonic() + COMES_BACK, channel, frames))
        self._publisher.retry()
        if self._late:
            self._retry_late()

    def rebind(self) -> bool:
        """Bind again what somebody has removed (ipc); True when something was."""
        if self.info.transport != "ipc":
            return False
        lost: list[Channel] = [
            channel for channel in CHANNELS if not os.path.exists(f"{self.info.ip}-{self.info.port(channel)}")
        ]
        for channel in lost:
            endpoint = self.info.endpoint(channel)
            try:
                self.sockets[channel].unbind(endpoint)
            except zmq.ZMQError as error:
                os.write(
                    2, f"door: {channel}: unbind: {error}\n".encode()
                )  # then it is not bound, which is what we want
            try:
                self.sockets[channel].bind(endpoint)
            except zmq.ZMQError as error:
                log(f"door: {channel}: cannot listen again: {error}")  # tried again in five seconds
        return bool(lost)

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
            self._queue.append((0, "iopub", [topic, *self.wire.pack(welcome)]))

    def close(self) -> None:
        """Let the last replies out, for a second at most, and close."""
        for socket in self.sockets.values():
            socket.close(linger=1000)

    def _retry_late(self) -> None:
        late, self._late = self._late, deque()
        now = time.monotonic()
        for deadline, channel, frames in late:
            if not self._send(channel, frames) and now < deadline:
                self._late.append((deadline, channel, frames))

    def _send(self, channel: str, frames: Sequence[Buffer]) -> bool:
        try:
            send_frames(self.sockets[channel], frames)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                log(f"door: {channel}: {error}")
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


def _is_too_large(frames: Sequence[bytes]) -> bool:
    size = sum(map(len, frames))
    if size <= MAX_JSON:
        return False
    start = frames.index(DELIMITER) if DELIMITER in frames[:10] else 0
    return size > LARGEST or sum(map(len, frames[start + 2 : start + 6])) > MAX_JSON


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
