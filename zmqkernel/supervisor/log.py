"""What the supervisor says to whoever reads its log."""

from __future__ import annotations

import os
import time

MOST = 200
MINUTE = 60.0
"""At most so many lines in so many seconds: a client that sends garbage must not fill the disk with our complaints."""

_since, _lines = 0.0, 0


def log(text: str) -> None:
    """One line to ``supervisor.log``, or to the caller's terminal while that is still standard error."""
    global _since, _lines
    now = time.monotonic()
    if now - _since > MINUTE:
        if _lines > MOST:
            _say(f"{_lines - MOST} lines were not written here")
        _since, _lines = now, 0
    _lines += 1
    if _lines <= MOST:
        _say(text)


def _say(text: str) -> None:
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        pass  # the log is on the disk that is full, or the terminal has gone: no reason to end a session
