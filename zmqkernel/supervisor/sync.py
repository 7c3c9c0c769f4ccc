"""Tells the disk what was written, from a thread of its own: the page cache is enough against the death of processes,
and a slow disk must not hold up the door."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .log import log

SYNC_EVERY = 0.5
"""Seconds after a write until the disk is told: what a power failure may cost, at most."""


class Sync:
    """Calls fdatasync, SYNC_EVERY seconds after the first write that it has not seen; closes files that are done with."""

    def __init__(self, directory: Path, idle: Callable[[], None]) -> None:
        """``idle`` is called, in the thread, after the disk has answered."""
        self._directory = directory
        self._idle = idle
        self._condition = threading.Condition()
        self._descriptor = -1
        self._retired: list[int] = []
        self._new_file = False
        self._urgent = False
        self._stop = False
        self._thread: threading.Thread | None = None
        self.began = 0.0
        """Since when (monotonic) the disk is being told; 0.0 while it is not."""
        self.error: OSError | None = None
        """Why the disk did not take what it was told last; a power failure may cost that."""

    def wanted(self, descriptor: int) -> None:
        """Something was written to this descriptor."""
        if self._descriptor == descriptor:
            return  # asked already; the thread takes the note away before it syncs
        with self._condition:
            self._descriptor = descriptor
            self._begin()

    def retire(self, descriptor: int) -> None:
        """Nothing will be written to this descriptor any more: sync and close it."""
        with self._condition:
            self._retired.append(descriptor)
            if self._descriptor == descriptor:
                self._descriptor = -1
            self._begin()

    def created(self) -> None:
        """There is a new file in the directory: its name has to reach the disk as well."""
        self._new_file = True

    def close(self, patience: float) -> bool:
        """Everything reaches the disk and the thread ends, within ``patience`` seconds; else False, and it goes on alone."""
        if self._thread is None:
            return True
        with self._condition:
            self._stop = self._urgent = True
            self._condition.notify_all()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._descriptor >= 0 or self._retired or self._stop)
                self._condition.wait_for(lambda: self._urgent, timeout=SYNC_EVERY)
                current, self._descriptor = self._descriptor, -1
                retired, self._retired = self._retired, []
                if current < 0 and not retired:
                    if self._stop:
                        return
                    continue  # it was retired meanwhile
            self._tell([current] * (current >= 0) + retired)
            for descriptor in retired:
                os.close(descriptor)
            if not self.error and not self._stop:
                self._idle()

    def _tell(self, descriptors: list[int]) -> None:
        self.began = time.monotonic()
        failure: OSError | None = None
        for descriptor in descriptors:
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                failure = error
        if self._new_file:
            self._new_file = False
            try:
                self._sync_directory()
            except OSError as error:
                self._new_file = True
                failure = error
        if failure is not None and self.error is None:
            # The data is in the page cache all the same: it is only less safe against power loss, so we go on.
            log(f"journal: fdatasync: {failure} after {time.monotonic() - self.began:.1f} s")
        self.error = failure
        self.began = 0.0

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
