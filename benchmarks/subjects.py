"""What is measured, and how each is started, asked for its processes and ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from .wire import Client

Command = Callable[[Path], list[str]]
ECHO = Path(__file__).with_name("echo_kernel.py")
END_SECONDS = 10.0


def environment(home: Path) -> dict[str, str]:
    """The environment of every measured process: a home of its own, and bytecode caches as users have them."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    sockets = home / "s"
    places = {
        "HOME": home,
        "XDG_STATE_HOME": home / "state",
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_DATA_DIR": home / "jupyter",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "MPLCONFIGDIR": home / "matplotlib",
        "ZMQKERNEL_SOCKET_DIR": sockets,
    }
    for path in places.values():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Started elsewhere, they still find this checkout, installed or not.
    return {**kept, **{key: str(path) for key, path in places.items()}, "PYTHONPATH": str(Path(__file__).parent.parent)}


def processor_seconds(pid: int) -> float:
    """Processor time that a process's threads have used, in seconds (nanosecond counters of the scheduler)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_megabytes(pid: int) -> float:
    """Resident memory, in units of 2**20 bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


class Bare:
    """A kernel started with a connection file, as Jupyter starts it."""

    supervisor_pid = 0

    def __init__(self, name: str, command: Command, transport: str) -> None:
        self.name = name
        self.command = command
        self.transport = transport
        # A path below /tmp, because a unix socket path ends at 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="zkb-", dir="/tmp"))
        self.environment = environment(self.home)
        self.starts = 0

    def start(self, context: zmq.Context[zmq.Socket[bytes]]) -> float:
        """Start the process and connect a client. Returns the moment before the start."""
        self.starts += 1
        info = self._endpoints()
        file = self.home / f"kernel-{self.starts}.json"
        file.write_text(json.dumps(info))
        begun = time.monotonic()
        self._spawn(self.command(file))
        self.kernel_pid = self.process.pid
        self.client = Client(info, context)
        return begun

    def _spawn(self, command: list[str]) -> None:
        log = (self.home / f"log-{self.starts}").open("wb")
        with log:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _endpoints(self) -> dict[str, Any]:
        names = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
        if self.transport == "ipc":
            ip, ports = str(self.home / f"k{self.starts}"), list(range(1, 6))
        else:
            ip, ports = "127.0.0.1", free_ports(5)
        return {
            "transport": self.transport,
            "ip": ip,
            "key": secrets.token_hex(16),
            "signature_scheme": "hmac-sha256",
            "kernel_name": self.name,
            **dict(zip(names, ports, strict=True)),
        }

    def pids(self) -> list[int]:
        """The processes whose time and memory count."""
        return [pid for pid in (self.kernel_pid, self.supervisor_pid) if pid]

    def stop(self) -> None:
        """Ask for a shutdown, then insist."""
        self.client.send(self.client.control, "shutdown_request", {"restart": False})
        self._end()
        self.client.close()

    def _end(self) -> None:
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def remove(self) -> None:
        """Remove everything this subject has written."""
        shutil.rmtree(self.home, ignore_errors=True)


class Door(Bare):
    """A session of ours: the same client, through the supervisor."""

    def __init__(self, name: str) -> None:
        super().__init__(name, lambda _: [], "ipc")
        self.project = self.home / "project"
        self.project.mkdir()

    def start(self, context: zmq.Context[zmq.Socket[bytes]]) -> float:
        """Start a session; the client connects as soon as the command has said where."""
        self.starts += 1
        command = ["-m", "zmqkernel.supervisor", "--project", str(self.project), "--name", f"n{self.starts}"]
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, *command], env=self.environment, cwd=self.project, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the session did not start: {done.stdout.decode()} {done.stderr.decode()}")
        answer = json.loads(done.stdout)
        self.client = Client(json.loads(Path(answer["connection_file"]).read_text()), context)
        return begun

    def pids(self) -> list[int]:
        """Kernel and supervisor, as the session itself says."""
        info = self.client.request(self.client.control, "session_info_request")
        self.kernel_pid, self.supervisor_pid = info["kernel_pid"], info["supervisor_pid"]
        return super().pids()

    def _end(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        left = super().pids()
        while left := [pid for pid in left if Path(f"/proc/{pid}").exists()]:
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                raise RuntimeError(f"a session did not end after its shutdown_request, killed {left}")
            time.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free just now."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def subjects(transport: str, words: list[str]) -> list[Bare]:
    """Those whose name contains one of ``words``, or all. The ratios refer to ipykernel."""

    def module(name: str) -> Command:
        return lambda file: [sys.executable, "-m", name, "-f", str(file)]

    def async_kernel(file: Path) -> list[str]:
        return [sys.executable, "-m", "async_kernel", "start", f"--connection_file={file}", "--name=async"]

    commands: dict[str, Command] = {
        "ipykernel": module("ipykernel_launcher"),
        "async-kernel": async_kernel,
        "zmqkernel bare": module("zmqkernel.kernel"),
        "zmqkernel door": lambda _: [],  # started by its project and name
        "echo": lambda file: [sys.executable, str(ECHO), "-f", str(file)],
    }
    chosen = [name for name in commands if not words or any(word in name for word in words)]
    return [Door(name) if name.endswith("door") else Bare(name, commands[name], transport) for name in chosen]
