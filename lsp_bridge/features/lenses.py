"""textDocument/codeLens: above each cell a way to run it, how its last run went, and a way to run what is above."""

from __future__ import annotations

from ..outputs import Execution, has_code
from ..results import of_cell, state_text
from ..rpc import Json, Rpc
from ..structures import CodeLens, Command, DocumentParams, Position, Range, read
from ..view import View
from ..workspace import Workspace
from .run import PREFIX


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> list[CodeLens]:
        view = workspace.view(read(DocumentParams, params).text_document.uri)
        return lenses(view, workspace.before)

    rpc.on("textDocument/codeLens", handle)


def lenses(view: View, before: dict[str, int]) -> list[CodeLens]:
    """``before``: how many executions run before those that are queued."""
    result: list[CodeLens] = []
    view.forget_handles()
    for cell in view.cells:
        if not has_code(cell.code):
            continue
        where = Range(Position(cell.start_line, 0), Position(cell.start_line, 0))
        argument = {"uri": view.document.uri, "cell": view.handle_of(cell)}
        last = of_cell(view, cell)
        result.append(CodeLens(where, _command("▶ Run cell", "runCell", argument)))
        if last:
            result.append(CodeLens(where, _state(view, last, argument, before)))
        if cell is not view.cells[0]:
            result.append(CodeLens(where, _command("Run above", "runAbove", argument)))
    return result


def _state(view: View, last: Execution, argument: Json, before: dict[str, int]) -> Command:
    """The state, and what to do about it: interrupt what runs, run again what is done."""
    text = state_text(last, stale=view.stale(last.execution), before=before.get(last.execution, 0))
    if last.state in ("running", "waiting"):
        stop = {"uri": view.document.uri, "execution": last.execution}
        return _command(f"■ {text}", "interrupt", stop)
    if last.state == "queued":
        return _command(text, "queue", {"uri": view.document.uri})
    return _command(text, "runCell", argument)


def _command(title: str, name: str, argument: Json) -> Command:
    return Command(title, PREFIX + name, [argument])
