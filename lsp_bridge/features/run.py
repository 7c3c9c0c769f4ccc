"""The run commands, the queue, and interrupt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from zmqkernel.protocol.cells import Cell
from zmqkernel.protocol.errors import ZmqKernelError

from .. import pieces
from ..outputs import has_code
from ..pieces import Piece
from ..rpc import Json, Rpc
from ..structures import DocumentArgument, Position, Range, RunArgument, read
from ..view import View
from ..workspace import Workspace

PREFIX = "zmqkernel.server."
Wanted = Callable[[View, RunArgument], list[Piece]]


def register(rpc: Rpc, workspace: Workspace) -> None:
    commands = _Commands(rpc, workspace)
    for name, wanted in ONE.items():
        rpc.on_command(PREFIX + name, partial(commands.one, wanted))
    for name, wanted in SEVERAL.items():
        rpc.on_command(PREFIX + name, partial(commands.several, wanted))
    rpc.on_command(PREFIX + "runCellAndAdvance", commands.advance)
    rpc.on_command(PREFIX + "nextCell", commands.next_cell)
    rpc.on_command(PREFIX + "interrupt", commands.interrupt)
    rpc.on_command(PREFIX + "queue", commands.queue)


class _Commands:
    def __init__(self, rpc: Rpc, workspace: Workspace) -> None:
        self._rpc = rpc
        self._workspace = workspace

    async def one(self, wanted: Wanted, params: Json) -> Json:
        """Run one piece."""
        executions = await self._run(wanted, read(RunArgument, params))
        return {"execution": executions[0] if executions else None}

    async def several(self, wanted: Wanted, params: Json) -> Json:
        """Run pieces, one after the other; an error keeps those behind it from running."""
        return {"executions": await self._run(wanted, read(RunArgument, params))}

    async def advance(self, params: Json) -> Json:
        argument = read(RunArgument, params)
        position = _next(self._workspace.view(argument.uri), argument)
        executions = await self._run(_cell, argument)
        if position and not self._rpc.plugin and self._rpc.supports("window", "showDocument", "support"):
            where = {"uri": argument.uri, "takeFocus": True, "selection": Range(position, position)}
            await self._rpc.ask("window/showDocument", where)
        return {"execution": executions[0] if executions else None, "position": position}

    async def next_cell(self, params: Json) -> Json:
        argument = read(RunArgument, params)
        return {"position": _next(self._workspace.view(argument.uri), argument)}

    async def interrupt(self, params: Json) -> None:
        argument = read(DocumentArgument, params)
        view = self._workspace.view(argument.uri)
        client = self._workspace.attached(view)
        if client is None:
            raise ZmqKernelError("no session runs for this document")
        known = view.executions.all.get(argument.execution)
        if argument.execution and (known is None or known.state not in ("running", "waiting")):
            raise ZmqKernelError("this execution does not run any more")
        await client.interrupt()

    async def queue(self, params: Json) -> Json:
        """What runs in the session and what waits behind it, whoever sent it."""
        client = self._workspace.attached(self._workspace.view(read(DocumentArgument, params).uri))
        info = await client.info() if client else None
        executions = [info.running, *info.queued] if info else []
        return {"executions": [_queued(self._workspace, execution) for execution in executions if execution]}

    async def _run(self, wanted: Wanted, argument: RunArgument) -> list[str]:
        view = self._workspace.view(argument.uri)
        return await self._workspace.run(view, wanted(view, argument))


def _position(argument: RunArgument) -> Position:
    if argument.position is None:
        raise ZmqKernelError("a position is missing")
    return argument.position


def _cell(view: View, argument: RunArgument) -> list[Piece]:
    cell = pieces.here(view, argument.position, argument.cell)
    return pieces.cells(view, [cell] if cell else [])


def _selection(view: View, argument: RunArgument) -> list[Piece]:
    if argument.range is None:
        raise ZmqKernelError("a selection needs a range")
    if argument.version is not None and argument.version != view.document.version:
        raise ZmqKernelError("the text has changed since this was selected", hint="Select it again.")
    return [pieces.selection(view, argument.range)]


def _around(view: View, argument: RunArgument, *, above: bool, own: bool = False) -> list[Cell]:
    """The cells above or below the one that is meant, with it or without."""
    here = pieces.here(view, argument.position, argument.cell)
    line = here.start_line if here else view.document.point(argument.position or Position(0, 0)).line
    return [
        cell
        for cell in view.cells
        if (own and cell is here) or (cell.start_line < line if above else cell.start_line > line)
    ]


def _next(view: View, argument: RunArgument) -> Position | None:
    """Where the next cell with code begins."""
    here = pieces.here(view, argument.position, argument.cell)
    line = here.start_line if here else view.document.point(argument.position or Position(0, 0)).line
    after = (cell for cell in view.cells if cell.start_line > line and has_code(cell.code))
    return next((Position(cell.start_line, 0) for cell in after), None)


def _queued(workspace: Workspace, execution: str) -> Json:
    """What is known of an execution that runs or waits; of one in no open document only its id."""
    for view in workspace.views:
        known = view.executions.all.get(execution)
        anchor = view.anchors.get(execution)
        if known:
            facts: dict[str, Any] = {"execution": execution, "uri": view.document.uri, "state": known.state}
            return {**facts, "sender": known.sender, "range": view.range_of(anchor) if anchor else None}
    return {"execution": execution}


ONE: dict[str, Wanted] = {
    "runCell": _cell,
    "runSelection": _selection,
    "runLine": lambda view, argument: [pieces.line(view, _position(argument))],
    "runExpression": lambda view, argument: [pieces.expression(view, _position(argument))],
}
SEVERAL: dict[str, Wanted] = {
    "runAbove": lambda view, argument: pieces.cells(view, _around(view, argument, above=True)),
    "runToHere": lambda view, argument: pieces.cells(view, _around(view, argument, above=True, own=True)),
    "runBelow": lambda view, argument: pieces.cells(view, _around(view, argument, above=False, own=True)),
    "runAll": lambda view, _: pieces.cells(view, view.cells),
}
