"""window/workDoneProgress for what runs longer than a moment; its cancel button is an interrupt."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

from zmqkernel.protocol.errors import ZmqKernelError

from ..outputs import Execution
from ..results import duration_text
from ..rpc import Json, Rpc
from ..view import View
from ..workspace import Workspace

AFTER_SECONDS = 0.5
EVERY_SECONDS = 0.5

_log = logging.getLogger(__name__)


def register(rpc: Rpc, workspace: Workspace) -> None:
    if rpc.supports("window", "workDoneProgress") is True:
        shown = _Progress(rpc, workspace)
        workspace.observers.append(shown.changed)
        rpc.on("window/workDoneProgress/cancel", shown.cancel)


class _Progress:
    def __init__(self, rpc: Rpc, workspace: Workspace) -> None:
        self._rpc = rpc
        self._workspace = workspace
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def changed(self, view: View, executions: list[Execution]) -> None:
        for execution in executions:
            name = execution.execution
            if execution.state in ("running", "waiting") and name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._show(view, execution))
                self._tasks[name].add_done_callback(lambda _, name=name: self._tasks.pop(name, None))

    async def cancel(self, params: Json) -> None:
        for view, execution in running(self._workspace):
            client = self._workspace.attached(view)
            if params.get("token") == _token(execution) and client:
                await client.interrupt()

    async def _show(self, view: View, execution: Execution) -> None:
        await asyncio.sleep(AFTER_SECONDS)
        if not self._runs(view, execution):
            return
        token = _token(execution)
        try:
            await self._rpc.ask("window/workDoneProgress/create", {"token": token})
        except ZmqKernelError as error:
            _log.debug("no progress: %s", error)  # the editor has its reasons; the lens shows the same
            return
        self._say(token, kind="begin", title=title_of(view, execution), cancellable=True)
        while self._runs(view, execution):
            words = "waits for input" if execution.state == "waiting" else "running"
            time_text = duration_text(time.time() - execution.began)
            self._say(token, kind="report", message=f"{words} {time_text}".strip())
            await asyncio.sleep(EVERY_SECONDS)
        self._say(token, kind="end", message=execution.state)

    def _say(self, token: str, **value: object) -> None:
        self._rpc.notify("$/progress", {"token": token, "value": value})

    def _runs(self, view: View, execution: Execution) -> bool:
        return not execution.finished and not execution.earlier_kernel and self._workspace.is_open(view)


def _token(execution: Execution) -> str:
    return f"zmqkernel-{execution.execution}"


def running(workspace: Workspace) -> Iterator[tuple[View, Execution]]:
    """What runs now in the open documents."""
    for view in workspace.views:
        for execution in view.executions.all.values():
            if execution.state in ("running", "waiting"):
                yield view, execution


def title_of(view: View, execution: Execution) -> str:
    """Which cell, in few words."""
    anchor = view.anchors.get(execution.execution)
    cell = next((cell for cell in view.cells if anchor and cell.start_line == anchor.first), None)
    name = (cell.title if cell else "") or execution.code.strip().split("\n")[0][:40]
    return f"Running {name}"
