"""sys.stdout and sys.stderr of a kernel."""

from __future__ import annotations

import codecs
import io
from typing import Any

from .outlet import NUMBERS, Outlet
from .ownership import owner


class OutStream(io.TextIOBase):
    """``OutStream("stdout", outlet)``: a text stream over an outlet.

    It is line-buffered in the best sense: text has left when ``write`` returns. ``close`` does nothing, because a
    session's streams are there for the next cell.
    """

    encoding = "utf-8"
    errors = "replace"
    newlines = None
    line_buffering = True
    write_through = True
    mode = "w"

    def __init__(self, name: str, outlet: Outlet) -> None:
        super().__init__()
        self.name = f"<{name}>"
        self._stream = name
        self._outlet = outlet
        self.buffer = _Bytes(self, name)
        self.write = outlet.writer(name)  # in the instance, ahead of the method: print() needs no bound method

    def write(self, text: str, /) -> int:
        """Write text; returns the number of characters."""
        self._outlet.text(self._stream, text, owner())
        return len(text)

    def flush(self) -> None:
        """Nothing is held back, but the reader may wait for the end of a line."""
        self._outlet.flush()

    def close(self) -> None:
        """Nothing is closed."""

    def fileno(self) -> int:
        """1 or 2: what a child process gets with ``stdout=sys.stdout``; it is captured as well."""
        return NUMBERS[self._stream]

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def reconfigure(self, **_options: Any) -> None:
        """Harmless: the stream is UTF-8 and unbuffered whatever is asked for."""

    def __repr__(self) -> str:
        return f"<OutStream name={self.name!r} encoding='utf-8'>"


class _Bytes(io.BufferedIOBase):
    """``sys.stdout.buffer``: bytes are decoded as UTF-8, in order with the text."""

    mode = "wb"

    def __init__(self, text: OutStream, name: str) -> None:
        super().__init__()
        self.name = f"<{name}>"
        self.raw = self
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: Any, /) -> int:
        """Write bytes; half a character waits for its other half."""
        view = memoryview(data)
        if text := self._decoder.decode(view.tobytes()):
            self._text.write(text)
        return view.nbytes

    def flush(self) -> None:
        """As of the text stream."""
        self._text.flush()

    def close(self) -> None:
        """Nothing is closed."""

    def fileno(self) -> int:
        return self._text.fileno()

    def writable(self) -> bool:
        return True
