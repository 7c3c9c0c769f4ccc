"""Which cell owns the output that is written now.

A cell owns what its own statements write, what the asyncio tasks it created write (context variables), and what the threads
it started and the work it gave to a thread pool write, also when that happens while a later cell runs.

``ZMQKERNEL_THREAD_OUTPUT=foreground`` (or ``install(inherit=False)``) turns the inheritance by threads off: then a thread's
output belongs to the cell that runs, or ran last.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


class Owner(msgspec.Struct, frozen=True, eq=False):
    """The execute_request that output belongs to. Compared by identity: there is one object for each request."""

    msg_id: str
    key: bytes
    """``msg_id`` in UTF-8, at most 200 bytes: how the ring tags text."""
    header_json: bytes
    """The request's header as it came: the parent header of its outputs."""
    idents: list[bytes]
    """Where an input_request for this cell goes."""
    allow_stdin: bool
    session: str


current: ContextVar[Owner | None] = ContextVar("zmqkernel_owner", default=None)
"""Who owns what is written now; the execution loop sets it around a cell, tasks inherit it."""

_MARK = "_zmqkernel_owner"

_foreground: Owner | None = None
_originals: tuple[Callable[..., Any], Callable[..., Any]] | None = None


def owner() -> Owner | None:
    """The context's owner, else that of the cell that started this thread, else the foreground cell."""
    found = current.get()
    if found is not None:
        return found
    found = getattr(threading.current_thread(), _MARK, None)
    if found is None:
        return _foreground
    current.set(found)  # this thread's context had none: the next look is the fast one
    return found


set_foreground: Callable[[Owner | None], None] = partial(setattr, sys.modules[__name__], "_foreground")
"""Called by the execution loop: this cell runs now, and stays the foreground until the next one."""


def foreground() -> Owner | None:
    """The cell that runs, or ran last."""
    return _foreground


def install(inherit: bool | None = None) -> None:
    """Let threads and thread pools inherit the owner; ``inherit=False`` (or the environment) leaves them alone."""
    global _originals
    if inherit is None:
        inherit = os.environ.get("ZMQKERNEL_THREAD_OUTPUT") != "foreground"
    if not inherit or _originals:
        return
    from concurrent.futures import ThreadPoolExecutor  # 5 ms that kernel_info need not wait for

    start, submit = _originals = threading.Thread.start, ThreadPoolExecutor.submit

    def start_inheriting(self: threading.Thread) -> None:
        self.__dict__.setdefault(_MARK, owner())
        start(self)

    def submit_inheriting(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        return submit(self, _run_as, owner(), fn, *args, **kwargs)

    threading.Thread.start = start_inheriting
    ThreadPoolExecutor.submit = submit_inheriting


def uninstall() -> None:
    """Undo :func:`install`."""
    global _originals
    if _originals:
        from concurrent.futures import ThreadPoolExecutor

        threading.Thread.start, ThreadPoolExecutor.submit = _originals
        _originals = None


def _run_as(who: Owner | None, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = current.set(who)
    try:
        return fn(*args, **kwargs)
    finally:
        current.reset(token)
