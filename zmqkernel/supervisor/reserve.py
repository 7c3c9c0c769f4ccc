"""Four megabytes that are kept free: given up when the disk is full, so that what is under way can still be written."""

from __future__ import annotations

import os
import time
from pathlib import Path

RESERVE = 4 * 1024 * 1024
AGAIN = 10.0
"""Seconds between two attempts to have it."""


class Reserve:
    """The file ``reserve``. :meth:`keep` belongs to one thread, :meth:`give_up` to another: each is one system call that
    the other may precede."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reserve"
        self._kept = False
        self._due = 0.0

    def keep(self) -> None:
        """Make the file, when it is not there and the disk has room for twice as much."""
        now = time.monotonic()
        if self._kept or now < self._due:
            return
        self._due = now + AGAIN
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * RESERVE:
                return
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._kept = True
                os.posix_fallocate(descriptor, 0, RESERVE)
            finally:
                os.close(descriptor)
        except OSError:
            self.give_up()  # a quota, a file size limit, a disk that may only be read: then there is no reserve

    def give_up(self) -> bool:
        """Remove the file; False when there is none."""
        self._kept = False
        self._due = time.monotonic() + AGAIN  # not at once again: what waits comes first
        try:
            os.unlink(self._path)
        except OSError:
            return False  # it is not there, or the disk may only be read
        return True
