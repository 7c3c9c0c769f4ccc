"""textDocument/hover: what the session says about the object under the cursor, else what it said, and what the text tells."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence

from zmqkernel.protocol.messages import InspectReply

from .. import mirrored
from ..asking import DEADLINE, first_useful, result_of
from ..names import LANGUAGE, made_in
from ..place import Step, word_at
from ..rpc import Json, Rpc
from ..sources import Sources
from ..structures import Hover, MarkupContent, PositionParams, read
from ..view import View

MAX_TEXT = 20_000
STATIC_SECONDS = 2.0
KNOWN_SECONDS = 0.005
"""How long the others have when the mirror knows the value."""
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

Steps = tuple[Step, ...] | None


def register(rpc: Rpc, sources: Sources) -> None:
    async def handle(params: Json) -> Hover | None:
        wanted = read(PositionParams, params)
        view = sources.view(wanted.text_document.uri)
        for one in sources.hovers:
            if found := one(view, wanted.position):
                return found
        asked = sources.at(view, wanted.position)
        word = word_at(asked.code, asked.cursor_pos) if asked else None
        if asked is None or word is None or _known_elsewhere(sources, view, word.steps):
            return None
        static = await sources.static(view)
        answer = static.hover(sources.spot(view, asked)) if sources.mode == "owner" else None
        text = await documentation(sources, view, word.source, word.steps, answer, STATIC_SECONDS)
        return Hover(MarkupContent(text)) if text else None

    rpc.on("textDocument/hover", handle)


async def documentation(
    sources: Sources, view: View, source: str, steps: Steps, static: Awaitable[str | None] | None, seconds: float
) -> str | None:
    """What is known about an expression, in markdown, each part with where it comes from. ``static`` has ``seconds``."""
    mirror, client = sources.mirror(view), sources.client(view)
    known = mirrored.hover(mirror, steps) if mirror and steps else None
    patience = KNOWN_SECONDS if known else DEADLINE
    live = sources.live(client).ask(client.inspect(source, len(source))) if client else None
    analysis = asyncio.ensure_future(static) if static else None
    sides: list[tuple[asyncio.Future[object], float]] = []
    if live:
        sides.append((asyncio.ensure_future(_as_object(live)), patience))
    if analysis:
        sides.append((asyncio.ensure_future(_as_object(analysis)), KNOWN_SECONDS if known else seconds))
    await first_useful(sides, bool, grace=KNOWN_SECONDS)
    said = result_of(live)
    now = plain(said) if said else None
    parts = [f"{now}\n\n*live*"] if now else []
    if known and mirror and not parts:
        when = f"as of [{mirror.execution_count}]" + (", of a kernel that is dead" if mirror.stale else "")
        parts = [f"{known}\n\n*{when}*"]
    text = result_of(analysis)
    if text and not (parts and _has(parts[0], text)):
        parts.append(f"{text}\n\n*static*")
    return "\n\n---\n\n".join(parts)[:MAX_TEXT] or None


def plain(reply: InspectReply) -> str | None:
    """Markdown for the editor: the reply's own, else its plain text in a fence that it cannot close."""
    markdown, text = reply.data.get("text/markdown"), reply.data.get("text/plain")
    if not reply.found or not (markdown or text):
        return None
    if markdown:
        return str(markdown)[:MAX_TEXT]
    text = _ANSI.sub("", str(text)).strip("\n")[:MAX_TEXT]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _known_elsewhere(sources: Sources, view: View, steps: Steps) -> bool:
    """Has another server all that there is to say? The value of a variable it has not."""
    if sources.mode == "owner" or not steps:
        return False
    mirror, root = sources.mirror(view), str(steps[0].value)
    entry = mirrored.entry_at(mirror, steps) if mirror else None
    if entry is not None and entry.kind == "variable":
        return False
    if root in LANGUAGE and (mirror is None or root not in mirror):
        return True
    return root in made_in(view.document.lines) or (entry is not None and root in sources.bound(view))


def _has(said: str, text: str) -> bool:
    """Is the documentation there already?"""
    words: Sequence[str] = text.rpartition("```")[2].split()[:8]
    return bool(words) and " ".join(words) in " ".join(said.split())


async def _as_object(side: Awaitable[object]) -> object:
    return await side
