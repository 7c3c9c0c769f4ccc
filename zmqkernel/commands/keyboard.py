"""The keyboard of a terminal while a cell runs: Ctrl-D is seen at once, and nothing that is typed is run by accident."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STDIN = 0
END = b"\x04"
"""What Ctrl-D sends when the terminal does not gather lines."""

_KEYS = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z~]|O[A-Za-z]|.)?|[\x00-\x08\x0b-\x1f]")
"""Arrow and function keys, and control characters: not text."""


class Keyboard:
    """Open it with ``with`` while a cell runs. What was typed meanwhile is :meth:`typed`, for the person to look at."""

    def __init__(self) -> None:
        self._keys = b""
        self._mode: list[Any] = []
        self._terminated: Any = None

    def __enter__(self) -> Keyboard:
        # Not to leave a terminal that shows nothing behind when we are ended.
        self._terminated = signal.signal(signal.SIGTERM, _leave)
        self._mode = termios.tcgetattr(STDIN)
        _set(self._mode, lines=False)
        return self

    def __exit__(self, *error: object) -> None:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, self._mode)
        signal.signal(signal.SIGTERM, self._terminated)

    def left(self) -> bool:
        """Take what was typed; was Ctrl-D among it (or is the terminal gone)?"""
        while select.select([STDIN], [], [], 0)[0]:
            try:
                keys = os.read(STDIN, 4096)
            except OSError:
                return True  # the terminal was closed: nobody is there
            if not keys or END in keys:
                return True
            self._keys += keys
        return False

    def typed(self) -> str:
        """The text that was typed since the last time, without the ends of its last lines."""
        text, self._keys = self._keys.decode(errors="ignore"), b""
        kept = ""
        for character in _KEYS.sub("", text):
            kept = kept[:-1] if character == "\x7f" else kept + character
        return kept.rstrip("\n")


LOOK_SECONDS = 0.25
"""How often a question looks whether it is still open."""


@contextmanager
def asking() -> Iterator[None]:
    """For a question in between: the terminal gathers lines and shows them, and Ctrl-C raises KeyboardInterrupt, for
    ``input`` can be left in no other way."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    mode = termios.tcgetattr(STDIN) if sys.stdin.isatty() else None
    try:
        if mode is not None:
            _set(mode, lines=True)
        yield
    finally:
        if mode is not None:
            termios.tcsetattr(STDIN, termios.TCSADRAIN, mode)
        signal.signal(signal.SIGINT, before)


def ask(question: str, is_open: Callable[[], bool], *, hidden: bool = False) -> str | None:
    """A line that is typed at the terminal; None when nobody needs it any more: ``is_open`` is asked a few times a second.

    ``hidden``: it is not shown. Raises EOFError for Ctrl-D, KeyboardInterrupt for Ctrl-C.
    """
    with asking():
        if hidden:
            mode = termios.tcgetattr(STDIN)
            termios.tcsetattr(STDIN, termios.TCSADRAIN, [*mode[:3], mode[3] & ~termios.ECHO, *mode[4:]])
        print(question, end="", flush=True)
        try:
            while True:
                if select.select([STDIN], [], [], LOOK_SECONDS)[0]:
                    return _line(os.read(STDIN, 65536))
                if not is_open():
                    termios.tcflush(STDIN, termios.TCIFLUSH)  # what was begun as the answer is no code
                    return None
        finally:
            if hidden:
                print()


def _line(data: bytes) -> str:
    if not data:
        raise EOFError
    return data.decode(errors="replace").partition("\n")[0]


def _set(mode: list[Any], *, lines: bool) -> None:
    """Gather lines and echo them, or neither."""
    flags = termios.ICANON | termios.ECHO
    changed = [*mode[:3], mode[3] | flags if lines else mode[3] & ~flags, *mode[4:]]
    termios.tcsetattr(STDIN, termios.TCSADRAIN, changed)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
