"""From a place in a document to a question for the session, and back; and whom not to wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from zmqkernel.protocol.cells import cell_at
from zmqkernel.protocol.errors import ZmqKernelError

from .documents import Point
from .structures import Position
from .view import View

T = TypeVar("T")

DEADLINE = 0.15
"""Seconds that a session may take to answer when nobody else knows anything."""
GRACE = 0.01
"""Seconds that the others get when one has said something useful."""
LATE = 0.1
"""A session that has left a question open for so long is busy where it cannot answer: nobody waits for it."""
OPEN = 16
"""Questions that a session may have open; more would only queue up in it."""

_log = logging.getLogger(__name__)


class Question(NamedTuple):
    """The code of one cell with a cursor in it, as Jupyter asks: lines end in ``\\n``, positions count code points."""

    lines: list[str]
    first: int
    point: Point

    @property
    def code(self) -> str:
        return "\n".join(self.lines)

    @property
    def cursor_pos(self) -> int:
        return sum(len(line) + 1 for line in self.lines[: self.point.line - self.first]) + self.point.column

    def column(self, cursor: int) -> int:
        """The column in the cursor's own line that is ``cursor`` in the code; other lines count as its ends."""
        line = self.lines[self.point.line - self.first]
        return min(max(0, cursor - (self.cursor_pos - self.point.column)), len(line))

    @property
    def after(self) -> str:
        """The rest of the cursor's line."""
        return self.lines[self.point.line - self.first][self.point.column :]


def question(view: View, position: Position) -> Question | None:
    """The question about a position; None in a cell that is not code."""
    document = view.document
    point = document.point(position)
    cell = cell_at(view.cells, point.line)
    if cell and cell.kind != "code":
        return None
    first, end = (cell.start_line, cell.end_line) if cell else (0, len(document.lines))
    return Question([document.content(line) for line in range(first, end)], first, point)


class Live:
    """What a session is asked now, so that one that cannot answer (it holds the GIL, it is stopped) is not waited for."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Future[Any], float] = {}

    @property
    def is_late(self) -> bool:
        """Has it left a question open for too long?"""
        now = asyncio.get_running_loop().time()
        return len(self._open) >= OPEN or any(now - since > LATE for since in self._open.values())

    def ask(self, answer: Awaitable[T]) -> asyncio.Future[T | None] | None:
        """Ask; None when it would not answer soon. The answer is None when it is an error. It is not cancelled with who asked:
        it tells that the session answers again."""
        if self.is_late:
            if asyncio.iscoroutine(answer):
                answer.close()
            return None
        task = asyncio.ensure_future(_quiet(answer))
        self._open[task] = asyncio.get_running_loop().time()
        task.add_done_callback(lambda done: self._open.pop(done, None))
        return task


async def _quiet(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except ZmqKernelError as error:
        _log.debug("no answer: %s", error)  # dead, restarting, too slow: the others answer, the editor asks again
        return None


async def first_useful(
    sides: Sequence[tuple[asyncio.Future[Any], float]],
    is_useful: Any,
    *,
    useful_now: bool = False,
    grace: float = GRACE,
) -> None:
    """Wait for the sides, each with its deadline in seconds, until one is useful; then ``grace`` for the others.

    Nobody is waited for when there is something useful already, and nobody is cancelled.
    """
    if useful_now:
        return
    loop = asyncio.get_running_loop()
    start, until = loop.time(), float("inf")
    while True:
        now = loop.time()
        if until == float("inf") and any(is_useful(result_of(side)) for side, _ in sides if side.done()):
            until = now + grace
        ends = {side: min(start + seconds, until) for side, seconds in sides if not side.done()}
        waiting = {side: end for side, end in ends.items() if end > now}
        if not waiting:
            return
        await asyncio.wait(waiting, timeout=min(waiting.values()) - now, return_when=asyncio.FIRST_COMPLETED)


def result_of(side: asyncio.Future[T] | None) -> T | None:
    """What a side has said; None when it has not, or failed."""
    if side is None or not side.done() or side.cancelled() or side.exception():
        return None
    return side.result()


def all_done(sides: Iterable[asyncio.Future[Any] | None]) -> bool:
    """Has everybody who was asked said something?"""
    return all(side is None or (side.done() and result_of(side) is not None) for side in sides)
