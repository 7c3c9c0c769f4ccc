"""What may stand between brackets: keys, columns, fields, labels, written so that they can be accepted as they are."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from . import adapters
from .budget import Budget
from .closing import Closing, closing, tail
from .expressions import Found, same_key
from .lookup import LOOKED_AT, UNKNOWN, has_only, is_kind, reads_as, values_at
from .matches import Match
from .places import Place, literals

LONGEST = 500
"""Characters of a key; a longer one is left out."""


class Answer(NamedTuple):
    """Matches, and how many characters after the cursor they replace."""

    matches: list[Match]
    replaced: int = 0


class Key(NamedTuple):
    """A key, or the part of a tuple that comes next. ``is_last``: nothing follows in the brackets."""

    key: Any
    kind: str
    is_last: bool = True
    value: Any = UNKNOWN


def keys_at(place: Place, code: str, cursor: int, found: Found, budget: Budget) -> Answer:
    """The keys of ``found`` that go on from what was typed."""
    labels, kind = adapters.keys_of(found.value, found.like, found.type, place.position)
    if len(labels) >= (LOOKED_AT if kind == "key" else adapters.MOST):
        budget.incomplete = True
    is_located = is_kind(found.type, "pandas.core.indexing", *adapters.INDEXERS)
    keys = _next_parts(_possible(labels, place), kind, place, is_located)
    known = (Key(key, kind, last) for key, last in keys)
    answer = written(place, code, cursor, known, "" if place.is_listed else "]", budget)
    if answer.matches and place.quote and not place.flags and reads_as(found.value, dict):
        values = values_at(found.value, [match.label for match in answer.matches])
        return answer._replace(
            matches=[match._replace(value=value) for match, value in zip(answer.matches, values, strict=True)]
        )
    return answer


def _possible(labels: Sequence[Any], place: Place) -> Sequence[Any]:
    """Without what cannot go on from what was typed: of many keys mostly few are left."""
    typed = _decoded(place.flags, place.quote, place.prefix) if place.quote else None
    if typed is None:
        return labels
    kind = type(typed)
    if kind is str and has_only(labels, frozenset()):
        return list(filter(operator.methodcaller("startswith", typed), labels)) if typed else labels
    return [label for label in labels if type(label) is tuple or (type(label) is kind and label.startswith(typed))]


def _next_parts(labels: Sequence[Any], kind: str, place: Place, is_located: bool) -> Iterator[tuple[Any, bool]]:
    """Each key, or its part at the cursor when it is a tuple."""
    done: list[object] | None = [] if is_located else literals(place.earlier)
    if done is None:
        return
    for label in labels:
        if type(label) is not tuple:
            if not done:
                yield label, True
        elif done or place.quote:
            at = len(done)
            if len(label) > at and all(same_key(own, given) for own, given in zip(label, done, strict=False)):
                # A part of a column's tuple is a selection too, of a dictionary's it is not.
                yield label[at], len(label) == at + 1 or kind == "column"
        else:
            yield label, True


def written(place: Place, code: str, cursor: int, keys: Iterable[Key], bracket: str, budget: Budget) -> Answer:
    """The keys as code from the start of the place on, with the quote and the bracket that are missing."""
    rest = tail(code, cursor, place.quote) if place.quote else ""
    typed = _decoded(place.flags, place.quote, place.prefix) if place.quote else place.prefix
    if typed is None:
        return Answer([])
    own = [key for key in keys if _fits(key.key, place)]
    if rest and not (
        rest.isidentifier() or any(key.key == _decoded(place.flags, place.quote, place.prefix + rest) for key in own)
    ):
        rest = ""
    end = cursor + len(rest)
    whole, part = (closing(code, end, place.start, place.quote, text) for text in (bracket, ""))
    replaced = max(whole.replaced, part.replaced)
    matches = dict[str, Match]()
    for key, kind, is_last, value in budget.within(own):
        text = _written(key, typed, place)
        if text is not None and len(text) < LONGEST:
            text += _with(whole if is_last else part, code, end, replaced)
            if len(matches) >= budget.items:
                budget.incomplete = True
                break
            matches.setdefault(text, Match(text, kind, value, label=key if type(key) is str else repr(key)))
    return Answer(list(matches.values()), len(rest) + replaced)


def _fits(key: Any, place: Place) -> bool:
    if place.quote:
        return type(key) is (bytes if "b" in place.flags else str)
    return not place.prefix or (type(key) in (int, float) and repr(key).startswith(place.prefix))


def _with(close: Closing, code: str, end: int, replaced: int) -> str:
    """All matches replace the same characters; who needs less of that puts the others again."""
    return close.text + code[end + close.replaced : end + replaced]


def _decoded(flags: str, quote: str, content: str) -> Any:
    """The string that was typed so far; None when it ends within an escape."""
    try:
        return ast.literal_eval(f"{flags.replace('f', '')}{quote}{content}{quote}")
    except (SyntaxError, ValueError):
        return None  # an escape is half-typed, or a character that bytes cannot have


def _written(key: Any, typed: Any, place: Place) -> str | None:
    """``key`` as code, going on from what was typed as it was typed; None when it does not, or cannot be written so."""
    if not place.quote:
        return repr(key)
    if not key.startswith(typed):
        return None
    rest = key[len(typed) :]
    if "f" in place.flags and ("{" in rest or "}" in rest):
        rest = rest.replace("{", "{{").replace("}", "}}")
    if "r" in place.flags:
        text = rest if type(rest) is str else rest.decode("latin-1")
        can_be = place.quote not in text and text.isprintable() and not text.endswith("\\")
        return place.prefix + text if can_be else None
    return place.prefix + inside_quotes(rest, place.quote)


def inside_quotes(key: str | bytes, quote: str) -> str:
    """``key`` as it is written between these quotes."""
    # With both quotes in it, repr() escapes the single one.
    text = repr(key + "'\"")[1:-4] if isinstance(key, str) else repr(key + b"'\"")[2:-4]
    return text if quote == "'" else text.replace("\\'", "'").replace('"', '\\"')
