"""What a child process that user code forks must not keep: descriptors of ours, which would live as long as it does.

A daemonised grandchild would hold the kernel's sockets open: after the kernel's death one could still connect to them, and
nobody would ever answer. ``os.fork`` copies every descriptor; close-on-exec only helps when a program is executed. (C code
that forks without Python runs no hooks; what it keeps, it keeps.) fd 1 and 2 stay: they are where the child prints.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol


class Forkable(Protocol):
    def before_fork(self) -> None: ...
    def forked(self) -> None: ...


_watching: weakref.WeakSet[Forkable] = weakref.WeakSet()


def watch_forks(one: Forkable) -> None:
    """Tell ``one`` of every ``os.fork``: ``before_fork()`` in the parent, ``forked()`` in the child."""
    _watching.add(one)


def let_go(is_ours: Callable[[int, os.stat_result], bool]) -> None:
    """Close every descriptor above 2 of which ``is_ours(number, its fstat)`` is true."""
    for name in os.listdir("/dev/fd"):
        number = int(name)
        if number <= 2:
            continue
        try:
            if is_ours(number, os.fstat(number)):
                os.close(number)
        except OSError:
            continue  # that of the listing itself


def _before() -> None:
    for one in list(_watching):
        one.before_fork()


def _in_child() -> None:
    for one in list(_watching):
        one.forked()


os.register_at_fork(before=_before, after_in_child=_in_child)
