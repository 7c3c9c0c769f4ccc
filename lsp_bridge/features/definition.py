"""textDocument/definition: by analysis of the text, and where that knows nothing the source of the live object."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ..asking import DEADLINE, first_useful, result_of
from ..documents import Document, Point
from ..place import Word, word_at
from ..rpc import Json, Rpc
from ..sources import Sources
from ..static import Location
from ..structures import PositionParams, Range, read
from ..view import View
from ..workspace import real_path

STATIC_SECONDS = 2.0
MAX_FILE = 4 * 1024 * 1024


def register(rpc: Rpc, sources: Sources) -> None:
    async def handle(params: Json) -> list[Json] | None:
        wanted = read(PositionParams, params)
        view = sources.view(wanted.text_document.uri)
        asked = sources.at(view, wanted.position)
        word = word_at(asked.code, asked.cursor_pos) if asked else None
        if asked is None or word is None or _known_elsewhere(sources, view, word):
            return None
        static = await sources.static(view)
        analysis = asyncio.ensure_future(static.definition(sources.spot(view, asked)))
        client = sources.extended(view)
        live = sources.live(client).ask(client.definition(asked.code, asked.cursor_pos)) if client else None
        sides: list[tuple[asyncio.Future[Any], float]] = [(analysis, STATIC_SECONDS)]
        if live:
            sides.append((live, DEADLINE))
        await first_useful(sides, _is_list)  # the place that analysis of the text finds comes first
        found = result_of(analysis) or []
        said = result_of(live)
        if not found and said is not None and said.found and said.path:
            found = [Location(said.path, said.line, said.column)]
        return await asyncio.to_thread(_lsp_locations, found, view) or None

    rpc.on("textDocument/definition", handle)


def _known_elsewhere(sources: Sources, view: View, word: Word) -> bool:
    """Does another server find it? Then it would be listed twice."""
    root = str(word.steps[0].value) if word.steps else word.source.partition(".")[0]
    return sources.mode == "sibling" and root in sources.bound(view)


def _is_list(said: object) -> bool:
    return isinstance(said, list) and bool(said)  # pyright: ignore[reportUnknownArgumentType]


def _lsp_locations(found: list[Location], view: View) -> list[Json]:
    return [_lsp_location(one, view) for one in found]


def _lsp_location(found: Location, view: View) -> Json:
    """A place in a file, its column counted as the editor does."""
    document = view.document
    uri = document.uri
    if found.path != real_path(document.uri):
        path = Path(found.path)
        uri, text = path.as_uri(), ""
        try:
            if path.stat().st_size < MAX_FILE:
                text = path.read_bytes().decode(errors="replace")
        except OSError:
            text = ""  # it is gone, or never was a file: the editor says so
        document = Document(uri, text or "\n" * found.line, 0, document.encoding)
    at = document.position(Point(max(0, found.line), max(0, found.column)))
    return {"uri": uri, "range": Range(at, at)}
