"""What of a document is to be run: cells, a selection, a line, an expression."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import NamedTuple

from zmqkernel.protocol.cell_magics import uncommented
from zmqkernel.protocol.cells import Cell, cell_at
from zmqkernel.protocol.errors import ZmqKernelError

from .documents import Point
from .outputs import has_code
from .programs import Span, expression_at, line_at, text_of
from .structures import Position, Range
from .view import View


class Piece(NamedTuple):
    """Code to run: where it begins, which lines show its outputs, and the id of its cell (none for a part of one)."""

    code: str
    at: Point
    first: int
    end: int
    cell: str = ""


def cells(view: View, wanted: Iterable[Cell]) -> list[Piece]:
    """Those of the cells that have code to run."""
    ids = [cell.id for cell in view.cells]
    pieces: list[Piece] = []
    for cell in wanted:
        if has_code(cell.code):
            own = cell.id if ids.count(cell.id) == 1 else ""  # a copied cell has a copied id
            known = own or view.anchors.cell_of(cell.start_line) or secrets.token_hex(4)
            pieces.append(Piece(cell.code, Point(cell.first_code_line, 0), cell.start_line, cell.end_line, known))
    return pieces


def here(view: View, position: Position | None, handle: str = "") -> Cell | None:
    """The cell that a lens was made for, else the cell at a position. ZmqKernelError when the former is gone."""
    if handle:
        return view.cell_of_handle(handle)
    return cell_at(view.cells, view.document.point(position or Position(0, 0)).line)


def selection(view: View, range: Range) -> Piece:
    """The selected text, commented magics uncommented; ZmqKernelError when there is nothing in it to run."""
    document = view.document
    start, end = sorted((document.point(range.start), document.point(range.end)))
    if not document.content(start.line)[: start.column].strip():
        start = Point(start.line, 0)  # the other lines have this indentation too
    text = document.slice(start, end).replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    lines = text.split("\n")
    quoted = [number in view.quoted for number, _ in enumerate(lines, start.line)]
    code = "\n".join(uncommented(lines, quoted))
    if not has_code(code):
        raise ZmqKernelError("there is no code in the selection")
    return Piece(code, start, start.line, start.line + len(lines))


def line(view: View, position: Position) -> Piece:
    """The line at a position, or the statement that it is a part of."""
    cell, lines, point = _code_at(view, position)
    return _piece(cell, lines, line_at(lines, point.line - cell.first_code_line), "there is no code on this line")


def expression(view: View, position: Position) -> Piece:
    """The largest expression around a position, else the smallest statement."""
    cell, lines, point = _code_at(view, position)
    span = expression_at(lines, point.line - cell.first_code_line, point.column)
    return _piece(cell, lines, span, "there is no expression that Python can read here")


def _code_at(view: View, position: Position) -> tuple[Cell, list[str], Point]:
    point = view.document.point(position)
    cell = cell_at(view.cells, point.line)
    foreign = (
        cell is not None and cell.index > 0 and cell.first_code_line == cell.start_line
    )  # a %%bash cell and the like
    if cell is None or foreign or point.line < cell.first_code_line or not has_code(cell.code):
        raise ZmqKernelError("there is no Python code here")
    return cell, cell.code.split("\n"), point


def _piece(cell: Cell, lines: list[str], span: Span | None, problem: str) -> Piece:
    if span is None:
        raise ZmqKernelError(problem)
    code = text_of(lines, span)
    first = cell.first_code_line + span.row
    return Piece(code, Point(first, span.column), first, first + code.count("\n") + 1)
