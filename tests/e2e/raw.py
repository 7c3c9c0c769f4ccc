"""A client without a library: frames on the door's control socket, for what a well-behaved client never does."""

from __future__ import annotations

from typing import Self

import zmq

from zmqkernel.paths import Session
from zmqkernel.protocol.connection import ConnectionInfo
from zmqkernel.protocol.wire import Message, Wire


class Raw:
    """One DEALER on one channel of a session's door."""

    def __init__(self, session: Session, channel: str = "control") -> None:
        self.info = ConnectionInfo.decode(session.connection_file.read_bytes())
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(self.info.endpoint(channel))  # pyright: ignore[reportArgumentType]

    def exchange(self, wire: Wire, message: Message, seconds: float = 20) -> Message:
        """Send and wait for the next message."""
        self.socket.send_multipart(wire.pack(message))
        return self.receive(wire, seconds)

    def receive(self, wire: Wire, seconds: float = 20) -> Message:
        """The next message."""
        assert self.socket.poll(int(seconds * 1000)), "no answer"
        return wire.unpack(self.socket.recv_multipart())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
