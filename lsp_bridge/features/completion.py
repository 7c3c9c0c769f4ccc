"""textDocument/completion: names, attributes and keys that exist in the session now."""

from __future__ import annotations

import msgspec

from zmqkernel.protocol.messages import CompleteReply

from ..asking import DEADLINE, Question, question
from ..documents import Document, Point
from ..rpc import Json, Rpc
from ..structures import CompletionItem, CompletionList, PositionParams, Range, TextEdit, read
from ..workspace import Workspace, soon

MAX_ITEMS = 200
TRIGGERS = [".", "[", '"', "'", "%", "!"]
KINDS = {
    "method": 2,
    "function": 3,
    "instance": 6,
    "variable": 6,
    "class": 7,
    "module": 9,
    "property": 10,
    "keyword": 14,
    "param": 5,
    "magic": 3,
    "path": 17,
    "dict key": 12,
    "column": 5,
}
"""The types that Jupyter kernels give in ``_jupyter_types_experimental``, as CompletionItemKind."""


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> CompletionList | None:
        wanted = read(PositionParams, params)
        view = workspace.view(wanted.text_document.uri)
        client = workspace.attached(view)
        asked = question(view, wanted.position)
        if client is None or asked is None:
            return None
        reply = await soon(client.complete(asked.code, asked.cursor_pos), DEADLINE)
        # Without an answer in time the list is not empty but unknown: the editor is to ask again.
        return completions(reply, asked, view.document) if reply else CompletionList(True, [])

    rpc.on_completion(handle, TRIGGERS)


def completions(reply: CompleteReply, asked: Question, document: Document) -> CompletionList:
    """The matches as edits of the cursor's line, in the session's order."""
    line = asked.point.line
    start = min(asked.column(reply.cursor_start), asked.point.column)
    end = max(asked.column(reply.cursor_end), asked.point.column)
    where = Range(document.position(Point(line, start)), document.position(Point(line, end)))
    types = _types(reply)
    items = [
        CompletionItem(
            label=text,
            text_edit=TextEdit(where, text),
            kind=KINDS.get(types.get(text, "")),
            detail=types.get(text) or None,
            sort_text=f"{number:05}",
            filter_text=text,
        )
        for number, text in enumerate(reply.matches[:MAX_ITEMS])
    ]
    return CompletionList(len(reply.matches) > MAX_ITEMS, items)


def _types(reply: CompleteReply) -> dict[str, str]:
    """What kind of thing each match is, as far as the kernel says."""
    try:
        entries = msgspec.convert(reply.metadata.get("_jupyter_types_experimental") or [], list[_Typed])
    except msgspec.ValidationError:
        return {}  # experimental, as its name says: another kernel's own form of it
    return {entry.text: entry.type for entry in entries}


class _Typed(msgspec.Struct):
    text: str
    type: str = ""
