"""The io thread: every socket of the kernel lives and dies in here.

    frames in  -> Wire.unpack -> accept(channel, message)
    outlet.drain() -> Wire.pack -> frames out

Only the constructor runs elsewhere: it binds, so that a client can connect before the heavy imports begin.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import zmq
from zmq.backend import Socket as PlainSocket

from ..protocol.connection import CHANNELS, Channel, ConnectionInfo
from ..protocol.errors import RemoteProtocolError, Unreachable
from ..protocol.wire import Message, Wire
from . import log

LINGER = 1000
"""Milliseconds that a closing socket keeps trying to hand over what was sent."""
FLOOD = 1000
"""Messages that are read from one socket before the others get their turn."""

# A cell is seven messages of seven frames. pyzmq's multipart calls are Python and cost three times what these do.
_send, _recv, _get = PlainSocket.send, PlainSocket.recv, PlainSocket.get
_MORE, _NOBLOCK, _HAS_MORE, _EVENTS, _READABLE = map(
    int, (zmq.SNDMORE, zmq.NOBLOCK, zmq.RCVMORE, zmq.EVENTS, zmq.POLLIN)
)

Accept = Callable[[str, Message], None]


class Outgoing(Protocol):
    """What the io thread sends: :class:`~zmqkernel.kernel.outlet.SocketOutlet`."""

    def drain(self) -> Iterator[tuple[str, Message]]: ...

    def due(self) -> float: ...


class Transport:
    """Binds the five sockets of ``info``; port 0 is replaced by the one that was free.

    Raises Unreachable when an endpoint cannot be bound.
    """

    def __init__(self, info: ConnectionInfo, wire: Wire) -> None:
        self.info = info
        self.orphaned: Callable[[], None] | None = None
        self._wire = wire
        self._context = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        mask = os.umask(0o077)  # ipc: the socket file is nobody else's
        try:
            for channel in CHANNELS:
                self._sockets[channel] = self._bind(channel)
        finally:
            os.umask(mask)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="io", daemon=True)
        self.wake: Callable[[], None] = partial(os.eventfd_write, self._wake, 1)
        """Make the io thread look at the outlet; any thread may call it."""

    def start(self, accept: Accept, outgoing: Outgoing | None, parent: int = 0) -> None:
        """Start the io thread. ``parent`` is a process without which this kernel has no reason to be, or 0."""
        self._accept = accept
        self._outgoing = outgoing
        self._parent = parent
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` in the io thread, after everything that has arrived by now was accepted."""
        self._calls.append(function)
        self.wake()

    def sweep(self) -> None:
        """Return when every message that has arrived by now was accepted."""
        done = threading.Event()
        self.call(done.set)
        done.wait(1.0)  # a bound, should the io thread have stopped meanwhile

    def stop(self) -> None:
        """Send what is left and close the sockets."""
        self._stopping = True
        if self._thread.is_alive():
            self.wake()
            self._thread.join(5.0)

    def _bind(self, channel: Channel) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB if channel == "iopub" else zmq.ROUTER)
        socket.linger = LINGER
        # No high-water mark: at the default of 1000, libzmq throws output away without a word when a client reads more
        # slowly than a cell prints. The memory that a stalled client can cost here is bounded at the supervisor's door.
        socket.sndhwm = socket.rcvhwm = 0
        if channel == "iopub":
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # JEP 65: every subscriber is welcomed, not only the first
            # Not ZMTP heartbeats: a client that lets its queue fill reads no pings, and would be cut off with it.
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)
        else:
            socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a client that comes back finds its dead connection in the way
            if self.info.transport == "tcp":
                socket.setsockopt(zmq.HEARTBEAT_IVL, 15_000)
                socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 60_000)
        try:
            self._bind_port(socket, channel)
        except zmq.ZMQError as error:
            endpoint = self.info.endpoint(channel)
            raise Unreachable(f"cannot bind {endpoint}: {error}", hint="Is another kernel using it?") from None
        return socket

    def _bind_port(self, socket: zmq.Socket[bytes], channel: Channel) -> None:
        info = self.info
        if info.transport == "ipc" and not info.port(channel):
            free = (port for port in itertools.count(1) if not os.access(f"{info.ip}-{port}", os.F_OK))
            setattr(info, f"{channel}_port", next(free))
        socket.bind(info.endpoint(channel))
        if not info.port(channel):
            setattr(info, f"{channel}_port", int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # interrupts are the main thread's
        poller = zmq.Poller()
        takers: dict[object, Callable[[], object]] = {self._wake: partial(os.eventfd_read, self._wake)}
        for channel, socket in self._sockets.items():
            takers[socket] = partial(self._receive, channel, socket)
        takers[self._sockets["hb"]] = self._echo
        takers[self._sockets["iopub"]] = self._welcome
        for source in takers:
            poller.register(source, zmq.POLLIN)
        parent = self._watch_parent(poller)
        while not self._stopping:
            for source, _ in poller.poll(self._timeout()):
                if source == parent:
                    poller.unregister(source)
                    self._leave()
                else:
                    takers[source]()
            while self._calls:
                self._calls.popleft()()
            self._send()
        self._send()
        for socket in self._sockets.values():
            socket.close()
        self._context.term()

    def _timeout(self) -> int | None:
        seconds = self._outgoing.due() if self._outgoing else None
        return None if seconds is None or seconds == float("inf") else int(seconds * 1000 + 0.999)

    def _watch_parent(self, poller: zmq.Poller) -> int | None:
        if self._parent <= 1:
            return None
        try:
            descriptor = os.pidfd_open(self._parent)
        except OSError:
            self.call(self._leave)  # gone already
            return None
        poller.register(descriptor, zmq.POLLIN)
        return descriptor

    def _leave(self) -> None:
        if self.orphaned:
            self.orphaned()

    def _receive(self, channel: str, socket: zmq.Socket[bytes]) -> None:
        for _ in range(FLOOD):
            if not int(_get(socket, _EVENTS)) & _READABLE:
                return
            frames = [_recv(socket, _NOBLOCK)]
            while _get(socket, _HAS_MORE):
                frames.append(_recv(socket, _NOBLOCK))
            try:
                self._accept(channel, self._wire.unpack(frames))
            except RemoteProtocolError as error:
                log.say(f"dropped on {channel}: {error}")
            except Exception:  # noqa: BLE001 - the boundary of the io thread: whatever one message does, the next one is served
                log.bug(f"a message on {channel} was not accepted")

    def _echo(self) -> None:
        self._sockets["hb"].send_multipart(self._sockets["hb"].recv_multipart())

    def _welcome(self) -> None:
        subscription = self._sockets["iopub"].recv()
        if subscription[:1] == b"\1":
            topic = subscription[1:]
            content = {"subscription": topic.decode("utf-8", "replace")}
            message = self._wire.message("iopub_welcome", content, idents=[topic])
            self._sockets["iopub"].send_multipart(self._wire.pack(message))

    def _send(self) -> None:
        if self._outgoing is None:
            return
        for channel, message in self._outgoing.drain():
            socket = self._sockets[channel]
            frames = self._wire.pack(message)
            if message.buffers:
                socket.send_multipart(frames, copy=False)
                continue
            last = frames.pop()
            for frame in frames:
                _send(socket, frame, _MORE)
            _send(socket, last)
