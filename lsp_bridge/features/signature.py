"""textDocument/signatureHelp: of what is called, from the mirror at once, else from the session or from the text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from .. import mirrored
from ..asking import DEADLINE, Question, first_useful, result_of
from ..mirrored import parts_of
from ..names import LANGUAGE
from ..place import Call, call_at
from ..rpc import Json, Rpc
from ..sources import Sources
from ..static import Signature
from ..structures import PositionParams, read
from ..view import View

STATIC_SECONDS = 2.0


def register(rpc: Rpc, sources: Sources) -> None:
    async def handle(params: Json) -> Json | None:
        wanted = read(PositionParams, params)
        view = sources.view(wanted.text_document.uri)
        asked = sources.at(view, wanted.position)
        call = call_at(asked.code, asked.cursor_pos) if asked else None
        if asked is None or call is None or _known_elsewhere(sources, view, call):
            return None
        found = await _signatures(sources, view, asked, call)
        return lsp_signatures(found, call) if found else None

    rpc.on("textDocument/signatureHelp", handle, {"triggerCharacters": ["(", ","], "retriggerCharacters": [")"]})


async def _signatures(sources: Sources, view: View, asked: Question, call: Call) -> list[Signature] | None:
    mirror, client = sources.mirror(view), sources.extended(view)
    if mirror and call.steps:
        text, doc = mirrored.signature(mirror, call.steps)
        if text:
            label = f"{call.steps[-1].value}{text}"
            return [Signature(label, _from(doc, f"as of [{mirror.execution_count}]"), parts_of(text), None)]
    static = await sources.static(view)
    analysis = asyncio.ensure_future(static.signature(sources.spot(view, asked)))
    sides: list[tuple[asyncio.Future[Any], float]] = [(analysis, STATIC_SECONDS)]
    live = sources.live(client).ask(client.signature(asked.code, asked.cursor_pos)) if client else None
    if live:
        sides.append((live, DEADLINE))
    await first_useful(sides, _is_useful)
    said = result_of(live)
    if said is not None and said.found:
        return [
            Signature(one.label, _from(one.doc, "live"), [part.label for part in one.parameters], said.active_parameter)
            for one in said.signatures
        ]
    return [one._replace(doc=_from(one.doc, "static")) for one in result_of(analysis) or ()]


def _is_useful(said: Any) -> bool:
    return bool(getattr(said, "found", said))


def _from(doc: str, where: str) -> str:
    return f"{doc.strip()}\n\n*{where}*".strip()


def lsp_signatures(found: Sequence[Signature], call: Call) -> Json:
    """SignatureHelp: the parameters are parts of the labels, in the order in which they stand there."""
    signatures: list[Json] = []
    for one in found:
        active = active_of(one.parameters, call) if one.active is None else one.active
        shown: Json = {
            "label": one.label,
            "documentation": {"kind": "markdown", "value": one.doc},
            "parameters": [{"label": part} for part in one.parameters],
        }
        if active is not None and 0 <= active < len(one.parameters):
            shown["activeParameter"] = active
        signatures.append(shown)
    first = signatures[0].get("activeParameter")
    return {"signatures": signatures, "activeSignature": 0, **({} if first is None else {"activeParameter": first})}


def active_of(parameters: Sequence[str], call: Call) -> int | None:
    """Which parameter the argument at the cursor is for."""
    names = [part.split("=")[0].split(":")[0].strip() for part in parameters]
    if call.keyword:
        rest = next((number for number, name in enumerate(names) if name.startswith("**")), None)
        return names.index(call.keyword) if call.keyword in names else rest
    given = 0
    for number, name in enumerate(names):
        if name == "/":
            continue
        if name.startswith("*"):
            return number if name not in ("*",) and not name.startswith("**") else None
        if given == call.number:
            return number
        given += 1
    return None


def _known_elsewhere(sources: Sources, view: View, call: Call) -> bool:
    """Does another server know what is called?"""
    if sources.mode == "owner":
        return False
    root = str(call.steps[0].value) if call.steps else call.source.partition(".")[0]
    return root in sources.bound(view) or root in LANGUAGE
