"""From a place in a document to a question for the session, and back."""

from __future__ import annotations

from typing import NamedTuple

from zmqkernel.protocol.cells import cell_at

from .documents import Point
from .structures import Position
from .view import View

DEADLINE = 0.15
"""Seconds that a session may take to answer a hover or a completion."""


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


def question(view: View, position: Position) -> Question | None:
    """The question about a position; None in a cell that is not code."""
    document = view.document
    point = document.point(position)
    cell = cell_at(view.cells, point.line)
    if cell and cell.kind != "code":
        return None
    first, end = (cell.start_line, cell.end_line) if cell else (0, len(document.lines))
    return Question([document.content(line) for line in range(first, end)], first, point)
