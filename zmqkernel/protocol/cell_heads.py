"""The line that begins a cell: its title, kind, depth and facts, as jupytext's percent format writes them.

``# %% title [markdown] key="value" other={"a": 1}``, or the facts as one JSON object.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Literal

import msgspec

Kind = Literal["code", "markdown", "raw"]
KINDS: dict[str, Kind] = {"markdown": "markdown", "raw": "raw", "md": "markdown"}

_MAYBE = re.compile(r"\s*#\s*[%<I]")
_PERCENT = re.compile(r"^\s*#\s*%%(?P<head>%*(?:\s.*)?)$")
_OTHER = re.compile(r"^\s*#\s*(?:<codecell>|In\[[0-9 ]*\]:?)\s*$")
_KEY = re.compile(r"^[\w.@/-]+$", re.ASCII)
_NAME = re.compile(r"^[a-zA-Z_.]+[\w.]*$", re.ASCII)


class Head(msgspec.Struct, frozen=True):
    """What a marker says. ``facts`` are its key=value pairs; a key alone has the value None."""

    title: str = ""
    kind: Kind = "code"
    depth: int = 0
    facts: dict[str, Any] = {}

    @property
    def language(self) -> str:
        """The language of the cell's text, empty for the file's own."""
        language = self.facts.get("language", "")
        return language if isinstance(language, str) and language != "python" else ""

    @property
    def id(self) -> str:
        return self.facts["id"] if isinstance(self.facts.get("id"), str) else ""

    def active(self, suffix: str) -> bool:
        """Is the cell meant for files that end so (``py``, ``ipynb``)?"""
        tags: Any = self.facts.get("tags")
        for tag in tags if isinstance(tags, list) else ():  # pyright: ignore[reportUnknownVariableType]
            if isinstance(tag, str) and tag.startswith("active-"):
                return suffix in tag.split("-")
        active: Any = self.facts.get("active")
        return suffix in re.split(r"[.,]", active) if isinstance(active, str) else True


def read_head(line: str) -> Head | None:
    """The head of a cell, None when the line begins none."""
    if not _MAYBE.match(line):
        return None  # most lines, and this is asked of each at every key
    percent = _PERCENT.match(line)
    if percent:
        return _parsed(percent["head"])
    return Head() if _OTHER.match(line) else None


def _parsed(text: str) -> Head:
    title, facts = _title_and_facts(text.strip())
    kind: Kind = "code"
    for word, meaning in KINDS.items():
        if f"[{word}]" in title:
            title, kind = title.replace(f"[{word}]", "").strip(), meaning
            break
    bare = title.lstrip("%")
    depth = len(title) - len(bare)
    if kind == "code" and not Head(facts=facts).active("ipynb"):
        kind = "raw"
    return Head(bare.strip() if depth else title, kind, depth, facts)


def _title_and_facts(text: str) -> tuple[str, dict[str, Any]]:
    """The title is everything before the last blank before the first ``{`` or ``=``."""
    brace, equals = text.find("{"), text.find("=")
    if brace >= 0 and (equals < 0 or brace < equals):
        try:
            value = _value(text[brace:])
        except (ValueError, SyntaxError):
            value = None  # braces in a title
        return text[:brace].strip(), value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    if equals < 0:
        words = text.split(" ")
    else:
        words = text[:equals].split(" ")
        while words and not words[-1]:
            words.pop()
        words = words[:-1]  # the key
    while words and (not words[-1].strip() or words[-1].startswith(".")):
        words.pop()
    title = " ".join(words)
    return title, _pairs(text[len(title) :])


def _pairs(text: str) -> dict[str, Any]:
    """``key=value other=value``, read from the right because values may hold blanks and ``=``; {} when that fails."""
    text = text.strip()
    if not text:
        return {}
    before, _, last = text.rpartition(" ")
    if not text.startswith("--") and _NAME.match(last):
        return {last: None, **_pairs(before)}
    at = len(text)
    while (at := text.rfind("=", 0, at)) >= 0:
        before, _, key = text[:at].rstrip().rpartition(" ")
        if not _KEY.match(key.strip()):
            continue
        try:
            value = _value(text[at + 1 :])
        except (ValueError, SyntaxError):
            continue  # a "=" inside the value: try a longer one
        return {**_pairs(before), key.strip(): value}
    return {}


def _value(text: str) -> Any:
    """JSON, else a Python literal; ValueError or SyntaxError when it is neither."""
    try:
        return msgspec.json.decode(text.strip())
    except msgspec.DecodeError:
        try:
            return ast.literal_eval(text.strip())
        except (MemoryError, RecursionError):
            raise ValueError("too deep") from None
