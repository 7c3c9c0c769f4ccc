"""What the sources of a completion say, as one list: told apart by the text that results, ranked, and labelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

Source = Literal["live", "mirror", "static", "text"]
"""live: the session, now; mirror: what it said after its last execution; static: analysis of the text; text: names in it."""

MOST = 200
"""Items in an answer; the editor is told that there are more."""

KINDS = {
    "method": 2,
    "function": 3,
    "magic": 3,
    "constructor": 4,
    "column": 5,
    "field": 5,
    "param": 5,
    "parameter": 5,
    "instance": 6,
    "statement": 6,
    "variable": 6,
    "class": 7,
    "module": 9,
    "namespace": 9,
    "property": 10,
    "dict key": 12,
    "key": 12,
    "keyword": 14,
    "path": 17,
    "folder": 19,
}
"""Our words and those of Jupyter kernels and jedi, as CompletionItemKind."""
KEYS = frozenset({"key", "column", "dict key"})
PARAMETERS = frozenset({"param", "parameter"})
_TRUST: dict[Source, int] = {"live": 0, "mirror": 1, "static": 2, "text": 3}


class Item(msgspec.Struct):
    """One candidate. ``text`` is what stands in the code when it is taken; of a key, its Python literal."""

    text: str
    kind: str = ""
    type: str = ""
    """A few words about it: ``DataFrame 1000×4``, a signature."""
    source: Source = "live"
    as_of: int | None = None
    """Of a mirrored one: the count of the execution after which it was so."""
    doc: str = ""
    ref: Any = None
    """What its source needs to say more about it; of a key, its value."""
    own: bool = False
    """The object has it, and not its class or module."""

    @property
    def label(self) -> str:
        """Where it comes from, for people."""
        if self.source == "mirror":
            return "session" if self.as_of is None else f"as of [{self.as_of}]"
        return {"live": "live", "static": "static", "text": "this file"}[self.source]


def merge(sides: Iterable[Iterable[Item]], prefix: str, seen: frozenset[str] = frozenset()) -> tuple[list[Item], bool]:
    """The items that go on from ``prefix``, at most MOST, the best first; and whether some were left out.

    Of two with the same text the one from the more trusted source stays, and takes over what only the other knows.
    ``seen``: words of the document, which are ranked higher.
    """
    typed = prefix.casefold()
    found: dict[str, Item] = {}
    for side in sides:
        for item in side:
            text = item.text
            if not text.casefold().startswith(typed) or (not typed and text[0] == "_" and item.kind not in KEYS):
                continue
            known = found.get(text)
            found[text] = item if known is None else _joined(known, item)
    order = {text: number for number, text in enumerate(found)}
    ranked = sorted(found.values(), key=lambda item: _rank(item, seen, prefix, order[item.text]))
    return ranked[:MOST], len(ranked) > MOST


def _joined(one: Item, other: Item) -> Item:
    """The more trusted of two, with the type, documentation and reference that it lacks."""
    best, rest = (one, other) if _TRUST[one.source] <= _TRUST[other.source] else (other, one)
    if (best.kind and best.type and best.doc and best.ref is not None) or not (
        rest.kind or rest.type or rest.doc or rest.ref is not None
    ):
        return best
    return msgspec.structs.replace(
        best,
        kind=best.kind or rest.kind,
        type=best.type or rest.type,
        doc=best.doc or rest.doc,
        ref=rest.ref if best.ref is None else best.ref,
    )


def _rank(item: Item, seen: frozenset[str], prefix: str, number: int) -> tuple[int, bool, bool, Any]:
    exact = not item.text.startswith(prefix)  # another case than typed comes later
    if item.kind in KEYS:
        return 0, exact, False, number  # keys stay in their own order
    if item.kind in PARAMETERS:
        return 1, exact, False, number
    if item.text.startswith("__"):
        return 5, exact, False, item.text
    if item.text.startswith("_"):
        return 4, exact, False, item.text
    known = item.source in ("live", "mirror") and item.kind not in ("keyword", "builtin")
    return (2 if known else 3), exact, item.text not in seen, item.text


def has(items: Sequence[Item], prefix: str) -> bool:
    """Does anything go on from what was typed, and say more than what is there already?"""
    typed = prefix.casefold()
    return any(item.text.casefold().startswith(typed) and item.text != prefix for item in items)
