"""When the mirror is looked at: in the introspection thread, after the reply and ``idle`` of a cell have gone.

Rules:

1. A pass begins when no cell has begun for QUIET seconds after the last one ended, so that cells which come one after the
   other pay for one pass, and at the latest LATEST seconds after the first of them.
2. It works in slices of SLICE seconds, with a short sleep after each; requests to this thread are answered in between.
3. It stops as soon as a cell waits. While one runs, slices are SHORT_SLICE long, with a pause of PAUSE seconds after each.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from .. import log
from .ran import Ran

if TYPE_CHECKING:
    from ..dispatch import Kernel
    from .namespace import Chunk, Namespace

QUIET = 0.012
LATEST = 0.25
SLICE = 0.001
SHORT_SLICE = 0.0003
BREATH = 0.00005
"""Seconds of sleep between slices: only letting go of the GIL is not enough, it is taken again before another thread wakes."""
PAUSE = 0.02
WAKE = object()
"""In the queue of the introspection thread: look whether there is something to do."""
REMEMBERED = 500
"""Cells that wait for a pass; of more only the newest may be named as the one that bound something."""


class MirrorLane:
    """Belongs to a kernel in a session. :meth:`ran` and :meth:`due` are for the main thread, :meth:`ask` for any,
    :meth:`next` for the introspection thread."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._queue: SimpleQueue[Any] = kernel.side
        self._cells: deque[Ran] = deque(maxlen=REMEMBERED)
        self._due = self._full = self._asleep = False
        self._first = self._last = 0.0
        self._pass: Iterator[Chunk | None] | None = None
        self._namespace: Namespace | None = None
        self._told = False

    def ran(self, msg_id: str, count: int, code: str, failed: bool) -> None:
        """A cell has ended; its reply has not gone yet."""
        self._cells.append(Ran(msg_id, count, code, failed))

    def due(self) -> None:
        """Reply and idle have gone."""
        self._last = time.monotonic()
        if not self._due:
            self._first, self._due = self._last, True
        self._wake()

    def ask(self) -> None:
        """Somebody has nothing yet: tell everything."""
        self._full = True
        self._wake()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._queue.put(WAKE)

    def next(self) -> Any:
        """The next request of this thread, None at the end; the mirror is looked at while there is none."""
        while True:
            seconds = self._wait()
            if seconds is None:
                # In this order: who sets _due and sees nobody asleep has set it before it is looked at here.
                self._asleep = True
                if self._due or self._full:
                    self._asleep = False
                    continue
            try:
                request = self._queue.get(timeout=seconds) if seconds else self._queue.get(block=seconds is None)
            except Empty:
                self._turn()
                continue
            self._asleep = False
            if request is not WAKE:
                return request

    @property
    def _is_busy(self) -> bool:
        """A cell runs or waits."""
        return bool(self._kernel.running) or self._kernel.main.waiting()

    def _wait(self) -> float | None:
        """Seconds until there is something to do; None: not before somebody wakes us."""
        busy = self._is_busy
        if self._pass is not None:
            return PAUSE if busy else 0.0
        if not (self._due or self._full):
            return None
        now = time.monotonic()
        if not self._due:
            return 0.0
        if now >= self._first + LATEST:
            return PAUSE if busy else 0.0
        return QUIET if busy else max(0.0, self._last + QUIET - now)

    def _turn(self) -> None:
        """A slice."""
        if self._pass is None:
            now = time.monotonic()
            if self._due and now < self._first + LATEST and (self._is_busy or now < self._last + QUIET):
                return
            if not (self._due or self._full):
                return
            self._begin()
        try:
            self._slice()
        except Exception:  # noqa: BLE001 - a bug of ours costs this pass; completions must go on, and so must the next pass
            log.bug("the mirror could not be brought up to date")
            self._pass = None
        time.sleep(BREATH)  # a message that has come meanwhile is handed on now

    def _begin(self) -> None:
        from .namespace import Namespace  # here: none of it is for the start of the process

        if self._namespace is None:
            shell = self._kernel.shell
            self._namespace = Namespace(lambda: shell.user_ns, lambda: shell.user_ns_hidden)
        self._due, full, self._full = False, self._full, False
        # What ended is complete; a cell that ends from here on is for the next pass. One by one: the main thread may add some.
        cells: list[Ran] = []
        while self._cells:
            cells.append(self._cells.popleft())
        self._pass = self._namespace.look(cells, full or not self._told)

    def _slice(self) -> None:
        assert self._pass is not None
        busy_before = self._is_busy
        end = time.perf_counter() + (SHORT_SLICE if busy_before else SLICE)
        for chunk in self._pass:
            if chunk is not None:
                self._send(chunk)
            if time.perf_counter() >= end or (not busy_before and self._is_busy) or not self._queue.empty():
                return
        self._pass = None

    def _send(self, chunk: Chunk) -> None:
        if chunk.is_empty and chunk.delta.full and not chunk.delta.execution:
            return  # this kernel has done nothing yet: what is known of the one before it is worth more
        self._told = True
        message = self._kernel.wire.message("mirror_delta", chunk.delta, buffers=[chunk.body])
        # Nobody waits for the news that there are none.
        self._kernel.outlet.send("control", message, soon=chunk.is_empty and not chunk.delta.full)
