"""Hover on the marker of a cell: what its last run put out."""

from __future__ import annotations

import re

from zmqkernel.protocol.cells import cell_at

from ..results import of_cell, plain_text, state_text
from ..structures import Hover, MarkupContent, Position
from ..view import View

MAX_LINES = 40


def cell_output(view: View, position: Position) -> Hover | None:
    """The last output of the cell whose marker is at a position; None elsewhere, and for a cell that has not run."""
    line = view.document.point(position).line
    cell = cell_at(view.cells, line)
    if cell is None or cell.start_line != line or not cell.index:
        return None
    last = of_cell(view, cell)
    if last is None:
        return None
    text = "".join(_with_end(plain_text(output)) for output in last.fold.outputs)
    lines = text.rstrip("\n").split("\n") if text.strip() else []
    if len(lines) > MAX_LINES:
        lines = [f"... {len(lines) - MAX_LINES} more lines", *lines[-MAX_LINES:]]
    state = state_text(last, stale=view.stale(last.execution))
    if not lines:
        return Hover(MarkupContent(state))
    body = "\n".join(lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return Hover(MarkupContent(f"{state}\n\n{fence}text\n{body}\n{fence}"))


def _with_end(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
