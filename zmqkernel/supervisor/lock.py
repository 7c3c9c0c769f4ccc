"""The lock of a session: whoever holds the flock is its supervisor.

The flock decides; the text in the file (pid, start time, boot) only explains, and tells whether the door is open.
It is taken before any bind or unlink: a second bind on a live ipc path would succeed and steal it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import msgspec

from ..protocol.errors import LockHeld


class Holder(msgspec.Struct):
    """What the lock file says about its holder."""

    pid: int
    boot_id: str
    machine_id: str
    ready: bool
    started: float


class Lock:
    """Held from :meth:`take` until the process ends; children do not inherit it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> None:
        """Take the lock or raise LockHeld."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LockHeld("another supervisor has this session") from None
        self._descriptor = descriptor
        self.note(ready=False)

    def note(self, ready: bool) -> None:
        """Write who we are."""
        boot, machine = _text("/proc/sys/kernel/random/boot_id"), _text("/etc/machine-id")
        holder = Holder(os.getpid(), boot, machine, ready, time.time())
        text = msgspec.json.encode(holder)
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def wait_until_ready(self, seconds: float) -> bool:
        """The lock is held by another: wait until that one's door is open. False when it gave up or took too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if msgspec.json.decode(self._path.read_bytes(), type=Holder).ready:
                    return True
            except (OSError, msgspec.MsgspecError):
                pass  # it is being written just now, or its holder has gone: ask again until the deadline
            time.sleep(0.01)
        return False


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""  # only an explanation: without it the lock works as well
