"""textDocument/foldingRange: a cell, with the cells below it that are deeper."""

from __future__ import annotations

from ..rpc import Json, Rpc
from ..structures import DocumentParams, FoldingRange, read
from ..view import View
from ..workspace import Workspace


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> list[FoldingRange]:
        return folds(workspace.view(read(DocumentParams, params).text_document.uri))

    rpc.on("textDocument/foldingRange", handle)


def folds(view: View) -> list[FoldingRange]:
    """Without the blank lines at the end; a cell of one line has nothing to fold."""
    result: list[FoldingRange] = []
    for number, cell in enumerate(view.cells):
        after = (other for other in view.cells[number + 1 :] if other.depth <= cell.depth or not cell.index)
        following = next(after, None)
        end = (following.start_line if following else view.cells[-1].end_line) - 1
        while end > cell.start_line and not view.document.content(end).strip():
            end -= 1
        if end > cell.start_line:
            result.append(FoldingRange(cell.start_line, end, "region"))
    return result
