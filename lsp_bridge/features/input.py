"""The answer to an ``input()``. That one waits is told by the view of its document, to every bridge that comes."""

from __future__ import annotations

from ..rpc import Json, Rpc
from ..structures import AnswerInput, read
from ..workspace import Workspace


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def answer(params: Json) -> None:
        wanted = read(AnswerInput, params)
        client = workspace.attached(workspace.asked(wanted.request))
        if client:
            await client.answer(wanted.request, wanted.value)

    rpc.on("zmqkernel/answerInput", answer)
