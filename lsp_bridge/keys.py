"""Keys between brackets: what an accepted one puts there, so that exactly one quote and one bracket are left.

An editor may have put the closing ones behind the cursor already. Text behind the cursor is taken into the edit only where
it has to go: some editors apply no edit that reaches behind the cursor.
"""

from __future__ import annotations

import ast
import re
from typing import Any, NamedTuple

_TAIL = re.compile(r"([^\"'\[\]]*)([\"']?)(\s*\]?)")


class KeyEdit(NamedTuple):
    """``text`` replaces what was typed behind the bracket, and ``after`` characters behind the cursor."""

    text: str
    after: int
    filter: str
    """What the editor compares with what was typed."""


def value_of(literal: str) -> Any:
    """The key that a literal means; None when it is no literal."""
    try:
        return ast.literal_eval(literal)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None  # a repr of something else: it cannot be typed as a key


def literal(key: Any, quote: str) -> str:
    """``key`` as code; strings in these quotes, where that is possible without more escapes than repr makes."""
    if isinstance(key, tuple):
        parts = [literal(one, quote) for one in key]  # pyright: ignore[reportUnknownVariableType]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if not isinstance(key, str):
        return repr(key)
    body = repr(key + "'\"")[1:-4]  # with both quotes in it, repr escapes the single one
    return f"'{body}'" if quote == "'" else '"' + body.replace("\\'", "'").replace('"', '\\"') + '"'


def matches(key: Any, prefix: str) -> bool:
    """Does this key go on from ``prefix``, what was typed behind the bracket, quote included?"""
    if not prefix:
        return True
    if prefix[0] in "\"'":
        first = key[0] if isinstance(key, tuple) and key else key  # pyright: ignore[reportUnknownVariableType]
        return str(first).casefold().startswith(prefix[1:].casefold())  # pyright: ignore[reportUnknownArgumentType]
    return repr(key).startswith(prefix)


def edit_of(key: Any, prefix: str, after: str) -> KeyEdit:
    """The edit that completes ``prefix`` to ``key``; ``after`` is the rest of the line behind the cursor."""
    quote = prefix[:1] if prefix[:1] in ("'", '"') else ""
    text = literal(key, quote or '"')
    shown = quote + str(key) if quote else text
    tail = _TAIL.match(after)
    word, closing, bracket = tail.groups() if tail else ("", "", "")
    if quote and word.strip() and closing == quote:
        # The cursor stands in the middle of a key that is closed: all of it gives way.
        return KeyEdit(text + "]", len(word + closing + bracket), shown)
    if not quote or not closing or word:
        # Nothing of the string stands behind the cursor.
        return KeyEdit(text + ("" if after.lstrip().startswith("]") else "]"), 0, shown)
    if closing == quote and isinstance(key, str) and bracket.strip():
        return KeyEdit(text[:-1], 0, shown)  # both are there
    # A quote that has to go: the key is no string, or the bracket belongs behind it.
    return KeyEdit(text + ("" if bracket.strip() else "]"), len(word + closing), shown)
