"""A kernel process under a link, without a supervisor: the test makes the ring, asks by ZeroMQ and reads what is said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from zmqkernel.protocol.connection import ConnectionInfo
from zmqkernel.protocol.wire import Message, Wire

from .test_link import Link

SECONDS = 60.0


def wait_until(ready: Callable[[], Any], what: str = "") -> Any:
    """Wait for a condition; its value."""
    deadline = time.monotonic() + SECONDS
    while not (value := ready()):
        assert time.monotonic() < deadline, f"never: {what or ready}"
        time.sleep(0.01)
    return value


class LinkedKernel:
    """``python -m zmqkernel.kernel -f FILE --link DIR``."""

    def __init__(self, directory: Path, sockets: Path, command: list[str]) -> None:
        self.directory = directory
        self.sockets = sockets
        self.link = Link(directory, 1 << 22)
        self.info = ConnectionInfo.ipc(str(sockets / "k"), "key", "zmqkernel")
        file = directory / "kernel.json"
        file.write_bytes(self.info.encode())
        self.wire = Wire(self.info.key, "client")
        self.rows: list[tuple] = []
        with open(directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-P", "-m", "zmqkernel.kernel", "-f", str(file), "--link", str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._context = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self.connect()

    def connect(self) -> None:
        """Connect as another supervisor would."""
        for socket in self._sockets.values():
            socket.close(linger=0)
        for channel in ("shell", "control", "stdin"):
            socket = self._context.socket(zmq.DEALER)
            socket.reconnect_ivl = 5
            socket.connect(self.info.endpoint(channel))
            self._sockets[channel] = socket

    def send(self, channel: str, msg_type: str, content: dict[str, Any] | None = None, **keys: Any) -> str:
        """Send a request; its msg_id."""
        message = self.wire.message(msg_type, content or {}, **keys)
        self.forward(channel, message)
        return message.msg_id

    def forward(self, channel: str, message: Message) -> None:
        """Send a message as it is."""
        self._sockets[channel].send_multipart(self.wire.pack(message))

    def execute(self, code: str, **keys: Any) -> str:
        return self.send("shell", "execute_request", {"code": code, "allow_stdin": True}, **keys)

    def run(self, code: str) -> dict[str, Any]:
        """Execute, and the content of the reply."""
        return self.reply(self.execute(code)).content

    def ask(self, msg_type: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request on control, and the content of its reply."""
        return self.reply(self.send("control", msg_type, content)).content

    def messages(self, msg_type: str, parent: str | None = None) -> list[Message]:
        """What has come so far."""
        self.rows += self.link.rows()
        return [
            row[1]
            for row in self.rows
            if isinstance(row[1], Message)
            and row[1].msg_type == msg_type
            and (parent is None or (row[1].parent and row[1].parent.msg_id == parent))
        ]

    def reply(self, msg_id: str) -> Message:
        """Wait for the reply to a request."""

        def found() -> Message | None:
            assert self.process.poll() is None, (self.directory / "log").read_text()
            self.rows += self.link.rows()
            for row in self.rows:
                if row[0] in ("shell", "control") and row[1].parent and row[1].parent.msg_id == msg_id:
                    return row[1]
            return None

        return wait_until(found, f"the reply to {msg_id}")

    def text(self, stream: str = "stdout") -> str:
        self.rows += self.link.rows()
        return "".join(row[2] for row in self.rows if row[0] == stream)

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close(linger=0)
        self._context.term()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.link.close()


class FakeSupervisor:
    """A process to be watched, and the ``supervisor.json`` that it leaves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        self.pid = self.process.pid

    def leave(self, code: str, pid: int | None = -1, **env: str) -> None:
        """Write the file: the next supervisor is this Python code, which finds the link directory in LINK."""
        content = {"argv": [sys.executable, "-S", "-c", code], "env": {"LINK": str(self.directory), **env}}
        if pid is not None:
            content["pid"] = self.pid if pid == -1 else pid
        (self.directory / "supervisor.json").write_text(json.dumps(content))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def linked_kernel(home: Path, code: str = "", command: list[str] | None = None, **keys: Any) -> Iterator[LinkedKernel]:
    """A linked kernel that answers; with ``code`` it has a fake supervisor (``kernel.supervisor``)."""
    directory = home / "link"
    directory.mkdir()
    sockets = Path(tempfile.mkdtemp(prefix="zk-", dir="/tmp"))
    supervisor = FakeSupervisor(directory)
    kernel = None
    try:
        if code:
            supervisor.leave(code, **keys)
        kernel = LinkedKernel(directory, sockets, command or [])
        kernel.supervisor = supervisor  # type: ignore[attr-defined]
        kernel.run("import os, signal, subprocess, sys, time, threading")
        yield kernel
    finally:
        if kernel:
            kernel.close()
        supervisor.kill()
        shutil.rmtree(sockets, ignore_errors=True)
