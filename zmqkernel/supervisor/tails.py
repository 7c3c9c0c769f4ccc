"""Reading the files that the kernel's file descriptors 1 and 2 append to."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Protocol

from ..paths import punch

CHUNK = 64 * 1024
MOST = 2 * 1024 * 1024
"""Bytes in one turn of the loop: the rest waits in the file, not in memory."""
PUNCH = 4 * 1024 * 1024
"""Bytes that are given back to the file system at once, when they are journaled."""


class Hears(Protocol):
    """Who gets the text; the relay."""

    def text(self, stream: str, execution: str, text: str) -> None: ...
    def skip(self, execution: str, size: int) -> bool: ...
    def is_cut(self, execution: str) -> bool: ...


class DescriptorTail:
    """What a captured file descriptor has appended, as text. ``taken``: the offset up to which it was handed over."""

    def __init__(self, path: Path, stream: str, taken: int = 0) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._stream = stream
        self.taken = self._offset = taken
        self._punched = taken - taken % PUNCH
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, said: Hears, owner: str, upto: int | None = None, final: bool = False) -> bool:
        """Hand over the bytes up to offset ``upto`` (None: all that are there), at most MOST. True: that was all."""
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:
            self.taken = self._offset = self._punched = 0  # a child has truncated it (echo > /dev/stdout): this is new
        end = size if upto is None else min(upto, size)
        if self._offset < end and said.is_cut(owner):
            said.skip(owner, end - self._offset)
            self.taken = self._offset = end  # its cell has said more than is kept: not even read
            self._decode.reset()
        stop = min(end, self._offset + MOST)
        while self._offset < stop:
            data = os.pread(self._descriptor, min(CHUNK, stop - self._offset), self._offset)
            if not data:
                return True  # truncated just now: the next look begins anew
            self._offset += len(data)
            text = self._decode.decode(data)
            self.taken = self._offset - len(
                self._decode.getstate()[0]
            )  # half a character is read again by the next reader
            if text:
                said.text(self._stream, owner, text)
        if self._offset < end:
            return False
        if final and (rest := self._decode.decode(b"", True)):
            self.taken = self._offset
            said.text(self._stream, owner, rest)
        return True

    def confirm(self) -> None:
        """What was handed over is journaled: its blocks go back to the file system."""
        if self.taken - self._punched >= PUNCH:
            whole = self.taken - self.taken % PUNCH
            punch(self._descriptor, self._punched, whole)
            self._punched = whole

    def close(self) -> None:
        os.close(self._descriptor)
