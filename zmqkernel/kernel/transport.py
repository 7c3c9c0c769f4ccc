"""The io thread: every socket of the kernel lives and dies in here.

    frames in  -> Wire.unpack -> accept(channel, message)
    outlet.drain() -> Wire.pack -> frames out

Only the constructor runs elsewhere: it binds, so that a client can connect before the heavy imports begin.
"""

from __future__ import annotations

import _socket  # now: in a forked child nothing should be imported
import itertools
import os
import signal
import stat
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
from .forks import let_go, watch_forks

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

    Raises Unreachable when an endpoint cannot be bound. It is made before there is any other thread.
    """

    def __init__(self, info: ConnectionInfo, wire: Wire) -> None:
        self.info = info
        self.orphaned: Callable[[], None] | None = None
        """Called in the io thread when the process that is watched ends."""
        self._wire = wire
        before = _descriptors()
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
        self._poller = zmq.Poller()
        self._takers: dict[object, Callable[[], object]] = {}
        self._watched = -1
        self._own = {number: what for number, what in _descriptors().items() if before.get(number) != what}
        """ZeroMQ's descriptors, and ours: number to (device, inode). Those of connections are known by their address."""
        self._names = {self._address(socket) for socket in self._sockets.values()}
        watch_forks(self)

    def start(self, accept: Accept, outgoing: Outgoing | None, parent: int | None = None) -> None:
        """Start the io thread. ``parent`` is a process whose end matters, 0 one that has ended already, or None."""
        self._accept = accept
        self._outgoing = outgoing
        if parent is not None:
            self.call(partial(self.watch, parent))
        self._thread.start()

    def watch(self, pid: int) -> None:
        """Call ``orphaned`` when this process ends, and no longer when another does. For the io thread."""
        self._unwatch()
        try:
            descriptor = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:
            descriptor = -1
        except OSError as error:
            log.say(f"process {pid} cannot be watched: {error}")  # we cannot tell when it ends, and it has not
            return
        if descriptor < 0:
            self._leave()
            return
        self._watched = descriptor
        self._takers[descriptor] = self._leave
        self._poller.register(descriptor, zmq.POLLIN)

    def rebind(self) -> None:
        """Bind the ipc endpoints again whose socket file has gone. For the io thread. Raises Unreachable."""
        if self.info.transport != "ipc":
            return
        for channel in CHANNELS:
            socket = self._sockets[channel]
            endpoint = self.info.endpoint(channel)
            path = endpoint.removeprefix("ipc://")
            if os.path.lexists(path):
                continue
            if not os.path.isdir(os.path.dirname(path)):
                raise Unreachable(f"cannot bind {endpoint}: its directory has gone")
            self._unbind(socket, endpoint)
            try:
                socket.bind(endpoint)
                os.chmod(path, 0o600)  # not by the umask: that is also the user's, who may make files just now
            except OSError as error:  # ZMQError is one
                raise Unreachable(f"cannot bind {endpoint}: {error}") from None

    def before_fork(self) -> None:
        """Nothing to prepare."""

    def forked(self) -> None:
        """In a child process: no socket of ours stays open, and there is no io thread."""
        own, names = self._own, self._names
        self._own, self._stopping = {}, True
        self.wake = lambda: None

        def is_ours(number: int, what: os.stat_result) -> bool:
            if own.get(number) == (what.st_dev, what.st_ino) or number == self._watched:
                return True
            return stat.S_ISSOCK(what.st_mode) and _name(number) in names

        let_go(is_ours)

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` in the io thread, after everything that has arrived by now was accepted."""
        self._calls.append(function)
        self.wake()

    def sweep(self) -> None:
        """Return when every message that has arrived by now was accepted."""
        if self._stopping:
            return
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

    def _unbind(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        """Close a listener, and wait until it is: ZeroMQ does it in a thread, and removes the socket file, also a newer one."""
        monitor = socket.get_monitor_socket(zmq.EVENT_CLOSED | zmq.EVENT_CLOSE_FAILED)
        try:
            socket.unbind(endpoint)
            monitor.poll(1000)
        except zmq.ZMQError:
            pass  # it is not bound: the last attempt did not come further than this
        finally:
            socket.disable_monitor()

    def _address(self, socket: zmq.Socket[bytes]) -> object:
        """What ``getsockname`` says of a bound socket and of every connection to it."""
        where = socket.getsockopt_string(zmq.LAST_ENDPOINT).partition("://")[2]
        if self.info.transport == "ipc":
            return where
        host, _, port = where.rpartition(":")
        return host, int(port)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # interrupts are the main thread's
        poller, takers = self._poller, self._takers
        takers[self._wake] = partial(os.eventfd_read, self._wake)
        for channel, socket in self._sockets.items():
            takers[socket] = partial(self._receive, channel, socket)
        takers[self._sockets["hb"]] = self._echo
        takers[self._sockets["iopub"]] = self._welcome
        for source in takers:
            poller.register(source, zmq.POLLIN)
        while not self._stopping:
            for source, _ in poller.poll(self._timeout()):
                if take := takers.get(source):  # else it was given up since the poll
                    take()
            while self._calls:
                self._calls.popleft()()
            self._send()
        self._send()
        self._unwatch()
        self._own = {}
        for socket in self._sockets.values():
            socket.close()
        self._context.term()

    def _timeout(self) -> int | None:
        seconds = self._outgoing.due() if self._outgoing else None
        return None if seconds is None or seconds == float("inf") else int(seconds * 1000 + 0.999)

    def _unwatch(self) -> None:
        descriptor, self._watched = self._watched, -1
        if descriptor >= 0:
            del self._takers[descriptor]
            self._poller.unregister(descriptor)
            os.close(descriptor)

    def _leave(self) -> None:
        self._unwatch()
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


def _descriptors() -> dict[int, tuple[int, int]]:
    """The sockets, eventfds and epolls that are open: number to (device, inode)."""
    found: dict[int, tuple[int, int]] = {}
    for name in os.listdir("/dev/fd"):
        try:
            what = os.fstat(int(name))
        except OSError:
            continue  # that of the listing itself
        if stat.S_ISSOCK(what.st_mode) or not stat.S_IFMT(what.st_mode):  # Linux gives anonymous inodes no type
            found[int(name)] = what.st_dev, what.st_ino
    return found


def _name(number: int) -> object:
    """The local address of a socket: a path, or (host, port), or something else."""
    plain = _socket.socket(fileno=number)
    try:
        name = plain.getsockname()
    finally:
        plain.detach()
    return name[:2] if isinstance(name, tuple) else name
