"""Appends to the journal's files: in the caller's thread while the disk behaves, in one of its own while it does not."""

from __future__ import annotations

import errno
import os
import threading
import time

from ..protocol.journal import Record
from .reserve import Reserve
from .segment import Segment
from .sync import Sync

SLOW = 0.05
"""Seconds: a disk that takes longer does not behave."""
BEHAVED = 3.0
"""Seconds that it must behave until it is written to from the loop again."""
RETRY_FIRST, RETRY_MOST = 0.05, 1.0
"""Seconds between attempts when the disk refuses: doubled each time."""
SILENT = 1.0
"""Seconds without an answer that are worth telling people; telling the disk (fdatasync) may take five times as long."""
FULL = (errno.ENOSPC, errno.EDQUOT)

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the journal's file may not grow (a file size limit, see ulimit -f)",
    errno.EROFS: "the disk may only be read",
    errno.EIO: "the disk reports an error",
}


Job = tuple[list[tuple[Record, bytes]], bytes, Segment]
"""What is written at once: neighbouring records with their frames, the frames joined, where they go."""


class Writer:
    """One job at a time. :meth:`write` gives True when it is done, else :meth:`poll` says so later; a refused job is
    kept by the caller and given again. Belongs to the loop's thread; its own thread touches only what a job needs."""

    def __init__(self, sync: Sync, reserve: Reserve) -> None:
        self._sync = sync
        self._reserve = reserve
        self._descriptor = -1
        self._segment: Segment | None = None
        self._torn = False
        """The file may hold more than its segment's whole frames."""
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.error: OSError | None = None
        """Why the last job was refused."""
        self._pause = RETRY_FIRST
        self.due = 0.0
        """When (monotonic) it is worth trying again."""
        self._threaded_until = 0.0
        self._job: Job | None = None
        self.since = 0.0
        """Since when (monotonic) the thread has been at its job; 0.0 when it has none."""
        self._condition = threading.Condition()
        self._done = False
        self._failure: OSError | None = None
        self._stop = False
        self._thread: threading.Thread | None = None

    # --- the loop's side ---------------------------------------------------------------------------------------------

    def write(self, job: Job) -> bool:
        """Append the job, or hand it to the thread. False: it was refused (see ``error``) or is under way."""
        now = time.monotonic()
        began = self._sync.began
        if began and now - began > SLOW:
            self._threaded_until = now + BEHAVED  # what the disk is being told holds up writes as well
        if now < self._threaded_until:
            self._hand_over(job, now)
            return False
        try:
            self._append(job)
        except OSError as error:
            return self._finished(self._again(job, error), now)
        if self.error is not None or time.monotonic() - now > SLOW:
            return self._finished(None, now)
        return True

    def poll(self) -> bool | None:
        """What became of the job that the thread has: None while it is under way."""
        if not self._done:
            return None
        self._clear_wake()
        self._job = None  # before the next line: without a job the thread waits
        self._done = False
        began, self.since = self.since, 0.0
        return self._finished(self._failure, began)

    def wait(self, patience: float) -> bool:
        """Until the thread has done its job; False when it takes longer than ``patience`` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: self._done, patience)

    @property
    def is_well(self) -> bool:
        """Nothing is under way that could become trouble, and nothing is trouble."""
        return not (self.since or self.error or self._sync.began or self._sync.error)

    def trouble(self) -> str:
        """'' or what is wrong with the disk."""
        if self.error is not None:
            return REASONS.get(self.error.errno or 0) or f"the journal cannot be written ({self.error.strerror})"
        waited = time.monotonic() - self.since if self.since else 0.0
        if waited > SILENT:
            return f"the disk does not answer since {_steps(waited)}"
        return ""

    def unsafe(self) -> str:
        """'' or why what is written would not survive a power failure."""
        error, began = self._sync.error, self._sync.began
        if error is not None:
            return f"the disk does not take what it is told ({error.strerror})"
        waited = time.monotonic() - began if began else 0.0
        return f"the disk does not answer since {_steps(waited)}" if waited > 5 * SILENT else ""

    def close(self, patience: float) -> bool:
        """End both threads, within ``patience`` seconds; False when the disk holds one of them."""
        deadline = time.monotonic() + patience
        if self._thread is not None:
            with self._condition:
                self._stop = True
                self._condition.notify_all()
            self._thread.join(patience)
            if self._thread.is_alive():
                self._sync.close(0.1)
                return False  # its descriptors stay open until this process ends
        if self._descriptor >= 0:
            self._sync.retire(self._descriptor)
            self._descriptor = -1
        os.close(self.wake)
        return self._sync.close(max(0.1, deadline - time.monotonic()))

    def _finished(self, error: OSError | None, began: float) -> bool:
        now = time.monotonic()
        if now - began > SLOW:
            self._threaded_until = now + BEHAVED
        self.error = error
        if error is None:
            self._pause = RETRY_FIRST
            self.due = 0.0
            return True
        self.due = now + self._pause
        self._pause = min(2 * self._pause, RETRY_MOST)
        return False

    def _hand_over(self, job: Job, now: float) -> None:
        self.since = now
        with self._condition:
            self._job = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def _clear_wake(self) -> None:
        try:
            os.eventfd_read(self.wake)
        except BlockingIOError:
            pass  # the thread is just about to write it: then the poller wakes once more, for nothing

    # --- either thread -----------------------------------------------------------------------------------------------

    def _again(self, job: Job, error: OSError) -> OSError | None:
        """Give up the reserve for a job that found the disk full. None: now it is written."""
        if error.errno not in FULL or not self._reserve.give_up():
            return error
        try:
            self._append(job)
        except OSError as still:
            return still
        return None

    def _append(self, job: Job) -> None:
        _, data, segment = job
        if self._segment is not segment:
            self._open(segment)
        descriptor = self._descriptor
        if self._torn:
            os.ftruncate(descriptor, segment.size)  # half a frame would hide the next one
        self._torn = True
        try:
            written = os.write(descriptor, data)
            if written != len(data):
                _write_rest(descriptor, memoryview(data)[written:])
        except OSError:
            self._cut(segment)
            raise
        self._torn = False
        self._sync.wanted(descriptor)

    def _cut(self, segment: Segment) -> None:
        try:
            os.ftruncate(self._descriptor, segment.size)
        except OSError:
            return  # the next attempt begins with it, and whoever opens the file after our death cuts it as well
        self._torn = False

    def _open(self, segment: Segment) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(segment.path, flags, 0o600)
        if self._descriptor >= 0:
            self._sync.retire(self._descriptor)
        self._descriptor, self._segment = descriptor, segment
        if not segment.size:
            self._sync.created()
        # A torn tail of an earlier process would hide what is appended after it.
        self._torn = os.fstat(descriptor).st_size != segment.size

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stop or (self._job is not None and not self._done))
                job = self._job
                if job is None or self._done:
                    return
            failure: OSError | None = None
            try:
                self._append(job)
            except OSError as error:
                failure = self._again(job, error)  # the loop hears of it in poll()
            with self._condition:
                self._failure, self._done = failure, True
                self._condition.notify_all()
            os.eventfd_write(self.wake, 1)


def _write_rest(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


def _steps(seconds: float) -> str:
    """How long, coarsely: who shows the text shows it anew when it changes."""
    for step in (300, 60, 30, 10, 5, 2):
        if seconds >= step:
            return f"{step // 60} min" if step >= 60 else f"{step} s"
    return "1 s"
