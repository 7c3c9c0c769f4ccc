"""LSP's frames: a thread that writes them, and cutting the stream that comes in."""

from __future__ import annotations

import io
import logging
import os
import select
import threading
from collections import deque
from typing import Any, BinaryIO

MAX_WAITING = 256 * 1024 * 1024
"""Bytes that may wait for the editor to read them; an editor that lets more pile up is gone."""
CONGESTED = 1024 * 1024
"""From this many waiting bytes on, what can be sent later is."""

_log = logging.getLogger(__name__)


class Writer:
    """Frames messages and writes them in a thread of its own, in order."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        self._filled = threading.Condition()
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    @property
    def congested(self) -> bool:
        """Is the editor slow in reading just now?"""
        return self._waiting > CONGESTED

    def send(self, body: bytes) -> None:
        """Queue one message. Ends the process when the editor has let too much pile up."""
        with self._filled:
            data = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            self._queue.append(data)
            self._waiting += len(data)
            self._filled.notify()
        if self._waiting > MAX_WAITING:
            _log.error("the editor has not read %d bytes: giving up on it", self._waiting)
            os._exit(1)

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written; False when that took too long."""
        with self._filled:
            return self._filled.wait_for(lambda: not self._waiting, seconds)

    def _run(self) -> None:
        while True:
            with self._filled:
                self._filled.wait_for(lambda: self._queue)
                data = self._queue.popleft()
            try:
                self._out.write(data)
                self._out.flush()
            except OSError:
                os._exit(1)  # nobody reads what we say: there is no editor any more
            with self._filled:
                self._waiting -= len(data)
                self._filled.notify_all()


class Ear(io.RawIOBase):
    """A descriptor to read from, which knows whether all that was said has been heard. Wrap it in a BufferedReader."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._waiting = True
        try:
            data = os.read(self._descriptor, len(buffer))
        finally:
            self._waiting = False
        buffer[: len(data)] = data
        return len(data)

    @property
    def has_heard_all(self) -> bool:
        """Is the reader waiting, and nothing there for it?"""
        return self._waiting and not select.select([self._descriptor], [], [], 0)[0]


def read_frame(source: BinaryIO) -> bytes | None:
    """The body of the next message, None at the end of the stream or when it makes no sense any more."""
    length = -1
    while line := source.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value) if value.strip().isdigit() else -1
        elif not line.strip() and length >= 0:
            body = source.read(length)
            return body if len(body) == length else None
        elif not line.strip():
            _log.error("a message without Content-Length")
            return None
    return None
