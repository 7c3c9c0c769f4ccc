"""textDocument/documentSymbol: the cells as an outline."""

from __future__ import annotations

from zmqkernel.protocol.cells import Cell

from ..rpc import Json, Rpc
from ..structures import DocumentParams, DocumentSymbol, Location, SymbolInformation, read
from ..view import View
from ..workspace import Workspace

KINDS = {"code": 3, "markdown": 15, "raw": 15}
"""Namespace and String, as SymbolKind."""
MAX_NAME = 60


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> list[DocumentSymbol] | list[SymbolInformation]:
        view = workspace.view(read(DocumentParams, params).text_document.uri)
        if rpc.supports("textDocument", "documentSymbol", "hierarchicalDocumentSymbolSupport"):
            return symbols(view)
        return [
            SymbolInformation(name_of(cell), KINDS[cell.kind], Location(view.document.uri, _symbol(view, cell).range))
            for cell in view.cells
        ]

    rpc.on("textDocument/documentSymbol", handle)


def symbols(view: View) -> list[DocumentSymbol]:
    """Deeper cells are children of the last cell above them that is less deep."""
    top: list[DocumentSymbol] = []
    open_: list[tuple[int, DocumentSymbol]] = []
    for cell in view.cells:
        symbol = _symbol(view, cell)
        while open_ and open_[-1][0] >= cell.depth:
            open_.pop()
        (open_[-1][1].children if open_ else top).append(symbol)
        for _, outer in open_:
            outer.range = type(outer.range)(outer.range.start, symbol.range.end)
        if cell.index:
            open_.append((cell.depth, symbol))
    return top


def name_of(cell: Cell) -> str:
    """The title, else the first line with something in it."""
    first = next((line.strip() for line in cell.source.split("\n") if line.strip(" \t#")), "")
    if cell.kind != "code":
        first = first.lstrip("# ")
    return (cell.title or first or f"cell {cell.index}")[:MAX_NAME]


def _symbol(view: View, cell: Cell) -> DocumentSymbol:
    whole = view.document.lines_range(cell.start_line, cell.end_line)
    line = view.document.lines_range(cell.start_line, cell.start_line + 1)
    return DocumentSymbol(name_of(cell), KINDS[cell.kind], whole, line, detail=f"cell {cell.index}", children=[])
