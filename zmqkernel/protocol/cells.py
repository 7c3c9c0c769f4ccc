"""Cells of a ``.py`` file (jupytext's percent format, Spyder's and old IPython's markers) and of a notebook.

https://jupytext.readthedocs.io/en/latest/formats-scripts.html#the-percent-format

A marker is a comment line ``# %%``, ``# %% title``, ``# %% title [markdown] key="value"``, ``# In[3]:`` or ``# <codecell>``.
``# %%time`` is no marker but a commented magic. A marker inside a string, or inside a fenced block of a text cell, is text.
The text before the first marker is cell 0, so the first marker always begins cell 1. Lines end at ``\\n``, ``\\r\\n`` or
``\\r`` and nowhere else (LSP and Python agree).

What jupytext has otherwise: it reads strings line by line (``'\\\\'`` opens one for it); it cuts lines at form feeds; it writes
``# %%%`` and does not read it; an unfinished string swallows its cells; comments that begin with a word like ``rm`` are commands.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .cell_heads import KINDS, Head, Kind, read_head
from .cell_magics import uncommented, without_comment
from .errors import ZmqKernelError

_NEWLINE = re.compile(r"\r\n|\n|\r")
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_IN_QUOTES = re.compile(r"^\s*[rR]?(?P<long>\"\"\"|''')\n?(?P<code>.*?)\n?(?P=long)\s*$", re.DOTALL)
_LEXEME = re.compile(
    r"#[^\r\n]*"
    r"|(?P<long>\"\"\"|''')(?:\\.|(?!(?P=long)).)*(?P<end>(?P=long))?"
    r"|\"(?:\\\r\n|\\.|[^\"\\\r\n])*\"|'(?:\\\r\n|\\.|[^'\\\r\n])*'",
    re.DOTALL,
)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. Lines count from 0; ``end_line`` is the first line that no longer belongs to it.

    ``source`` is the text without marker and without blank lines around it, and begins at ``first_code_line``.
    ``code`` is what is to be executed: ``source`` with commented magics uncommented, empty for other kinds than ``code``.
    ``depth`` counts the ``%`` beyond the two: cells inside a cell.
    """

    index: int
    start_line: int
    end_line: int
    title: str = ""
    kind: Kind = "code"
    source: str = ""
    first_code_line: int = 0
    code: str = ""
    id: str = ""
    depth: int = 0


def split(text: str) -> list[Cell]:
    """The cells of a ``.py`` file. Cell 0 is left out when there is nothing but white space before the first marker."""
    lines, starts = split_lines(text)
    inside = _lines_in_strings(text, starts)
    marks = _marks(lines, inside)
    cells: list[Cell] = []
    first = marks[0][0] if marks else len(lines)
    if any(line.strip() for line in lines[:first]):
        cells.append(_cell(0, 0, first, lines, inside, None))
    for index, (start, head) in enumerate(marks, 1):
        end = marks[index][0] if index < len(marks) else len(lines)
        cells.append(_cell(index, start, end, lines, inside, head))
    return cells


def quoted_lines(text: str) -> set[int]:
    """The lines that begin inside a string."""
    return _lines_in_strings(text, split_lines(text)[1])


def cell_at(cells: list[Cell], line: int) -> Cell | None:
    """The cell that holds a line (from 0)."""
    return next((cell for cell in cells if cell.start_line <= line < cell.end_line), None)


def split_lines(text: str) -> tuple[list[str], list[int]]:
    """Lines without their ends, and the offset at which each begins."""
    lines, starts, at = list[str](), [0], 0
    for match in _NEWLINE.finditer(text):
        lines.append(text[at : match.start()])
        at = match.end()
        starts.append(at)
    lines.append(text[at:])
    return lines, starts


