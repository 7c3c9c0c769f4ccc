"""The run commands, interrupt, and the answer to an ``input()``."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from zmqkernel.protocol.cells import cell_at
from zmqkernel.protocol.errors import ZmqKernelError

from ..documents import Point
from ..outputs import has_code
from ..rpc import Json, Rpc
from ..structures import AnswerInput, DocumentArgument, Position, Range, RunArgument, read
from ..view import View
from ..workspace import Workspace


class Piece(NamedTuple):
    """Code to run: where it begins, which lines show its outputs, and the id of its cell."""

    code: str
    at: Point
    first: int
    end: int
    cell: str


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def run_cell(argument: Json) -> Json:
        wanted = read(RunArgument, argument)
        view = workspace.view(wanted.uri)
        piece = cell_piece(view, wanted.position or Position(0, 0))
        if piece is None:
            return {"execution": None}
        return {"execution": await workspace.run(view, piece.code, piece.at, (piece.first, piece.end), piece.cell)}

    async def next_cell(argument: Json) -> Json:
        wanted = read(RunArgument, argument)
        view = workspace.view(wanted.uri)
        line = view.document.point(wanted.position or Position(0, 0)).line
        after = (cell for cell in view.cells if cell.start_line > line and has_code(cell.code))
        return {"position": next((Position(cell.start_line, 0) for cell in after), None)}

    async def run_selection(argument: Json) -> Json:
        wanted = read(RunArgument, argument)
        view = workspace.view(wanted.uri)
        if wanted.range is None:
            raise ZmqKernelError("a selection needs a range")
        piece = selection_piece(view, wanted.range)
        return {"execution": await workspace.run(view, piece.code, piece.at, (piece.first, piece.end), piece.cell)}

    async def interrupt(argument: Json) -> None:
        view = workspace.view(read(DocumentArgument, argument).uri)
        client = workspace.attached(view)
        if client is None:
            raise ZmqKernelError("no session runs for this document")
        await client.interrupt()

    async def answer(params: Json) -> None:
        wanted = read(AnswerInput, params)
        client = workspace.attached(workspace.asked(wanted.request))
        if client:
            await client.answer(wanted.request, wanted.value)

    rpc.on_command("zmqkernel.server.runCell", run_cell)
    rpc.on_command("zmqkernel.server.nextCell", next_cell)
    rpc.on_command("zmqkernel.server.runSelection", run_selection)
    rpc.on_command("zmqkernel.server.interrupt", interrupt)
    rpc.on("zmqkernel/answerInput", answer)


def cell_piece(view: View, position: Position) -> Piece | None:
    """The cell that holds a position; None when there is nothing in it to run (text, or nothing but comments)."""
    cell = cell_at(view.cells, view.document.point(position).line)
    if cell is None or not has_code(cell.code):
        return None
    known = cell.id or view.anchors.cell_of(cell.start_line) or secrets.token_hex(4)
    return Piece(cell.code, Point(cell.first_code_line, 0), cell.start_line, cell.end_line, known)


def selection_piece(view: View, range: Range) -> Piece:
    """The selected text; ZmqKernelError when there is nothing in it to run."""
    document = view.document
    start, end = sorted((document.point(range.start), document.point(range.end)))
    code = document.slice(start, end).replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    if not has_code(code):
        raise ZmqKernelError("there is no code in the selection")
    after = start.line + code.count("\n") + 1
    known = view.anchors.cell_of(start.line, after) or secrets.token_hex(4)
    return Piece(code, start, start.line, after, known)
