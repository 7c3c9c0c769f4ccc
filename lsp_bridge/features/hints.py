"""textDocument/inlayHint: at the end of what ran its value or shape, and how long it took."""

from __future__ import annotations

from ..documents import Point
from ..results import duration_text, plain_text, shown, value_label, value_of
from ..rpc import Json, Rpc
from ..structures import DocumentParams, InlayHint, Range, read
from ..view import View
from ..workspace import Workspace

SLOW_SECONDS = 0.1
"""Shorter times are not worth a place in the text."""
MAX_TOOLTIP = 2000


def register(rpc: Rpc, workspace: Workspace) -> None:
    async def handle(params: Json) -> list[InlayHint]:
        wanted = read(DocumentParams, params)
        return hints(workspace.view(wanted.text_document.uri), wanted.range)

    rpc.on("textDocument/inlayHint", handle)


def hints(view: View, range: Range | None) -> list[InlayHint]:
    """Of what has run to its end and is as it ran; of several at one place the newest."""
    result: dict[int, InlayHint] = {}
    for execution, anchor in shown(view):
        where = view.range_of(anchor)
        line = where.end.line
        if range and not range.start.line <= line <= range.end.line:
            continue
        if not execution.finished or execution.earlier_kernel or view.stale(execution.execution):
            continue
        value = value_of(execution)
        time = duration_text(execution.duration) if (execution.duration or 0) >= SLOW_SECONDS else ""
        label = " · ".join(filter(None, [value_label(value) if value else "", time]))
        if label:
            end = view.document.position(Point(line, len(view.document.content(line))))
            tooltip = plain_text(value)[:MAX_TOOLTIP] if value else None
            result[line] = InlayHint(end, label, tooltip, padding_left=True)
    return list(result.values())
