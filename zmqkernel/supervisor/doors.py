"""All doors of a session: its own, and the endpoints that Jupyter's kernel managers have asked it to serve as well."""

from __future__ import annotations

import os
import signal
from typing import Any

import zmq

from ..protocol.connection import ConnectionInfo
from ..protocol.errors import RemoteProtocolError
from ..protocol.messages import ServeRequest
from ..protocol.wire import Message, Wire, encode
from .door import Door


class Served:
    """A kernel manager's endpoints. They are served as long as the host process lives that the manager has started."""

    def __init__(self, door: Door, wanted: ServeRequest) -> None:
        self.door = door
        self.owner = wanted.owner
        self.ephemeral = wanted.ephemeral
        self.file = wanted.file
        self.pid = wanted.pid
        self.pidfd = os.pidfd_open(wanted.pid)
        self.given_up = False
        """The manager has been answered; the door is closed when that has left."""

    def dismiss(self) -> None:
        """Tell the host process that it has nothing more to do."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it has ended already
        os.close(self.pidfd)


class Doors:
    """The session's own door first, then those that are served."""

    def __init__(self, context: zmq.Context[Any], poller: zmq.Poller, main: Door) -> None:
        self._context = context
        self._poller = poller
        self.main = main
        self.served: list[Served] = []
        self.all = [main]
        for socket in main.sockets.values():
            poller.register(socket, zmq.POLLIN)

    @property
    def wire(self) -> Wire:
        """The wire of the session itself: whoever builds a message for all doors builds it with this one."""
        return self.main.wire

    @property
    def has_subscribers(self) -> bool:
        return any(door.has_subscribers for door in self.all)

    @property
    def stalled(self) -> bool:
        return any(door.stalled for door in self.all)

    @property
    def patience(self) -> float:
        return min(door.patience for door in self.all)

    def publish(self, message: Message, detail: str = "", after: int = 0) -> None:
        """Queue an iopub message at every door."""
        for door in self.all:
            door.publish(message, detail, after)

    def send(self, channel: str, message: Message, after: int = 0) -> None:
        """Queue a message for whichever door its receiver stands at: one that does not know it drops it."""
        for door in self.all:
            door.send(channel, message, after)

    def flush(self, last: int) -> None:
        for door in self.all:
            door.flush(last)

    # --- served ------------------------------------------------------------------------------------------------------

    def serve(self, wanted: ServeRequest) -> Served:
        """Bind a kernel manager's endpoints, in the place of an earlier host of the same ones."""
        info = ConnectionInfo.decode(encode(wanted.connection), wanted.file or "serve_request")
        for other in list(self.served):
            if other.door.info.endpoint("shell") == info.endpoint("shell"):
                self.close(other)
        door = Door(self._context, info, Wire(info.key, os.urandom(8).hex(), "zmqkernel"))
        try:
            served = Served(door, wanted)
        except OSError as error:
            door.close()
            raise RemoteProtocolError(f"serve_request: process {wanted.pid}: {error.strerror}") from None
        self.served.append(served)
        self.all.append(door)
        for socket in door.sockets.values():
            self._poller.register(socket, zmq.POLLIN)
        self._poller.register(served.pidfd, zmq.POLLIN)
        return served

    def close(self, served: Served) -> None:
        """Close these endpoints and let the host go."""
        self.served.remove(served)
        self.all.remove(served.door)
        for socket in served.door.sockets.values():
            self._poller.unregister(socket)
        self._poller.unregister(served.pidfd)
        served.door.close()
        served.dismiss()

    def close_all(self) -> None:
        for served in list(self.served):
            self.close(served)
        self.main.close()

    def served_at(self, door: Door) -> Served | None:
        """Who has asked for this door; None for the session's own."""
        return next((served for served in self.served if served.door is door), None)
