"""The two processes of a session, seen from outside."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from zmqkernel.client import Client
from zmqkernel.paths import Session

from .conftest import wait_for


def info_of(session: Session) -> tuple[int, int]:
    """(pid of the supervisor, pid of the kernel)"""
    with Client.connect(session) as client:
        info = client.info()
        return info.supervisor_pid, info.kernel_pid


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(has_ended(pid) for pid in pids))


def shut_down(session: Session) -> None:
    """And wait until it has let go of everything."""
    supervisor, _ = info_of(session)
    with Client.connect(session) as client:
        client.shutdown()
    wait_for(lambda: has_ended(supervisor))
