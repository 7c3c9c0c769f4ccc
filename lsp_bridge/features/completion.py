"""textDocument/completion and completionItem/resolve.

The mirror answers at once. What the session says now and what analysis of the text says is waited for only while there is nothing
useful; what comes later is in the answer to the next key, and until then the list says that it is incomplete.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from zmqkernel.protocol.messages import CompleteReply

from .. import mirrored
from ..asking import DEADLINE, Question, all_done, first_useful, result_of
from ..documents import Document, Point
from ..keys import edit_of, literal, matches, value_of
from ..merge import KEYS, KINDS, PARAMETERS, Item, has, merge
from ..names import LANGUAGE, language_items
from ..place import Place, Step, place_at
from ..rpc import Json, Rpc
from ..sources import Sources
from ..structures import PositionParams, Range, read
from ..view import View
from .hover import documentation

TRIGGERS = [".", "[", '"', "'", "%", "!", "(", ","]
STATIC_SECONDS = 2.0
LIVE_SECONDS, FRESH_SECONDS = 0.5, 10.0
"""How long an answer of the session, or of analysis, holds for the word that is being typed."""
RESOLVE_SECONDS = 0.5
KEPT = 16
"""Answers whose items can be resolved."""

WEAK = ("text", "language", "arguments")
"""What does not make the others dispensable: the session has more to say about a name."""

Side = asyncio.Future[list[Item] | None]


class Asked:
    """One request: where it is, and what its sides have said."""

    def __init__(self, view: View, question: Question, place: Place) -> None:
        self.view = view
        self.question = question
        self.place = place
        self.found: dict[str, list[Item]] = {}
        self.sides: dict[str, Side | None] = {}
        self.incomplete = False


class Completion:
    """Answers completions, and keeps the last ones for resolve."""

    def __init__(self, rpc: Rpc, sources: Sources) -> None:
        self._sources = sources
        self._rpc = rpc
        self._numbers = itertools.count(1)
        self._asking: dict[tuple[Any, ...], tuple[str, Side]] = {}
        self._answers: dict[int, tuple[View, Place, list[Item]]] = {}

    async def complete(self, params: Json) -> Json:
        wanted = read(PositionParams, params)
        view = self._sources.view(wanted.text_document.uri)
        question = self._sources.at(view, wanted.position)
        place = place_at(question.code, question.cursor_pos) if question else None
        if question is None or place is None or place.kind == "nothing":
            return {"isIncomplete": False, "items": []}
        asked = Asked(view, question, place)
        self._ask_mirror(asked)
        self._ask_live(asked)
        await self._ask_static(asked)
        useful = partial(_useful, place)
        sure = any(useful(items) for side, items in asked.found.items() if side not in WEAK)
        live, static = asked.sides.get("live"), asked.sides.get("static")
        waited = [(side, seconds) for side, seconds in ((live, DEADLINE), (static, STATIC_SECONDS)) if side]
        now = sure or (live is None and any(map(useful, asked.found.values())))
        await first_useful(waited, useful, useful_now=now)
        for name, side in asked.sides.items():
            items = result_of(side)
            if items is not None:
                asked.found[name] = items
        return self._answer(asked)

    async def resolve(self, params: Json) -> Json:
        number, index = read(tuple[int, int], params.get("data"))
        known = self._answers.get(number)
        if known is None or not 0 <= index < len(known[2]):
            return params  # of an answer that is long gone: it stays as it is
        view, place, items = known
        item = items[index]
        static = await self._sources.static(view)
        steps = (*(place.steps or ()), Step("attribute", item.text)) if place.kind == "attribute" else None
        source = f"{place.source}.{item.text}" if place.kind == "attribute" else item.text
        if place.kind == "key":
            source = f"{place.source}[{item.text}]"
        elif place.kind == "name":
            steps = (Step("name", item.text),)
        ask = None if item.ref is None else static.resolve(item.ref)
        text = await documentation(self._sources, view, source, steps, ask, RESOLVE_SECONDS)
        text = text or item.doc
        return {**params, "documentation": {"kind": "markdown", "value": text}} if text else params

    # --- the sides ---------------------------------------------------------------------------------------------------

    def _ask_mirror(self, asked: Asked) -> None:
        place, sources = asked.place, self._sources
        mirror = sources.mirror(asked.view)
        if mirror and place.kind in ("name", "attribute", "key"):
            words = sources.words(asked.view)
            asked.found["mirror"] = mirrored.complete(mirror, place.steps or (), place.kind, place.prefix, words)
            if place.kind == "name" and place.callee:
                asked.found["arguments"] = mirrored.parameters(mirror, place.callee)
        if sources.mode == "owner" and place.kind == "name":
            words = sources.bound(asked.view)
            asked.found["text"] = [Item(word, source="text") for word in words if word != place.prefix]
            asked.found["language"] = language_items()

    def _ask_live(self, asked: Asked) -> None:
        place, sources = asked.place, self._sources
        client = sources.client(asked.view)
        if client is None or (place.kind == "import" and (sources.mode == "sibling" or sources.engine != "off")):
            return  # analysis knows modules as well, and goes on while the session hangs
        key = sources.place_key(asked.view, asked.question, place, "live")
        late = sources.kept(key, place.prefix, LIVE_SECONDS)
        if late is not None:
            asked.found["live"] = late  # it was asked a moment ago, for the key before this one
            return
        live = sources.live(client)
        if live.is_late:
            asked.incomplete = True  # it has not answered for a while
            return
        asked.sides["live"] = self._under_way(key, place.prefix)
        if asked.sides["live"] is None:
            side = live.ask(client.complete(asked.question.code, asked.question.cursor_pos))
            if side is not None:
                asked.sides["live"] = self._side(_items_of(side, asked.question, place), key, place.prefix)

    async def _ask_static(self, asked: Asked) -> None:
        place, sources = asked.place, self._sources
        if sources.mode == "sibling" or place.kind in ("key", "other"):
            return
        key = sources.place_key(asked.view, asked.question, place, "static")
        kept = sources.kept(key, place.prefix, FRESH_SECONDS)
        if kept is not None:
            asked.found["static"] = kept
            return
        static = await sources.static(asked.view)
        asked.sides["static"] = self._under_way(key, place.prefix)
        if asked.sides["static"] is None:
            spot = sources.spot(asked.view, asked.question)
            asked.sides["static"] = self._side(static.complete(spot), key, place.prefix)

    def _under_way(self, key: tuple[Any, ...], prefix: str) -> Side | None:
        """The answer that is being made for an earlier key of the same word: nobody is asked twice."""
        known = self._asking.get(key)
        return known[1] if known and prefix.startswith(known[0]) and not known[1].done() else None

    def _side(self, answer: Awaitable[list[Item] | None], key: tuple[Any, ...], prefix: str) -> Side:
        """A side whose answer is kept for the next key when it comes too late for this one."""
        side = asyncio.ensure_future(answer)
        self._asking[key] = prefix, side
        side.add_done_callback(partial(self._answered, key, prefix))
        return side

    def _answered(self, key: tuple[Any, ...], prefix: str, side: Side) -> None:
        if self._asking.get(key, ("", None))[1] is side:
            del self._asking[key]
        items = result_of(side)
        if items is not None:
            self._sources.keep(key, prefix, items)

    # --- the answer --------------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> Json:
        place, view, sources = asked.place, asked.view, self._sources
        found = list(asked.found.values())
        if sources.mode == "sibling":
            found = [[item for item in side if self._only_ours(asked, item)] for side in found]
        prefix = place.prefix
        if place.kind == "key":
            found = [[item for item in side if matches(item.ref, prefix)] for side in found]
            prefix = ""
        elif place.kind == "other":
            prefix = ""
        items, cut = merge(found, prefix, sources.words(view))
        number = next(self._numbers)
        self._answers[number] = view, place, items
        self._answers.pop(number - KEPT, None)
        incomplete = asked.incomplete or cut or not all_done(asked.sides.values())
        labels = bool(self._rpc.supports("textDocument", "completion", "completionItem", "labelDetailsSupport"))
        return {"isIncomplete": incomplete, "items": _lsp_items(asked, items, number, labels)}

    def _only_ours(self, asked: Asked, item: Item) -> bool:
        """Can no analysis of the text know this?"""
        place = asked.place
        if place.kind in ("key", "other") or item.kind in KEYS:
            return True
        bound = self._sources.bound(asked.view)
        if item.kind in PARAMETERS:
            return bool(place.callee) and place.callee[0].value not in bound | LANGUAGE
        if place.kind == "name":
            return item.text not in bound and item.text not in LANGUAGE
        if place.steps and place.steps[0].value not in bound:
            return place.steps[0].value not in LANGUAGE
        # Of a name that the text binds: attributes of the object itself that no line of the text mentions.
        return item.own and item.text not in self._sources.words(asked.view)


def register(rpc: Rpc, sources: Sources) -> None:
    completion = Completion(rpc, sources)
    rpc.on_completion(completion.complete, TRIGGERS)
    rpc.on("completionItem/resolve", completion.resolve)


def _useful(place: Place, items: list[Item] | None) -> bool:
    if place.kind == "key":
        return any(matches(item.ref, place.prefix) for item in items or ())
    return bool(items) and (place.kind == "other" or has(items or (), place.prefix))


async def _items_of(reply: Awaitable[CompleteReply | None], asked: Question, place: Place) -> list[Item] | None:
    """What the session says: our own kernel's words, else Jupyter's."""
    said = await reply
    return None if said is None else live_items(said, asked, place)


def live_items(reply: CompleteReply, asked: Question, place: Place) -> list[Item]:
    """The items of a complete_reply, as they would stand at ``place.start``."""
    ours: Any = reply.metadata.get("zmqkernel")
    entries = _entries(ours.get("items") if isinstance(ours, dict) else None)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if entries is None:
        entries = _entries(reply.metadata.get("_jupyter_types_experimental")) or []
        known = {entry.text: entry for entry in entries}
        entries = [known.get(text) or _Entry(text) for text in reply.matches]
    # What the kernel would leave in place between our start and its own.
    between = asked.code[place.start : reply.cursor_start] if reply.cursor_start >= place.start else None
    cut = 0 if between is not None else place.start - reply.cursor_start
    items: list[Item] = []
    for entry in entries:
        text = (between or "") + entry.text[cut:]
        item = Item(text, entry.kind or entry.type, entry.detail or (entry.type if entry.kind else ""), "live")
        if place.kind == "key":
            item.text, item.ref = _key(text, place.quote)
            if item.text == "":
                continue
            item.kind = item.kind if item.kind in KEYS else "key"
        items.append(item)
    return items


def _key(text: str, quote: str) -> tuple[str, Any]:
    """A key's literal and value, from what a kernel would put in: with or without closing quote and bracket."""
    whole = text.strip() if text.strip().startswith(quote) else quote + text
    for attempt in (whole, whole + quote, whole.removesuffix("]")):
        value = value_of(attempt)
        if value is not None:
            return literal(value, quote or "'"), value
    return "", None


