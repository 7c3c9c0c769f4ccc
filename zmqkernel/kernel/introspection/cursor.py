"""The object that the cursor stands on, for inspection and definition: also inside and at the end of its name."""

from __future__ import annotations

import re

from .expressions import Found
from .lookup import UNKNOWN
from .magics import function_of
from .scope import Scope
from .tokens import Token, brackets_around, expression_before, joined, tokenize

_MAGIC = re.compile(r"^\s*(%{1,2})(\w+)", re.MULTILINE)
_FIELDS = re.compile(r"\{([^{}]*)\}?")


def at_cursor(code: str, cursor: int, scope: Scope) -> tuple[Found | None, str]:
    """What stands at the cursor and how it is written; else the function in whose call the cursor stands."""
    for magic in _MAGIC.finditer(code):
        if magic.start(1) <= cursor <= magic.end():
            function = function_of(scope, magic.group(1), magic.group(2))
            return (Found(function), magic.group().strip()) if function is not UNKNOWN else (None, "")
    tokens, source = tokenize(code), ""
    at = _name_at(tokens, cursor)
    if at is None and (field := _field_at(tokens, cursor)):
        tokens = field
        at = _name_at(tokens, cursor)
    elif at is None and (source := _subscript_at(tokens, cursor, code)):
        return scope.find(source), source
    elif at is None and any(
        token.kind in ("comment", "string", "open") and token.start < cursor < token.end for token in tokens
    ):
        return None, ""
    found = None
    if at is not None:
        # As one line: inside brackets an expression may go on on the next one.
        source = expression_before(joined(tokens[: at + 1]), code)
        found = scope.find(source)
    if found is None and (called := _called(tokens, cursor, code)):
        source = called
        found = scope.find(called)
    return found, " ".join(source.split())


def _name_at(tokens: list[Token], cursor: int) -> int | None:
    return next(
        (at for at, token in enumerate(tokens) if token.kind == "name" and token.start <= cursor <= token.end), None
    )


def _field_at(tokens: list[Token], cursor: int) -> list[Token]:
    """The tokens in the braces of the f-string that the cursor stands in."""
    for token in tokens:
        if token.kind in ("string", "open") and token.start < cursor < token.end:
            if "f" not in token.text.partition(token.text.lstrip("rRbBfFuU")[:1])[0].lower():
                return []
            for part in _FIELDS.finditer(token.text):
                if token.start + part.start(1) <= cursor <= token.start + part.end(1):
                    return tokenize(part.group(1), token.start + part.start(1))
    return []


def _subscript_at(tokens: list[Token], cursor: int, code: str) -> str:
    """``df["region"]`` or ``xs[0]`` when the cursor stands in the brackets."""
    for at, token in enumerate(tokens):
        is_here = token.kind in ("string", "number") and token.start <= cursor <= token.end and 0 < at < len(tokens) - 1
        if is_here and tokens[at - 1].text == "[" and tokens[at + 1].text == "]":
            source = expression_before(joined(tokens[: at + 2]), code)
            return "" if source.startswith("[") else source
    return ""


def _called(tokens: list[Token], cursor: int, code: str) -> str:
    """The function in whose parentheses the cursor stands."""
    around = brackets_around(joined([token for token in tokens if token.start < cursor]), code)
    return around[0].source if around and around[0].text == "(" else ""
