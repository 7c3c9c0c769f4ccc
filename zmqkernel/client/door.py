"""The one socket of a client: a DEALER on the control channel of a session's door. The only file here that imports zmq."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import cast

import zmq

from ..protocol.connection import ConnectionInfo
from ..protocol.errors import Unreachable
from ..protocol.wire import Buffer

LINGER_MS = 500
"""How long the last messages may take to leave after close."""

HEARTBEAT_MS = 5000
"""A tcp peer that says nothing for this long, twice, counts as gone. Unix sockets tell at once."""

_EVENT = struct.Struct("=hi")
_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED

Socket = zmq.Socket[bytes]


class Door:
    """Sends and receives frames without waiting; :meth:`wait` is the only call that does."""

    def __init__(self, info: ConnectionInfo, identity: bytes) -> None:
        self.endpoint = info.endpoint("control")
        context = cast("zmq.Context[Socket]", zmq.Context.instance())
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, identity)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        # A supervisor that was started again is found soon; over a network nobody knocks more often than once a second.
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000 if info.transport == "tcp" else 200)
        if info.transport == "tcp":
            self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
            self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2 * HEARTBEAT_MS)
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Unreachable(f"cannot connect to {self.endpoint}: {error}") from None

    @property
    def filenos(self) -> tuple[int, int]:
        """File descriptors that become readable when there may be something to do. They are edge-triggered: receive
        and look at the changes until there is nothing more before waiting for them."""
        return int(self._socket.FD), int(self._monitor.FD)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """False when the queue is full; try again after the next :meth:`wait`."""
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT, copy=True)
        except zmq.Again:
            return False
        return True

    def receive(self) -> list[bytes] | None:
        """The next message, None when there is none now."""
        try:
            return self._socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None

    def change(self) -> bool | None:
        """The next change of the connection: True it is up, False it is down, None there is no more news."""
        try:
            event, _ = self._monitor.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        return _EVENT.unpack(event)[0] == zmq.EVENT_HANDSHAKE_SUCCEEDED

    def wait(self, seconds: float, full: bool = False) -> None:
        """Wait until there may be something to do; ``full``: also until something can be sent."""
        self._poller.modify(self._socket, zmq.POLLIN | (zmq.POLLOUT if full else 0))
        self._poller.poll(math.ceil(min(seconds, 3600.0) * 1000))

    def close(self) -> None:
        """Close the socket; what was sent just before still leaves."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
