"""One plain Jupyter client over raw ZeroMQ, the same for every kernel that is measured.

While the clock runs it only takes frames off the sockets; signatures and contents are looked at afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import zmq

DELIMITER = b"<IDS|MSG>"
Frames = list[bytes]


@dataclass
class Cell:
    """What came back for one execute_request. Times are ``time.monotonic()`` in seconds."""

    sent: float
    replied: float = 0.0
    idle: float = 0.0
    reply: Frames = field(default_factory=list)
    iopub: list[tuple[float, Frames]] = field(default_factory=list)


class Client:
    """Shell, control and iopub of one connection file (its parsed content)."""

    def __init__(self, info: dict[str, Any], context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.key = str(info["key"]).encode()
        self.session = uuid.uuid4().hex
        self.shell = self._connect(info, context, "shell", zmq.DEALER)
        self.control = self._connect(info, context, "control", zmq.DEALER)
        self.iopub = self._connect(info, context, "iopub", zmq.SUB)
        self.poller = zmq.Poller()
        self.poller.register(self.shell, zmq.POLLIN)
        self.poller.register(self.iopub, zmq.POLLIN)

    def _connect(
        self, info: dict[str, Any], context: zmq.Context[zmq.Socket[bytes]], channel: str, kind: int
    ) -> zmq.Socket[bytes]:
        socket = context.socket(kind)
        socket.linger = 0
        socket.rcvhwm = 0  # what is lost is lost by the kernel
        socket.reconnect_ivl = 2  # milliseconds: we wait for kernels that are just starting
        if kind == zmq.SUB:
            socket.subscribe(b"")
        else:
            socket.identity = f"{self.session}-{channel}".encode()
        separator = "-" if info["transport"] == "ipc" else ":"
        socket.connect(f"{info['transport']}://{info['ip']}{separator}{info[f'{channel}_port']}")
        return socket

    def send(self, socket: zmq.Socket[bytes], msg_type: str, content: dict[str, Any]) -> str:
        """Send a request, return its msg_id."""
        msg_id = uuid.uuid4().hex
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "session": self.session,
            "username": "benchmark",
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        socket.send_multipart([DELIMITER, self.sign(parts), *parts])
        return msg_id

    def sign(self, parts: Frames) -> bytes:
        """The hex HMAC of four JSON frames."""
        if not self.key:
            return b""
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def request(self, socket: zmq.Socket[bytes], msg_type: str, timeout: float = 60.0) -> dict[str, Any]:
        """Send a request without content and wait for its reply's content."""
        msg_id = self.send(socket, msg_type, {})
        deadline = time.monotonic() + timeout
        while socket.poll(max(0.0, deadline - time.monotonic()) * 1000):
            _, parent, content = self.read(socket.recv_multipart())
            if parent.get("msg_id") == msg_id:
                return content
        raise TimeoutError(f"no answer to {msg_type} in {timeout} s")

    def read(self, frames: Frames) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Header, parent header and content, the signature checked."""
        start = frames.index(DELIMITER)
        if not hmac.compare_digest(self.sign(frames[start + 2 : start + 6]), frames[start + 1]):
            raise ValueError("a message with a wrong signature")
        header, parent, _, content = (json.loads(frame) for frame in frames[start + 2 : start + 6])
        return header, parent, content

    def await_iopub(self) -> None:
        """Return once the subscription is in effect, with nothing of it left to read."""
        deadline = time.monotonic() + 30
        while True:
            self.request(self.shell, "kernel_info_request")
            if self.iopub.poll(100):
                break
            if time.monotonic() > deadline:
                raise TimeoutError("nothing comes on iopub")
        while self.iopub.poll(200):
            self.iopub.recv_multipart()

    def execute(self, code: str, timeout: float = 300.0, *, wait_idle: bool = True) -> Cell:
        """Run a cell to its reply and, unless told otherwise, its idle status."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        cell = Cell(sent=time.monotonic())
        msg_id = self.send(self.shell, "execute_request", content).encode()
        deadline = cell.sent + timeout
        while not (cell.replied and (cell.idle or not wait_idle)):
            if not self.poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError(f"a cell did not end in {timeout} s: {code[:60]!r}")
            self._take(cell, msg_id)
        return cell

    def _take(self, cell: Cell, msg_id: bytes) -> None:
        """Read what there is; recognise reply and idle by their bytes, without parsing."""
        while frames := _receive(self.iopub):
            now = time.monotonic()
            cell.iopub.append((now, frames))
            if b'"idle"' in frames[-1] and b'"status"' in frames[-4] and msg_id in frames[-3]:
                cell.idle = now
        while frames := _receive(self.shell):
            now = time.monotonic()
            if b'"execute_reply"' in frames[-4] and msg_id in frames[-3]:
                cell.replied, cell.reply = now, frames

    def outputs(self, cell: Cell, msg_type: str) -> list[tuple[float, dict[str, Any]]]:
        """Arrival time and content of the cell's messages of one type."""
        found: list[tuple[float, dict[str, Any]]] = []
        for arrived, frames in cell.iopub:
            header, _, content = self.read(frames)
            if header["msg_type"] == msg_type:
                found.append((arrived, content))
        return found

    def close(self) -> None:
        """Close the sockets."""
        for socket in (self.shell, self.control, self.iopub):
            socket.close()


def _receive(socket: zmq.Socket[bytes]) -> Frames | None:
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