class _Entry(msgspec.Struct):
    text: str
    kind: str = ""
    type: str = ""
    detail: str = ""


def _entries(value: Any) -> list[_Entry] | None:
    try:
        return msgspec.convert(value, list[_Entry])
    except msgspec.ValidationError:
        return None  # another kernel's own form of it


def _lsp_items(asked: Asked, items: list[Item], number: int, labels: bool) -> list[Json]:
    """The items as LSP has them, each with its edit of the cursor's line."""
    place, question = asked.place, asked.question
    document, point = asked.view.document, question.point
    start = min(question.column(place.start), point.column)
    ranges = _ranges(document, point, start)
    shown: list[Json] = []
    for index, item in enumerate(items):
        text, after, filter_text = item.text, 0, item.text
        if place.kind == "key":
            text, after, filter_text = edit_of(item.ref, place.prefix, question.after)
        one: Json = {
            "label": item.text,
            "textEdit": {"range": ranges(after), "newText": text},
            "sortText": f"{index:04}",
            "filterText": filter_text,
            "data": [number, index],
        }
        if kind := KINDS.get(item.kind):
            one["kind"] = kind
        said = " · ".join(filter(None, [item.type, item.label]))
        if labels:
            one["labelDetails"] = {"description": said}
        else:
            one["detail"] = said
        shown.append(one)
    return shown


def _ranges(document: Document, point: Point, start: int) -> Callable[[int], Range]:
    """The range from ``start`` to so many characters behind the cursor; few are different."""
    known: dict[int, Range] = {}
    first = document.position(Point(point.line, start))

    def range_to(after: int) -> Range:
        if after not in known:
            known[after] = Range(first, document.position(Point(point.line, point.column + after)))
        return known[after]

    return range_to
