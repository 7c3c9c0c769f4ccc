"""textDocument/hover: what the session says about the object under the cursor."""

from __future__ import annotations

import re

from zmqkernel.protocol.messages import InspectReply

from ..asking import DEADLINE, question
from ..rpc import Json, Rpc
from ..structures import Hover, MarkupContent, PositionParams, read
from ..workspace import Workspace, soon

MAX_TEXT = 20_000
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> Hover | None:
        wanted = read(PositionParams, params)
        view = workspace.view(wanted.text_document.uri)
        client = workspace.attached(view)
        asked = question(view, wanted.position)
        if client is None or asked is None:
            return None
        reply = await soon(client.inspect(asked.code, asked.cursor_pos), DEADLINE)
        return hover(reply) if reply else None

    rpc.on("textDocument/hover", handle)


def hover(reply: InspectReply) -> Hover | None:
    """Markdown for the editor: the reply's own, else its plain text in a fence that it cannot close."""
    markdown, plain = reply.data.get("text/markdown"), reply.data.get("text/plain")
    if not reply.found or not (markdown or plain):
        return None
    if markdown:
        return Hover(MarkupContent(str(markdown)[:MAX_TEXT]))
    text = _ANSI.sub("", str(plain)).strip("\n")[:MAX_TEXT]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return Hover(MarkupContent(f"{fence}text\n{text}\n{fence}"))