def split_notebook(text: str | bytes) -> list[Cell]:
    """The cells of an ``.ipynb``; a cell has no place in lines, so its lines are 0. Its number is its place, from 0."""
    try:
        notebook = msgspec.json.decode(text, type=_Notebook)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ZmqKernelError(f"not a notebook: {error}", hint="zmqkernel reads nbformat 4.") from None
    cells: list[Cell] = []
    for index, cell in enumerate(notebook.cells):
        source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
        kind: Kind = KINDS.get(cell.cell_type, "code")
        code = source if kind == "code" else ""
        cells.append(Cell(index=index, start_line=0, end_line=0, kind=kind, source=source, code=code, id=cell.id))
    return cells


class _NotebookCell(msgspec.Struct):
    cell_type: str
    source: str | list[str] = ""
    id: str = ""
    metadata: dict[str, Any] = {}


class _Notebook(msgspec.Struct):
    cells: list[_NotebookCell]


def _marks(lines: list[str], inside: set[int]) -> list[tuple[int, Head]]:
    """The lines that begin cells."""
    marks: list[tuple[int, Head]] = []
    kind: Kind = "code"
    fence: str | None = None
    for number, line in enumerate(lines):
        if number in inside:
            continue
        head = read_head(line)
        if kind != "code" and (not head or fence):
            text = without_comment(line)
            if fence and _closes(text, fence):
                fence = None
            elif not fence:
                fence = _opened(text, lines, number + 1)
        elif head:
            kind = head.kind
            marks.append((number, head))
    return marks


def _opened(text: str, lines: list[str], start: int) -> str | None:
    """The fence that a line of a text cell opens, if any line from ``start`` on closes it."""
    match = _FENCE.match(text)
    if not match or (match["fence"][0] == "`" and "`" in match["info"]):
        return None
    fence = match["fence"]
    return fence if any(_closes(without_comment(line), fence) for line in lines[start:]) else None


def _closes(text: str, fence: str) -> bool:
    match = _FENCE.match(text)
    return bool(match) and match["fence"].startswith(fence) and not match["info"].strip()


def _lines_in_strings(text: str, starts: list[int]) -> set[int]:
    """The lines that begin inside a string.

    A string that never ends is code somebody is typing: then quotes say nothing, and every marker counts.
    A scan of our own, because tokenize gives up on magics and differs between Python versions.
    """
    inside: set[int] = set()
    line = 0
    for match in _LEXEME.finditer(text):
        if match["long"] and match["end"] is None:
            return set()
        while line < len(starts) and starts[line] <= match.start():
            line += 1
        while line < len(starts) and starts[line] < match.end():
            inside.add(line)
            line += 1
    return inside


def _for_notebooks(text: str, first: int) -> tuple[str, int]:
    """The code of a cell that a script does not run, kept there in a string or in comments, and its first line."""
    quoted = _IN_QUOTES.match(text)
    if not quoted:
        return "\n".join(map(without_comment, text.split("\n"))), first
    return quoted["code"], first + text[: quoted.start("code")].count("\n")


def _cell(index: int, start: int, end: int, lines: list[str], inside: set[int], head: Head | None) -> Cell:
    about = head or Head()
    first, last = start if head is None else start + 1, end
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    code, code_line = "", first
    if about.kind == "code" and about.language:
        # jupytext keeps a %%bash cell as comments; the magic takes the marker's line, so that lines still agree.
        words = ("%%" + about.language, about.facts.get("magic_args"))
        body = [without_comment(line) for line in lines[start + 1 : last]]
        code, code_line = "\n".join([" ".join(word for word in words if isinstance(word, str)), *body]), start
    elif about.kind == "code" and not about.active("py"):
        code, code_line = _for_notebooks("\n".join(lines[first:last]), first)
    elif about.kind == "code":
        code = "\n".join(uncommented(lines[first:last], [number in inside for number in range(first, last)]))
    return Cell(
        index=index,
        start_line=start,
        end_line=end,
        title=about.title,
        kind=about.kind,
        source="\n".join(lines[first:last]),
        first_code_line=code_line,
        code=code,
        id=about.id,
        depth=about.depth,
    )
