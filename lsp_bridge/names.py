"""Names in a text, line by line: which words there are, and which of them the text itself binds.

No parser: half-typed code has to give an answer in a fraction of a millisecond. A line that did not change is not looked at
again.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from functools import lru_cache

from .merge import Item

LINES = 50_000
"""Different lines that are remembered."""

_WORD = re.compile(r"[^\W\d]\w*")
_BINDS = re.compile(
    r"^\s*(?:async\s+)?(?:def\s+(?P<made>\w+)(?P<parameters>[^:]*.*)|class\s+(?P<type>\w+))"
    r"|^\s*(?:from\s+[\w.]+\s+)?import\s+(?P<imported>[^#;]*)"
    r"|^\s*(?P<targets>[\w\s,.*()\[\]]+?)\s*(?::[^=]+)?=(?!=)"
    r"|\bfor\s+(?P<each>[\w\s,()*]+?)\s+in\b"
    r"|\bas\s+(?P<alias>\w+)"
    r"|(?P<walrus>\w+)\s*:="
)
_PLAIN = re.compile(r"(?<![\w.])([^\W\d]\w*)(?!\w|\s*[.\[(=])")
_CALL = re.compile(r"\w\s*\(")
_PARAMETER = re.compile(r"[(,*\s]([^\W\d]\w*)\s*(?=[:=,)])")
_IMPORTED = re.compile(r"([^\W\d]\w*)(?:\.[\w.]+)?(?:\s+as\s+(\w+))?")


@lru_cache(LINES)
def words_of(line: str) -> frozenset[str]:
    """All words of a line."""
    return frozenset(_WORD.findall(line))


@lru_cache(LINES)
def bound_by(line: str) -> frozenset[str]:
    """The names that a line binds."""
    names: set[str] = set()
    for match in _BINDS.finditer(line):
        names.update(filter(None, (match["made"], match["type"], match["alias"], match["walrus"])))
        names.update(_PARAMETER.findall(match["parameters"] or ""))
        names.update(alias or name for name, alias in _IMPORTED.findall(match["imported"] or ""))
        if not _CALL.search(match["targets"] or ""):
            names.update(_PLAIN.findall((match["targets"] or "") + " "))
        names.update(_PLAIN.findall((match["each"] or "") + " "))
    return frozenset(name for name in names if not keyword.iskeyword(name))


@lru_cache(LINES)
def _made_by(line: str) -> frozenset[str]:
    names: set[str] = set()
    for match in _BINDS.finditer(line):
        names.update(filter(None, (match["made"], match["type"])))
        names.update(alias or name for name, alias in _IMPORTED.findall(match["imported"] or ""))
    return frozenset(names)


def made_in(lines: Iterable[str]) -> frozenset[str]:
    """The functions, classes and modules of a text: all that there is to say about them stands in it, or in a module's."""
    return frozenset[str]().union(*map(_made_by, lines))


def words_in(lines: Iterable[str]) -> frozenset[str]:
    """All words of a text."""
    return frozenset[str]().union(*map(words_of, lines))


def bound_in(lines: Iterable[str]) -> frozenset[str]:
    """The names that a text binds."""
    return frozenset[str]().union(*map(bound_by, lines))


LANGUAGE = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | frozenset(keyword.softkwlist)


@lru_cache(1)
def language_items() -> list[Item]:
    """Keywords and built-ins."""
    keywords = [Item(word, "keyword", source="static") for word in keyword.kwlist]
    return keywords + [
        Item(name, "class" if isinstance(value, type) else "function", source="static")
        for name, value in vars(builtins).items()
        if not name.startswith("_") and not keyword.iskeyword(name)
    ]
