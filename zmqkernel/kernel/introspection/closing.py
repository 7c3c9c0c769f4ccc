"""Accepting a key leaves exactly one quote and one bracket, whatever closing characters an editor has put behind the cursor."""

from __future__ import annotations

from typing import NamedTuple

from .tokens import OPENERS, tokenize


class Closing(NamedTuple):
    """``text`` goes behind the key; ``replaced`` characters after the cursor are taken away for it."""

    text: str
    replaced: int


def closing(code: str, cursor: int, start: int, quote: str, bracket: str) -> Closing:
    """What is missing behind a key that begins at ``start``.

    ``quote`` is the quote that is open ("" for a key that is no string), ``bracket`` the closing bracket that the key ends
    with ("" when more may follow).
    """
    line_end = code.find("\n", cursor)
    after = code[cursor : line_end if line_end >= 0 else len(code)]
    is_quoted = bool(quote) and _closes(after, quote)
    rest = after[len(quote) :] if is_quoted else after
    if not bracket or _is_closed(code, start - len(quote), rest, bracket):
        return Closing("" if is_quoted else quote, 0)
    # The bracket goes behind the quote: so the quote that is there is put again.
    return Closing(quote + bracket, len(quote) if is_quoted else 0)


def tail(code: str, cursor: int, quote: str) -> str:
    """What stands after the cursor of a string that is closed on this line; "" when it is open."""
    line_end = code.find("\n", cursor)
    after = code[cursor : line_end if line_end >= 0 else len(code)]
    at = 0
    while at < len(after):
        if after[at] == "\\":
            at += 2
            continue
        if after[at] == quote:
            return after[:at] if after[at + 1 :].lstrip()[:1] in ("]", ",", ")", "}") else ""
        at += 1
    return ""


def _closes(after: str, quote: str) -> bool:
    """A quote right behind the cursor closes, unless a text follows that it would open."""
    return after.startswith(quote) and not (after[1:2].isalnum() or after[1:2] == "_")


def _is_closed(code: str, opened: int, rest: str, bracket: str) -> bool:
    """Is the innermost bracket before ``opened`` closed on the rest of the line?

    When fewer brackets close than were opened on this line, the innermost is the one that is missing: it was typed last.
    """
    line_start = code.rfind("\n", 0, opened) + 1
    openers = _unmatched(code[line_start:opened])
    closers = _unmatched_closers(rest)
    return bool(closers) and closers[0] == bracket and len(closers) >= max(1, len(openers))


def _unmatched(text: str) -> list[str]:
    stack: list[str] = []
    for token in tokenize(text):
        if token.kind != "op":
            continue
        if token.text in "([{":
            stack.append(token.text)
        elif token.text in OPENERS and stack:
            stack.pop()
    return stack


def _unmatched_closers(text: str) -> list[str]:
    result: list[str] = []
    depth = 0
    for token in tokenize(text):
        if token.kind != "op":
            continue
        if token.text in "([{":
            depth += 1
        elif token.text in OPENERS:
            if depth:
                depth -= 1
            else:
                result.append(token.text)
    return result
