"""Half-typed code as tokens: a small tokenizer that never fails, expressions before a place, brackets around it.

Offsets count code points, as Jupyter's ``cursor_pos`` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<comment>\#[^\n]*)
    | (?P<triple>(?i:[rbfu]{0,2})(?P<t>\"\"\"|''')(?:[^\\]|\\.)*?(?P=t))
    | (?P<open_triple>(?i:[rbfu]{0,2})(?:\"\"\"|''').*)
    | (?P<string>(?i:[rbfu]{0,2})(?P<q>["'])(?:(?!(?P=q))[^\\\n]|\\.)*(?P=q))
    | (?P<open>(?i:[rbfu]{0,2})["'](?:[^\\\n]|\\.)*\\?)
    | (?P<name>[^\W\d]\w*)
    | (?P<number>\.?\d(?:[eE][+-]|[\w.])*)
    | (?P<newline>\n)
    | (?P<space>[^\S\n]+|\\\n)
    | (?P<op>.)
    """,
    re.VERBOSE | re.DOTALL,
)
OPENERS = {")": "(", "]": "[", "}": "{"}


class Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokenize(code: str, offset: int = 0) -> list[Token]:
    """Tokens without white space; strings are ``string`` or, when they do not end, ``open``; both sorts of quotes."""
    result: list[Token] = []
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup or "op"
        if kind != "space":
            kind = {"triple": "string", "open_triple": "open"}.get(kind, kind)
            result.append(Token(kind, match.group(), match.start() + offset))
    return result


STATEMENTS = frozenset(
    ("import", "from", "def", "class", "return", "while", "with", "try", "raise", "assert", "del", "global", "pass")
)
"""Words that begin a line only where a statement begins: brackets that are still open before them were left open."""


def joined(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without comments, and without the ends of lines that lie in brackets."""
    result: list[Token] = []
    depth, begins_line = 0, True
    for token in tokens:
        if token.kind == "comment":
            continue
        if token.kind == "newline":
            begins_line = True
            if depth:
                continue
        else:
            if begins_line and depth and token.text in STATEMENTS and token.kind == "name":
                depth = 0
                result.append(Token("newline", "\n", token.start))
            begins_line = False
            if token.kind == "op":
                depth = max(0, depth + (token.text in "([{") - (token.text in ")]}"))
        result.append(token)
    return result


class Bracket(NamedTuple):
    """An open bracket around a place: what stands before it, and where in it the place is."""

    text: str
    source: str
    """The expression before it, "" for a list, a tuple or a dictionary."""
    start: int
    """Where in the code its content begins."""
    position: int
    """How many commas stand between it and the place."""
    keyword: str
    """The ``name`` of a ``name=`` before the place."""
    at: int
    """Its index in the tokens."""


def brackets_around(tokens: Sequence[Token], code: str) -> list[Bracket]:
    """The open brackets around the end of ``tokens``, the innermost first. They end where the statement begins."""
    result: list[Bracket] = []
    depth = commas = 0
    keyword = ""
    for at in range(len(tokens) - 1, -1, -1):
        token = tokens[at]
        if token.kind == "newline":
            break
        if token.kind != "op":
            continue
        if token.text in OPENERS:
            depth += 1
        elif token.text in "([{" and depth:
            depth -= 1
        elif token.text in "([{":
            source = expression_before(tokens[:at], code) if token.text != "{" else ""
            result.append(Bracket(token.text, source, token.end, commas, keyword, at))
            commas, keyword = 0, ""
        elif token.text == "," and not depth:
            commas += 1
        elif token.text == "=" and not (depth or commas or keyword) and at and tokens[at - 1].kind == "name":
            keyword = tokens[at - 1].text
    return result


def expression_before(tokens: Sequence[Token], code: str) -> str:
    """The primary expression (names, attributes, subscripts, calls) that ends with ``tokens``, as source; "" if none does."""
    at = _start_of_primary(tokens)
    return code[tokens[at].start : tokens[-1].end] if at >= 0 else ""


def _start_of_primary(tokens: Sequence[Token]) -> int:
    at = len(tokens) - 1
    while at >= 0:
        token = tokens[at]
        if token.text in OPENERS and token.kind == "op":
            at = _opener(tokens, at)
            if at < 0:
                return -1
            before = tokens[at - 1] if at else None
            is_trailer = before and (before.kind in ("name", "string") or before.text in (")", "]"))
            if not is_trailer or (
                before and before.kind == "name" and before.text in ("in", "return", "and", "or", "not")
            ):
                return at
            at -= 1
            continue
        if token.kind not in ("name", "string", "number"):
            return -1
        if token.kind == "name" and at >= 2 and tokens[at - 1].text == ".":
            at -= 2
            continue
        return at
    return -1


def _opener(tokens: Sequence[Token], at: int) -> int:
    depth = 0
    for index in range(at, -1, -1):
        token = tokens[index]
        if token.kind != "op":
            continue
        if token.text in OPENERS:
            depth += 1
        elif token.text in "([{":
            depth -= 1
            if depth == 0:
                return index
    return -1
