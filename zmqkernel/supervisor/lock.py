"""The lock of a session: whoever holds the flock is its supervisor.

The flock decides; the text in the file (pid, start time, boot) only explains, and tells whether the door is open.
It is taken before any bind or unlink: a second bind on a live ipc path would succeed and steal it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

from ..protocol.errors import LockHeld


class Lock:
    """Held from :meth:`take` until the process ends; children do not inherit it.

    The text is JSON: ``pid``, ``boot_id``, ``machine_id``, ``started`` (Unix time), and ``ready``: the door is open.
    """

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
        holder = {
            "pid": os.getpid(),
            "boot_id": _text("/proc/sys/kernel/random/boot_id"),
            "machine_id": _text("/etc/machine-id"),
            "ready": ready,
            "started": time.time(),
        }
        text = json.dumps(holder).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def take_or_find_ready(self, seconds: float) -> bool:
        """True: taken. False: another supervisor has it and its door is open. LockHeld after ``seconds`` of neither
        (one that starts or leaves holds the lock without being ready)."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.take()
            except LockHeld:
                if self._is_ready():
                    return False
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                return True

    def _is_ready(self) -> bool:
        try:
            return bool(json.loads(self._path.read_bytes()).get("ready"))
        except (OSError, ValueError):
            return False  # it is being written just now: the caller asks again


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""  # only an explanation: without it the lock works as well
