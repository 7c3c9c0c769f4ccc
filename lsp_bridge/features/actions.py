"""textDocument/codeAction: every run command at the cursor, for editors that have no lenses and no plugin."""

from __future__ import annotations

from zmqkernel.protocol.cells import cell_at

from ..outputs import has_code
from ..rpc import Json, Rpc
from ..structures import ActionParams, CodeAction, Command, Range, read
from ..view import View
from ..workspace import Workspace
from .run import PREFIX

KIND = "zmqkernel.run"


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> list[CodeAction] | list[Command]:
        wanted = read(ActionParams, params)
        only = wanted.context.only
        # An editor that asks at each move of the cursor would show a lamp at every line.
        if wanted.context.trigger_kind == 2 or (only and not any(f"{KIND}.".startswith(f"{kind}.") for kind in only)):
            return []
        commands = actions(workspace.view(wanted.text_document.uri), wanted.range)
        if not rpc.supports("textDocument", "codeAction", "codeActionLiteralSupport"):
            return commands
        return [CodeAction(command.title, KIND, command) for command in commands]

    rpc.on("textDocument/codeAction", handle, {"codeActionKinds": [KIND]})


def actions(view: View, range: Range) -> list[Command]:
    """What can be run at a range: cells by a name that holds through edits, a selection by the text as it is now."""
    uri = view.document.uri
    cell = cell_at(view.cells, view.document.point(range.start).line)
    found: list[Command] = []

    def add(title: str, name: str, **argument: object) -> None:
        found.append(Command(title, PREFIX + name, [{"uri": uri, **argument}]))

    if range.start != range.end:
        add("Run selection", "runSelection", range=range, version=view.document.version)
    if cell and has_code(cell.code):
        handle = view.handle_of(cell)
        add("Run cell", "runCell", cell=handle)
        add("Run cell and advance", "runCellAndAdvance", cell=handle)
        add("Run line", "runLine", position=range.start)
        add("Run expression", "runExpression", position=range.start)
    if cell:
        handle = view.handle_of(cell)
        add("Run cells above", "runAbove", cell=handle)
        add("Run to here", "runToHere", cell=handle)
        add("Run this cell and below", "runBelow", cell=handle)
    if any(has_code(one.code) for one in view.cells):
        add("Run all cells", "runAll")
    if any(one.state in ("running", "waiting") for one in view.executions.all.values()):
        add("Interrupt", "interrupt")
    return found
