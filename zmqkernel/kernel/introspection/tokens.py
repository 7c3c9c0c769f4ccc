"""Where the cursor stands in half-typed code: a small tokenizer that never fails, and what it tells.

Offsets count code points, as Jupyter's ``cursor_pos`` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """What the cursor stands in.

    ``kind``: name, attribute, key, path, import, from, magic or nothing. ``prefix`` is what was typed of it, from ``start``
    on. ``source`` is the expression before the dot or bracket, the module before the dot, or a magic's percent signs.
    """

    kind: str
    prefix: str = ""
    start: int = 0
    source: str = ""
    quote: str = ""
    call: str = ""
    """The callee, when an argument of a call begins here."""


PYTHON_CELL_MAGICS = ("time", "timeit", "capture", "prun", "memit", "mprun")
NO_NAME_AFTER = {"def", "class", "as", "for", "global", "nonlocal"}
_CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*\n")
_MAGIC = re.compile(r"(?:^\s*|=\s*)(%{1,2})(\w*)$")
_AFTER_LINE_MAGIC = re.compile(r"\s*%\w+[ \t]+")
_SHELL = re.compile(
    r"(?:^\s*|=\s*)!{1,2}|^\s*%(?:cd|run|load|save|writefile|env|pip|conda|ls|mkdir|rm|cat|sx|system)\b"
)
_WORD = re.compile(r"[^\s'\"=]*$")


def place_at(code: str, cursor: int) -> Place:
    """The place of the cursor in ``code``."""
    begin = 0
    cell = _CELL_MAGIC.match(code[:cursor])
    if cell:
        if cell.group(1) not in PYTHON_CELL_MAGICS:
            return Place("nothing")
        begin = cell.end()
    line_start = max(begin, code.rfind("\n", 0, cursor) + 1)
    line = code[line_start:cursor]
    tokens = tokenize(code[begin:cursor], begin)
    if not (tokens and tokens[-1].kind == "open" and tokens[-1].start < line_start):
        if magic := _MAGIC.search(line):
            return Place("magic", magic.group(2), cursor - len(magic.group(2)), source=magic.group(1))
        if _SHELL.search(line):
            word = _WORD.search(line)
            prefix = word.group() if word else ""
            return Place("path", prefix, cursor - len(prefix))
        if skipped := _AFTER_LINE_MAGIC.match(line):
            at = line_start + skipped.end()
            return _place_in(tokenize(code[at:cursor], at), code, cursor)
    return _place_in(tokens, code, cursor)


def _place_in(tokens: list[Token], code: str, cursor: int) -> Place:
    last = tokens[-1] if tokens else None
    if last and last.kind in ("comment", "number", "string") and last.end == cursor:
        return Place("nothing")
    if last and last.kind == "open":
        return _in_string(tokens, code, cursor)
    typed = last if last and last.kind == "name" and last.end == cursor else None
    before = tokens[:-1] if typed else tokens
    prefix, start = (typed.text, typed.start) if typed else ("", cursor)
    found = _in_import(before, prefix, start)
    if found:
        return found
    previous = before[-1] if before else None
    if previous and previous.text == ".":
        source = expression_before(before[:-1], code)
        return Place("attribute", prefix, start, source) if source else Place("nothing")
    if previous and previous.kind == "name" and previous.text in NO_NAME_AFTER:
        return Place("nothing")
    if previous and previous.text == "[" and not prefix and (source := expression_before(before[:-1], code)):
        return Place("key", "", start, source)
    return Place("name", prefix, start, call=_callee(before, code))


def _in_string(tokens: list[Token], code: str, cursor: int) -> Place:
    string = tokens[-1]
    opening = re.match(r"(\w*)(\"\"\"|'''|.)", string.text)
    assert opening is not None  # the tokenizer has just matched this
    flags, quote = opening.groups()
    start = string.start + opening.end()
    content = code[start:cursor]
    if "f" in flags.lower():
        field = content.replace("{{", "  ").rfind("{")
        if field >= 0 and "}" not in content[field:]:
            at = start + field + 1
            return _place_in(tokenize(code[at:cursor], at), code, cursor)
    before = tokens[:-1]
    if before and before[-1].text == "[" and len(quote) == 1:
        source = expression_before(before[:-1], code)
        if source:
            return Place("key", content, start, source, quote)
    is_argument = bool(before) and before[-1].text == "("
    if len(quote) == 3 or "\n" in content or not (content or is_argument):
        return Place("nothing")
    return Place("path", content, start, quote=quote)


def _in_import(before: Sequence[Token], prefix: str, start: int) -> Place | None:
    """``import a.b`` and ``from a.b import c``, also in parentheses over several lines."""
    words = _statement(before)
    if not words or words[0] not in ("import", "from"):
        return None
    if words[0] == "import":
        part = words[1:]
        while "," in part:
            part = part[part.index(",") + 1 :]
        if "as" in part:
            return Place("nothing")
        return Place("import", prefix, start, "".join(part).rstrip("."))
    if "import" not in words:
        module = "".join(words[1:])
        if prefix and module and not module.endswith("."):
            return Place("nothing")  # ``from a impo``: the keyword
        return Place("import", prefix, start, module[:-1] if module.strip(".") else module)
    at = words.index("import")
    if words[-1] not in ("import", ",", "("):
        return Place("nothing")
    return Place("from", prefix, start, "".join(words[1:at]))


def _statement(tokens: Sequence[Token]) -> list[str]:
    """The words of the statement at the end of ``tokens``."""
    depth, words = 0, list[str]()
    for token in reversed(tokens):
        if token.text in OPENERS:
            depth += 1
        elif token.text in "([{" and depth:
            depth -= 1
        if token.kind == "newline" and not _is_in_parentheses_of_import(tokens, token):
            break
        if token.text == ";" and not depth:
            break
        if token.text == ":" and not depth:
            break
        if token.kind not in ("newline", "comment"):
            words.append(token.text)
    return words[::-1]


def _is_in_parentheses_of_import(tokens: Sequence[Token], newline: Token) -> bool:
    depth = 0
    for at in range(len(tokens) - 1, -1, -1):
        token = tokens[at]
        if token.start >= newline.start:
            continue
        if token.text == ")":
            depth += 1
        elif token.text == "(":
            if depth == 0:
                return at > 0 and tokens[at - 1].text == "import"
            depth -= 1
    return False


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


def _callee(tokens: Sequence[Token], code: str) -> str:
    """The function whose argument begins after ``tokens``, as source."""
    tokens = [token for token in tokens if token.kind not in ("newline", "comment")]
    if not tokens or tokens[-1].text not in ("(", ","):
        return ""
    return callee_around(tokens, code)


def callee_around(tokens: Sequence[Token], code: str) -> str:
    """The function in whose parentheses ``tokens`` end, as source."""
    depth = 0
    for at in range(len(tokens) - 1, -1, -1):
        token = tokens[at]
        if token.kind != "op":
            continue
        if token.text in OPENERS:
            depth += 1
        elif token.text in "([{":
            if depth == 0:
                return expression_before(tokens[:at], code) if token.text == "(" else ""
            depth -= 1
    return ""
