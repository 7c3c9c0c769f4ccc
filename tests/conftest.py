"""What every test may use: ``home``, a place of its own for everything that zmqkernel and its neighbours write."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

# No deadline: the machine may be loaded. No database: nothing is written into the checkout.
hypothesis.settings.register_profile("zmqkernel", deadline=None, database=None)
hypothesis.settings.load_profile("zmqkernel")

# Tools for the tests are installed once per machine: the fixture below must not move them with HOME.
os.environ.setdefault("ZMQKERNEL_CACHE", str(Path.home() / ".cache" / "zmqkernel" / "tools"))

END_SECONDS = 10.0
"""How long processes may take to be gone once they were killed."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home directory: HOME, the XDG, Jupyter, IPython and matplotlib directories and the sockets move there.

    The state directory is ``home / "state" / "zmqkernel"``. Sessions may be left running: at the end their supervisors
    and kernels are killed, and any other process that still runs with this home fails the test.
    """
    with isolated(tmp_path, monkeypatch) as home:
        yield home


@pytest.fixture(scope="class")
def class_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As ``home``, for tests of a class that share a kernel."""
    with pytest.MonkeyPatch.context() as patch, isolated(tmp_path_factory.mktemp("class"), patch) as home:
        yield home


@contextmanager
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What ``home`` is, between beginning and end."""
    home = tmp_path / "home"
    sockets = Path(tempfile.mkdtemp(prefix="zk-", dir="/tmp"))  # short: a unix socket path ends at 107 bytes
    places = {
        "HOME": home,
        "XDG_STATE_HOME": home / "state",
        "XDG_DATA_HOME": home / "data",
        "XDG_CONFIG_HOME": home / "config",
        "XDG_CACHE_HOME": home / "cache",
        "XDG_RUNTIME_DIR": home / "run",
        "JUPYTER_RUNTIME_DIR": home / "jupyter-runtime",
        "JUPYTER_DATA_DIR": home / "jupyter-data",
        "JUPYTER_CONFIG_DIR": home / "jupyter-config",
        "IPYTHONDIR": home / "ipython",
        "MPLCONFIGDIR": home / "matplotlib",
        "ZMQKERNEL_SOCKET_DIR": sockets,
    }
    for name, path in places.items():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(path))
    yield home
    try:
        end_processes(home)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def end_processes(home: Path) -> None:
    """Kill the sessions of ``home``; fail when another process of it is left, and end that too."""
    # A kernel starts the next supervisor, a supervisor the next kernel: both are stopped before either is killed.
    recorded = recorded_pids(home, "supervisor_pid") | recorded_pids(home, "kernel_pid")
    while ours := [pid for pid, command in processes(home).items() if pid in recorded or is_session(command)]:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in ours:
                send(pid, number)
    deadline = time.monotonic() + END_SECONDS
    while (left := processes(home)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in left:
        send(pid, signal.SIGKILL)
    if left:
        pytest.fail(f"processes left behind: {left}")


def recorded_pids(home: Path, key: str) -> set[int]:
    """The process ids that the sessions of ``home`` have written down under ``key``."""
    files = (home / "state" / "zmqkernel").glob("*/session.json")
    return {int(found[1]) for file in files if (found := re.search(rb'"%s": *(\d+)' % key.encode(), file.read_bytes()))}


def is_session(command: str) -> bool:
    """Is this the command line of a supervisor, a kernel or a host of ours?"""
    return any(module in command for module in ("zmqkernel.supervisor", "zmqkernel.kernel", "zmqkernel.hosted"))


def processes(home: Path) -> dict[int, str]:
    """Process id and command line of everything that was started with this ``home`` in its environment."""
    mark = f"HOME={home}".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # gone since the listing, or another user's
        if mark in environment:
            found[int(folder.name)] = command
    return found


def send(pid: int, number: int) -> None:
    """A signal, unless the process is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # gone is what we want
