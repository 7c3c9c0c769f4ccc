"""Asks the editor to ask again for lenses and hints when their answers have changed; only one that says it can."""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary

from zmqkernel.protocol.errors import ZmqKernelError

from ..outputs import Execution
from ..rpc import Rpc
from ..view import View
from ..workspace import Workspace

SECONDS = 0.1
"""Several changes in so short a time are one."""
METHODS = {
    "workspace/codeLens/refresh": ("codeLens", "lenses"),
    "workspace/inlayHint/refresh": ("inlayHint", "hints"),
}
"""Method: the capability of the editor, and the feature of ours."""

_log = logging.getLogger(__name__)


def register(rpc: Rpc, workspace: Workspace) -> None:
    methods = [
        name
        for name, (where, feature) in METHODS.items()
        if rpc.supports("workspace", where, "refreshSupport") is True and rpc.wants(feature)
    ]
    seen: WeakKeyDictionary[View, object] = WeakKeyDictionary()
    tasks: set[asyncio.Task[None]] = set()

    def changed(view: View, _: list[Execution]) -> None:
        now = [
            (one.execution, one.state, one.count, one.earlier_kernel, view.stale(one.execution))
            for one in view.executions.all.values()
        ]
        if now == seen.get(view, []):
            return
        seen[view] = now
        if not tasks:
            task = asyncio.create_task(refresh())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def refresh() -> None:
        await asyncio.sleep(SECONDS)
        tasks.clear()  # what changes from now on is another refresh
        for method in methods:
            try:
                await rpc.ask(method, None)
            except ZmqKernelError as error:
                _log.debug("%s: %s", method, error)  # the editor asks again at the next edit anyway

    if methods:
        workspace.observers.append(changed)
