"""Where the cursor stands: in a name, after a dot, between brackets, in a string, an import, a magic."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .tokens import OPENERS, Bracket, Token, brackets_around, expression_before, joined, tokenize

LONGEST = 20_000
"""Characters before the cursor that are looked at."""


@dataclass(frozen=True)
class Place:
    """What the cursor stands in.

    ``kind``: name, attribute, key, string, path, import, from, magic, magic argument or nothing. ``prefix`` is what was typed
    of it, from ``start`` on. ``source`` is the expression before the dot or bracket, the module before the dot, a magic's
    percent signs or its name.
    """

    kind: str
    prefix: str = ""
    start: int = 0
    source: str = ""
    quote: str = ""
    flags: str = ""
    """The letters before the quote."""
    earlier: str = ""
    """Of a key: what stands between the bracket and the last comma."""
    is_listed: bool = False
    """In a list (or the like) between the brackets: more items may follow."""
    position: int = 0
    """Of a key: the number of commas before it."""
    brackets: Sequence[Bracket] = field(default_factory=tuple[Bracket, ...])
    tokens: Sequence[Token] = field(default_factory=tuple[Token, ...])
    """The tokens before it."""


PYTHON_CELL_MAGICS = ("time", "timeit", "capture", "prun", "memit", "mprun")
NO_NAME_AFTER = {"def", "class", "as", "for", "global", "nonlocal"}
_CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*\n")
_MAGIC = re.compile(r"(?:^\s*|=\s*)(%{1,2})(\w*)$")
_IN_MAGIC = re.compile(r"(?:^\s*|=\s*)(%{1,2})(\w+)[ \t]+(.*)$")
_SHELL = re.compile(r"(?:^\s*|=\s*)!{1,2}")
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
    tokens = tokenize(code[(begin := _near(code, begin, cursor)) : cursor], begin)
    if not (tokens and tokens[-1].kind == "open" and tokens[-1].start < line_start):
        if magic := _MAGIC.search(line):
            return Place("magic", magic.group(2), cursor - len(magic.group(2)), source=magic.group(1))
        if _SHELL.search(line):
            word = _WORD.search(line)
            prefix = word.group() if word else ""
            return Place("path", prefix, cursor - len(prefix))
        if magic := _IN_MAGIC.search(line):
            return _in_magic(magic, code, line_start, cursor)
    return _place_in(tokens, code, cursor)


def _near(code: str, begin: int, cursor: int) -> int:
    """Where to begin reading: in a long cell at the first unindented line that is near enough."""
    if cursor - begin <= LONGEST:
        return begin
    found = re.compile(r"^(?=\w)", re.MULTILINE).search(code, cursor - LONGEST, cursor)
    return found.start() if found else begin


def _in_magic(magic: re.Match[str], code: str, line_start: int, cursor: int) -> Place:
    """Behind the name of a magic: its argument, or Python code."""
    at = line_start + magic.start(3)
    rest = magic.group(3)
    word = _WORD.search(rest)
    prefix = word.group() if word else ""
    if magic.group(2) in PYTHON_CELL_MAGICS and not prefix.startswith("-"):
        return _place_in(tokenize(code[at:cursor], at), code, cursor)
    inner = _place_in(tokenize(code[at:cursor], at), code, cursor)
    return Place(
        "magic argument",
        prefix,
        cursor - len(prefix),
        source=magic.group(1) + magic.group(2),
        earlier=rest[: len(rest) - len(prefix)],
        brackets=inner.brackets,
        tokens=tokenize(code[at:cursor], at),
    )


def place_of_code(place: Place, code: str, cursor: int) -> Place:
    """The place in the Python code that a magic's argument is."""
    return _place_in(list(place.tokens), code, cursor)


def _place_in(tokens: list[Token], code: str, cursor: int) -> Place:
    last = tokens[-1] if tokens else None
    if last and last.kind in ("comment", "string") and last.end == cursor:
        return Place("nothing")
    tokens = joined(tokens)
    last = tokens[-1] if tokens else None
    if last and last.kind == "open":
        return _in_string(tokens, code, cursor)
    if last and last.kind == "number" and last.end == cursor:
        return _in_key(tokens[:-1], last.text, last.start, code)
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
    if not prefix and previous and previous.text in ("[", ",", "-"):
        key = _in_key(before, "", start, code)
        if key.kind == "key":
            return key
    return Place("name", prefix, start, brackets=brackets_around(before, code), tokens=before)


def _in_key(before: Sequence[Token], prefix: str, start: int, code: str) -> Place:
    """A number, or nothing yet, between the brackets of a subscript."""
    if before and before[-1].text == "-" and len(before) > 1 and before[-2].text in ("[", ",", "("):
        prefix, start, before = code[before[-1].start : start] + prefix, before[-1].start, before[:-1]
    brackets = brackets_around(before, code)
    if not (brackets and before[-1].text in ("[", ",") and brackets[0].text == "[" and brackets[0].source):
        return Place("nothing")
    inner = brackets[0]
    return Place("key", prefix, start, inner.source, earlier=_earlier(inner, before, code), position=inner.position)


def _earlier(bracket: Bracket, before: Sequence[Token], code: str) -> str:
    return code[bracket.start : before[-1].end] if bracket.position else ""


def _in_string(tokens: list[Token], code: str, cursor: int) -> Place:
    string = tokens[-1]
    opening = re.match(r"(\w*)(\"\"\"|'''|.)", string.text)
    assert opening is not None  # the tokenizer has just matched this
    flags, quote = opening.groups()
    start = string.start + opening.end()
    content = code[start:cursor]
    if "f" in flags.lower():
        opened = content.replace("{{", "  ").rfind("{")
        if opened >= 0 and "}" not in content[opened:]:
            at = start + opened + 1
            return _place_in(tokenize(code[at:cursor], at), code, cursor)
    if len(quote) == 3 or "\n" in content:
        return Place("nothing")
    before = tokens[:-1]
    brackets = brackets_around(before, code)
    place = Place("string", content, start, quote=quote, flags=flags.lower(), brackets=brackets, tokens=before)
    begins = bool(before) and before[-1].text in ("[", ",", "(")
    if not (begins and brackets):
        return place
    listed = brackets[0].text in "[(" and not brackets[0].source and len(brackets) > 1
    subscript = brackets[1] if listed else brackets[0]
    own = brackets[0] if brackets[0].text == "(" else None
    if subscript.text != "[" or not subscript.source:
        return place
    return Place(
        "key",
        content,
        start,
        subscript.source,
        quote,
        flags.lower(),
        _earlier(own or subscript, before, code) if own or not listed else "",
        listed,
        subscript.position,
    )


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
        if token.kind == "newline" or (token.text in (";", ":") and not depth):
            break
        words.append(token.text)
    return words[::-1]


def literals(source: str) -> list[object] | None:
    """The values of ``'a', 1,`` before the cursor; None when they are no literals."""
    try:
        value = ast.literal_eval(f"[{source}]")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None  # an expression, or half-typed
    return list(value)
