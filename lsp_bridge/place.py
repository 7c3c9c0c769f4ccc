"""What the cursor stands in, in half-typed code: which expression, which word of it, which call around it.

A small scanner that never fails. It only looks back over LINES lines of the cell; columns and offsets count code points.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

LINES = 150

Kind = Literal["name", "attribute", "key", "import", "other", "nothing"]
"""other: a magic, a path, a string: what only the session can tell; nothing: comments, strings, names that are being made."""

_TOKEN = re.compile(
    r"""
      (?P<comment>\#[^\n]*)
    | (?P<triple>(?i:[rbfut]{0,2})(?P<t>\"\"\"|''')(?:[^\\]|\\.)*?(?P=t))
    | (?P<open_triple>(?i:[rbfut]{0,2})(?:\"\"\"|''').*)
    | (?P<string>(?i:[rbfut]{0,2})(?P<q>["'])(?:(?!(?P=q))[^\\\n]|\\.)*(?P=q))
    | (?P<open>(?i:[rbfut]{0,2})["'](?:[^\\\n]|\\.)*\\?)
    | (?P<name>[^\W\d]\w*)
    | (?P<number>\d(?:[eE][+-]|[\w.])*|\.\d(?:[eE][+-]|\w)*)
    | (?P<newline>\n)
    | (?P<space>[^\S\n]+|\\\n)
    | (?P<op>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NEW_NAME = frozenset({"def", "class", "as", "for", "global", "nonlocal"})
_NO_VALUE = frozenset(keyword.kwlist) - {"True", "False", "None"}
_MAGIC = re.compile(r"^\s*(?:[%!]|[\w.,\s]+=\s*[%!])")
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_PYTHON_MAGICS = frozenset({"time", "timeit", "capture", "prun", "memit", "mprun"})


class Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Step(NamedTuple):
    """One step of an expression: a name or an attribute, or the key of a literal subscript."""

    kind: Literal["name", "attribute", "key"]
    value: Any


class Place(NamedTuple):
    """``start`` is where ``prefix``, what was typed of the word, begins: an offset in the code. For a key it is the place
    behind the bracket, and ``prefix`` has the quote with it."""

    kind: Kind
    prefix: str = ""
    start: int = 0
    steps: tuple[Step, ...] | None = None
    """The expression before the dot or bracket, if it has only names, attributes and literal keys."""
    source: str = ""
    """That expression's text, also when it has calls in it."""
    quote: str = ""
    callee: tuple[Step, ...] | None = None
    """What is called, when an argument may begin here."""


class Call(NamedTuple):
    """The innermost call around the cursor. ``number`` counts arguments before the cursor, ``keyword`` names this one."""

    steps: tuple[Step, ...] | None
    source: str
    number: int
    keyword: str


class Word(NamedTuple):
    """The expression that ends with the name under the cursor."""

    steps: tuple[Step, ...] | None
    source: str
    start: int
    end: int


def tokenize(code: str, offset: int = 0) -> list[Token]:
    """Tokens without white space; a string that does not end is ``open``."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup or "op"
        if kind != "space":
            kind = {"triple": "string", "open_triple": "open"}.get(kind, kind)
            tokens.append(Token(kind, match.group(), match.start() + offset))
    return tokens


def place_at(code: str, cursor: int) -> Place:
    """The place of the cursor in the code of one cell."""
    magic = _CELL_MAGIC.match(code)
    if magic and magic[1] not in _PYTHON_MAGICS:
        return Place("nothing" if code.find("\n", 0, cursor) >= 0 else "other", start=cursor)
    tokens = _before(code, cursor)
    line = code[code.rfind("\n", 0, cursor) + 1 : cursor]
    last = tokens[-1] if tokens else Token("newline", "\n", cursor)
    if _MAGIC.match(line) and last.kind != "open":
        return Place("other", start=cursor)
    match last.kind:
        case "open":
            return _in_string(code, tokens)
        case "comment":
            return Place("nothing")
        case "number" | "string":
            return Place("nothing") if last.end == cursor else _name(code, tokens, "", cursor)
        case "name" if last.end == cursor:
            return _name(code, tokens[:-1], last.text, last.start)
        case _:
            return _name(code, tokens, "", cursor)


def call_at(code: str, cursor: int) -> Call | None:
    """The innermost open call before the cursor."""
    tokens = _before(code, cursor)
    if tokens and tokens[-1].kind == "comment":
        return None
    number, depth, named, first = 0, 0, "", True
    for index in range(len(tokens) - 1, -1, -1):
        text = tokens[index].text
        if text in (")", "]", "}"):
            depth += 1
        elif text in ("(", "[", "{") and depth:
            depth -= 1
        elif text == "(":
            before = tokens[:index]
            if not before or (before[-1].kind != "name" and before[-1].text not in (")", "]")):
                number, named, first = 0, "", False  # only a parenthesis: look further out
                continue
            if before[-1].text in _NO_VALUE or (len(before) > 1 and before[-2].text in ("def", "class")):
                return None
            steps, begin = _path(before)
            return Call(steps, code[begin : before[-1].end], number, named) if begin >= 0 else None
        elif text in ("[", "{"):
            number, named, first = 0, "", False
        elif depth == 0 and text == ",":
            number, first = number + 1, False
        elif depth == 0 and first and text == "=" and index and tokens[index - 1].kind == "name":
            named = tokens[index - 1].text
    return None


def word_at(code: str, cursor: int) -> Word | None:
    """The name under the cursor or just before it, with what stands before its dot."""
    end = cursor
    while end < len(code) and (code[end].isalnum() or code[end] == "_"):
        end += 1
    tokens = _before(code, end)
    if not tokens or tokens[-1].kind != "name" or tokens[-1].end != end or tokens[-1].text in _NO_VALUE:
        return None
    steps, begin = _path(tokens)
    return Word(steps, code[begin:end], tokens[-1].start, end) if begin >= 0 else None


def _before(code: str, cursor: int) -> list[Token]:
    begin = cursor
    for _ in range(LINES):
        begin = code.rfind("\n", 0, begin)
        if begin < 0:
            break
    return tokenize(code[max(0, begin) : cursor], max(0, begin))


def _statement(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens of the last logical line."""
    depth = 0
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        depth += (token.text in (")", "]", "}")) - (token.text in ("(", "[", "{"))
        if depth <= 0 and (token.text == ";" or token.kind == "newline") and not _bracketed(tokens[:index]):
            return tokens[index + 1 :]
    return tokens


def _bracketed(tokens: Sequence[Token]) -> bool:
    """Is a bracket open at the end of these tokens? A keyword at the start of a line says that none is."""
    depth = 0
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if depth > 0:
            return True
        if token.kind == "newline" and index + 1 < len(tokens) and tokens[index + 1].text in ("def", "class", "import"):
            return False
    return False


def _name(code: str, tokens: Sequence[Token], prefix: str, start: int) -> Place:
    """The cursor stands behind ``tokens``, in a word of which ``prefix`` is typed."""
    statement = _statement(tokens)
    if statement and statement[0].text in ("import", "from"):
        return Place("import", prefix, start)
    before = tokens[-1] if tokens else None
    if before is None or before.kind == "newline":
        return Place("name", prefix, start, callee=_callee(code, tokens))
    if before.text == ".":
        steps, begin = _path(tokens[:-1])
        if begin < 0:
            return Place("nothing")
        return Place("attribute", prefix, start, steps, code[begin : before.start].rstrip())
    if before.text in _NEW_NAME:
        return Place("nothing")
    if before.text == "[" and not prefix:
        steps, begin = _path(tokens[:-1])
        if steps is not None:
            return Place("key", "", before.end, steps, code[begin : before.start].rstrip())
    return Place("name", prefix, start, callee=_callee(code, tokens))


def _in_string(code: str, tokens: Sequence[Token]) -> Place:
    """The cursor stands in a string: it may be a key."""
    string, before = tokens[-1], tokens[-2] if len(tokens) > 1 else None
    head = re.match(r"(?i)([rbfut]*)(\"\"\"|'''|\"|')", string.text)
    if head is None or len(head[2]) == 3 or (before and before.kind == "string"):
        return Place("nothing")
    if before is not None and before.text == "[" and not head[1]:
        steps, begin = _path(tokens[:-2])
        if begin >= 0 and code[begin : before.start].strip():
            return Place("key", string.text, string.start, steps, code[begin : before.start].rstrip(), head[2])
    return Place("nothing" if head[1].lower() in ("f", "fr", "rf") else "other", start=string.start + len(head[0]))


def _callee(code: str, tokens: Sequence[Token]) -> tuple[Step, ...] | None:
    if not tokens or tokens[-1].text not in ("(", ","):
        return None
    call = call_at(code, tokens[-1].end)
    return call.steps if call else None


def _path(tokens: Sequence[Token]) -> tuple[tuple[Step, ...] | None, int]:
    """The expression at the end of ``tokens`` and where it begins; -1 when there is none. Its steps are None when it has
    a call or a computed key."""
    steps: list[Step] | None = []
    index = len(tokens) - 1
    while index >= 0:
        token = tokens[index]
        if token.text in ("]", ")"):
            opening = _opening(tokens, index)
            if opening < 0:
                return None, -1
            key = _literal(tokens[opening + 1 : index]) if token.text == "]" else None
            if key is None:
                steps = None
            elif steps is not None:
                steps.append(key)
            before = tokens[opening - 1] if opening else token
            if opening and _is_value(before):
                index = opening - 1
                continue
            return None, tokens[opening].start
        if token.kind == "string":
            return None, token.start
        if token.kind != "name" or token.text in _NO_VALUE:
            return None, -1
        dotted = index > 1 and tokens[index - 1].text == "."
        if steps is not None:
            steps.append(Step("attribute" if dotted else "name", token.text))
        if not dotted:
            return (None if steps is None else tuple(reversed(steps))), token.start
        index -= 2
    return None, -1


def _is_value(token: Token) -> bool:
    """Does a bracket after this token call or subscribe it?"""
    return token.text in ("]", ")") or (token.kind == "name" and token.text not in _NO_VALUE)


def _opening(tokens: Sequence[Token], closing: int) -> int:
    depth = 0
    for index in range(closing, -1, -1):
        depth += (tokens[index].text in (")", "]", "}")) - (tokens[index].text in ("(", "[", "{"))
        if depth == 0:
            return index
    return -1


def _literal(tokens: Sequence[Token]) -> Step | None:
    """The key that a subscript names, when it is a literal."""
    text = " ".join(token.text for token in tokens)
    try:
        value: Any = ast.literal_eval(text.replace("- ", "-"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None  # an expression: only its evaluation would tell
    return Step("key", value) if isinstance(value, str | int | float | bytes | tuple) else None
