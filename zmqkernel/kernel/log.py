"""The kernel's own log: one line of text on the standard error that the process was started with.

Not ``logging``: that is imported later, and belongs to user code. Not fd 2: that is captured and is the user's output.
"""

from __future__ import annotations

import os
import time
import traceback

_descriptor = 2


def to(descriptor: int) -> None:
    """Write to ``descriptor`` from now on: fd 2 is about to be captured."""
    global _descriptor
    _descriptor = descriptor


def say(text: str) -> None:
    """Log one line."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} zmqkernel {os.getpid()}: {text}\n"
    try:
        os.write(_descriptor, line.encode("utf-8", "replace"))
    except OSError:
        pass  # nobody reads the log any more: no reason to stop serving


def bug(what: str) -> None:
    """Log the exception that is being handled: it is ours."""
    say(f"{what}\n{traceback.format_exc()}")
