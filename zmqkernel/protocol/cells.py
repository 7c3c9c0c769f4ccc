"""Cells of a ``.py`` file (jupytext's percent format, Spyder's and old IPython's markers) and of a notebook.

https://jupytext.readthedocs.io/en/latest/formats-scripts.html#the-percent-format

A marker is a comment line ``# %%``, ``# %% title``, ``# %% title [markdown] key="value"``, ``# In[3]:`` or ``# <codecell>``.
``# %%time`` is no marker but a commented magic. A marker inside a string is text. The text before the first marker is cell 0,
so the first marker always begins cell 1. Lines end at ``\\n``, ``\\r\\n`` or ``\\r`` and nowhere else (LSP and Python agree).
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from .errors import ZmqKernelError

Kind = Literal["code", "markdown", "raw"]
KINDS: dict[str, Kind] = {"markdown": "markdown", "md": "markdown", "raw": "raw"}

_NEWLINE = re.compile(r"\r\n|\n|\r")
_PERCENT = re.compile(r"^\s*#\s*%%(%*)(\s.*)?$")
_OTHER = re.compile(r"^\s*#\s*(?:<codecell>|In\[[0-9 ]*\]:?)\s*$")
_HEAD = re.compile(
    r"^(?P<title>.*?)\s*(?:\[(?P<kind>markdown|md|raw|code)\])?\s*(?P<options>\{.*\}|[A-Za-z_][\w.-]*=[\"'\[{\dtfnTFN].*)?$"
)
_OPTION = re.compile(r"[\"']?\b(id|language)[\"']?\s*[=:]\s*[\"']([^\"']*)[\"']")
_LEXEME = re.compile(
    r"#[^\r\n]*"
    r"|(?P<long>\"\"\"|''')(?:\\.|(?!(?P=long)).)*(?P<end>(?P=long))?"
    r"|\"(?:\\.|[^\"\\\r\n])*\"|'(?:\\.|[^'\\\r\n])*'",
    re.DOTALL,
)
_MAGIC = re.compile(r"^# ?(?=%{1,2}[A-Za-z]|![A-Za-z./~$]|[A-Za-z_][\w.]*\s*=\s*[%!][A-Za-z])")


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. Lines count from 0; ``end_line`` is the first line that no longer belongs to it.

    ``source`` is the text without marker and without blank lines around it, and begins at ``first_code_line``.
    ``code`` is what is to be executed: ``source`` with commented magics uncommented, empty for other kinds than ``code``.
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


def split(text: str) -> list[Cell]:
    """The cells of a ``.py`` file. Cell 0 is left out when there is nothing but white space before the first marker."""
    lines, starts = split_lines(text)
    inside = _lines_in_strings(text, starts)
    marks = [(n, _marker(line)) for n, line in enumerate(lines) if n not in inside]
    marks = [(n, head) for n, head in marks if head is not None]
    cells: list[Cell] = []
    first = marks[0][0] if marks else len(lines)
    if any(line.strip() for line in lines[:first]):
        cells.append(_cell(0, 0, first, lines, inside, None))
    for index, (start, head) in enumerate(marks, 1):
        end = marks[index][0] if index < len(marks) else len(lines)
        cells.append(_cell(index, start, end, lines, inside, head))
    return cells


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


def _marker(line: str) -> str | None:
    """The text after ``%%`` of a marker, None when the line is none."""
    percent = _PERCENT.match(line)
    if percent:
        return (percent[2] or "").strip()
    return "" if _OTHER.match(line) else None


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


def _cell(index: int, start: int, end: int, lines: list[str], inside: set[int], head: str | None) -> Cell:
    found = _HEAD.match(head or "")
    title, options = (found["title"], found["options"] or "") if found else ("", "")
    kind: Kind = KINDS.get((found["kind"] if found else None) or "", "code")
    facts = dict(_OPTION.findall(options))
    first, last = start if head is None else start + 1, end
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    code = ""
    language = facts.get("language", "")
    if kind == "code" and language and language != "python" and first > start:
        # jupytext keeps a %%bash cell as comments; the magic takes the marker's line, so that lines still agree.
        body = [re.sub(r"^# ?", "", line) for line in lines[start + 1 : last]]
        code, first = "\n".join([f"%%{language}", *body]), start
    elif kind == "code":
        code = "\n".join(
            line if n in inside else _MAGIC.sub("", line) for n, line in enumerate(lines[first:last], first)
        )
    return Cell(
        index=index,
        start_line=start,
        end_line=end,
        title=title,
        kind=kind,
        source="\n".join(lines[first:last]),
        first_code_line=first,
        code=code,
        id=facts.get("id", ""),
    )
