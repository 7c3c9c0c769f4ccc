"""Capture of what C code and child processes write to file descriptors 1 and 2.

The descriptors go to append-only files. A pipe would dead-lock when C code that holds the GIL fills it, and would break when
its reader dies. ``Captured.sizes`` says how far the files have got; who reads them punches holes behind itself, so they
stay small on disk.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

PIECE = 1024 * 1024
"""Bytes that are read at once."""
_END = os.SEEK_END
PUNCH = 4 * 1024 * 1024
"""Bytes after which what was read is given back to the file system."""


def capture(directory: Path | None = None) -> Captured:
    """Send fd 1 and 2 to ``directory/fd1`` and ``fd2`` (made here), or, without a directory, to files without a name."""
    log = _duplicate(2)
    kept = [_duplicate(1), _duplicate(2)]
    files: list[int] = []
    for number in (1, 2):
        file = _open(directory, number)
        os.dup2(file, number)
        files.append(file)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]  it is a TextIOWrapper
    return Captured(files, kept, log)


class Captured:
    """File descriptors 1 and 2, going to append-only files."""

    def __init__(self, files: list[int], kept: list[int], log: int) -> None:
        self.files = files
        self.log = log
        """A descriptor of the original stderr, for the kernel's own log."""
        self._kept = kept
        self._seek: Callable[[int, int, int], int] = os.lseek

    def flush(self) -> None:
        """Write out what C's ``stdout`` has buffered; the first call also makes it line-buffered.

        Called before the first cell, so that no other process needs ctypes and nothing was printed yet.
        """
        # From here on it is C's own function: a frame of ours for each of two calls per cell would say nothing.
        self.flush = _line_buffered_stdout()
        self.flush()
        self._seek = _seek_under_gil()

    def sizes(self) -> tuple[int, int]:
        """How many bytes fd 1 and fd 2 have got so far."""
        first, second = self.files
        seek = self._seek
        return seek(first, 0, _END), seek(second, 0, _END)

    def tails(self) -> list[Tail]:
        """Readers of the two files, for a kernel that reads them itself."""
        return [Tail(self.files[0], "stdout"), Tail(self.files[1], "stderr")]

    def restore(self) -> None:
        """Give fd 1 and 2 back."""
        self.flush()
        for number, kept, file in zip((1, 2), self._kept, self.files, strict=True):
            os.dup2(kept, number)
            os.close(kept)
            os.close(file)
        os.close(self.log)


class Tail:
    """What one of the files got since the last look, as text."""

    def __init__(self, file: int, stream: str) -> None:
        self.stream = stream
        self.file = file
        self.position = self._punched = 0
        """How far the file was taken."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, pieces: int) -> Iterator[str]:
        """At most ``pieces`` pieces of what is new; half a character waits for its other half."""
        end = os.lseek(self.file, 0, os.SEEK_END)
        if end < self.position:
            self.position = self._punched = 0  # a child opened /dev/stdout and truncated it
        while self.position < end and pieces > 0:
            data = os.pread(self.file, min(PIECE, end - self.position), self.position)
            if not data:
                return
            pieces -= 1
            self.position += len(data)
            if self.position - self._punched >= PUNCH:
                from ..paths import punch  # late: few cells write that much, and the kernel's start counts

                punch(self.file, self._punched, self.position)
                self._punched = self.position
            if text := self._decoder.decode(data):
                yield text


def _line_buffered_stdout() -> Callable[[], None]:
    """Make C's ``stdout`` line-buffered; returns what writes out its buffer. ctypes is imported late: 2 ms."""
    import ctypes

    library = ctypes.CDLL(None)
    name = "__stdoutp" if sys.platform == "darwin" else "stdout"
    stdout = ctypes.c_void_p.in_dll(library, name)
    line_buffered = 1  # _IOLBF of glibc, musl and macOS alike
    library.setvbuf(stdout, None, line_buffered, 0)
    # Not fflush(NULL): that waits for every FILE, also one in which another thread waits to read.
    return partial(library.fflush, stdout)


def _seek_under_gil() -> Callable[[int, int, int], int]:
    """``os.lseek`` that keeps the GIL: beside a busy thread, a print that lets go of it waits milliseconds to get it back."""
    import ctypes

    library = ctypes.PyDLL(None)
    seek = getattr(library, "lseek64", library.lseek)  # glibc's has 64 bits everywhere, others only have that
    seek.argtypes, seek.restype = (ctypes.c_int, ctypes.c_int64, ctypes.c_int), ctypes.c_int64
    return seek


def _open(directory: Path | None, number: int) -> int:
    if directory is not None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(directory / f"fd{number}", flags, 0o600)
    if hasattr(os, "memfd_create"):
        file = os.memfd_create(f"zmqkernel-fd{number}", os.MFD_CLOEXEC)
    else:
        import tempfile

        file, path = tempfile.mkstemp(prefix="zmqkernel-")
        Path(path).unlink()
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
    return file


def _duplicate(number: int) -> int:
    """A copy of a descriptor above 2; of the null device where it is closed."""
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        copy = fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(null)
        return copy
