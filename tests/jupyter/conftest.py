"""Jupyter's kernel managers on the kernel ``zmqkernel-session``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from zmqkernel import kernelspec
from zmqkernel.paths import Session

SECONDS = 30.0
"""How long anything may take."""


class Managed:
    """One manager's kernel and a client of it."""

    def __init__(self, cwd: Path, environment: dict[str, str], **arguments: Any) -> None:
        self.manager = KernelManager(kernel_name=kernelspec.SESSION_NAME)
        self.manager.start_kernel(cwd=str(cwd), env={**os.environ, **environment}, **arguments)
        self._client: BlockingKernelClient | None = None

    @property
    def host(self) -> int:
        """The process that the manager believes to be its kernel."""
        pid = getattr(self.manager.provisioner, "pid", None)
        assert pid, "the kernel does not run"
        return pid

    @property
    def client(self) -> BlockingKernelClient:
        """Connected and ready."""
        if self._client is None:
            self._client = self.manager.client()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=SECONDS)
        return self._client

    def restart(self) -> None:
        """Have the manager restart its kernel; the client stays."""
        self.manager.restart_kernel()
        self.client.wait_for_ready(timeout=SECONDS)

    def another_client(self) -> None:
        """The next :attr:`client` is a new one."""
        if self._client is not None:
            self._client.stop_channels()
            self._client = None

    def run(self, code: str) -> str:
        """The stream text of some code."""
        return "".join(
            message["content"]["text"] for message in self.messages(code) if message["header"]["msg_type"] == "stream"
        )

    def messages(self, code: str) -> list[dict[str, Any]]:
        """Everything that iopub says about some code."""
        found: list[dict[str, Any]] = []
        self.client.execute_interactive(code, timeout=SECONDS, output_hook=found.append)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.another_client()
        with suppress(RuntimeError):  # it was shut down by the test
            self.manager.shutdown_kernel(now=True)


Manage = Callable[..., Managed]


@pytest.fixture
def project(home: Path) -> Path:
    """An empty project; both kernelspecs are installed."""
    kernelspec.install()
    directory = home / "analysis"
    directory.mkdir()
    (directory / "pyproject.toml").write_text("")
    return directory


@pytest.fixture
def manage(project: Path) -> Iterator[Manage]:
    """Starts kernels in the project: of a notebook, as a Jupyter server does, or of nothing, as nbclient does."""
    with ExitStack() as stack:

        def start(notebook: str = "", environment: dict[str, str] | None = None, **arguments: Any) -> Managed:
            told = {"JPY_SESSION_NAME": str(project / notebook)} if notebook else {}
            return stack.enter_context(Managed(project, {**told, **(environment or {})}, **arguments))

        yield start


def session_called(project: Path, name: str) -> Session:
    """The session of a name in the project."""
    return Session.at(project, name)


def wait_for(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until ``condition()`` is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Is this process there, and not only its exit status?"""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
