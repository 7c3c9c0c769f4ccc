"""The text of open documents, as the editor has it.

LSP knows three line ends: ``\\n``, ``\\r\\n`` and ``\\r``. Python's ``str.splitlines`` knows eight more characters; one of
them in a document, and an edit would land on another line than in the editor: the wrong code would run. So text is cut
here, and nowhere else. Inside the bridge columns count code points; positions of the editor count in its encoding.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal, NamedTuple

from .line_diff import kept_lines
from .structures import ContentChange, Position, Range

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n|\n|\r")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Point(NamedTuple):
    """A place in a document: line and column from 0, columns in code points."""

    line: int
    column: int


@dataclass(frozen=True)
class Edit:
    """What a change did to lines: the text from ``start`` to ``end`` gave way; ``old`` and ``new`` are the lines from
    ``start.line`` on that it touched, before and after."""

    start: Point
    end: Point
    old: list[str]
    new: list[str]

    @property
    def added(self) -> int:
        """How many lines more there are below the edit; negative when there are fewer."""
        return len(self.new) - len(self.old)

    @cached_property
    def kept(self) -> dict[int, int]:
        """The touched lines that are still there: their place in ``old``, and in ``new``."""
        return kept_lines(self.old, self.new)


def split_lines(text: str) -> list[str]:
    """Lines with their ends; the last has none and may be empty."""
    lines: list[str] = []
    start = 0
    for match in _LINE_END.finditer(text):
        lines.append(text[start : match.end()])
        start = match.end()
    lines.append(text[start:])
    return lines


def column_of(line: str, character: int, encoding: Encoding) -> int:
    """Code points before ``character`` in ``line`` (without its end); past the end is the end, inside a character its start."""
    if encoding == "utf-32" or line.isascii():
        return min(character, len(line))
    width = _width_8 if encoding == "utf-8" else _width_16
    seen = 0
    for index, char in enumerate(line):
        seen += width(char)
        if seen > character:
            return index
    return len(line)


def character_of(line: str, column: int, encoding: Encoding) -> int:
    """The inverse of :func:`column_of`."""
    before = line[:column]
    if encoding == "utf-32" or before.isascii():
        return len(before)
    return sum(map(_width_8 if encoding == "utf-8" else _width_16, before))


def _width_8(char: str) -> int:
    number = ord(char)
    return 1 if number < 0x80 else 2 if number < 0x800 else 3 if number < 0x10000 else 4


def _width_16(char: str) -> int:
    return 2 if ord(char) > 0xFFFF else 1


class Document:
    """One open document. ``uri`` is the editor's name for it, ``version`` the editor's count of changes."""

    def __init__(self, uri: str, text: str, version: int, encoding: Encoding) -> None:
        self.uri = uri
        self.version = version
        self.encoding: Encoding = encoding
        self.lines = split_lines(text)
        self._text: str | None = text
        self._starts: list[int] | None = None

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = "".join(self.lines)
        return self._text

    def apply(self, change: ContentChange) -> Edit:
        """Take one change of a didChange; says which lines moved."""
        if change.range is None:
            start, end = Point(0, 0), self.end
        else:
            start, end = sorted((self.point(change.range.start), self.point(change.range.end)))
        head = self.lines[start.line][: start.column]
        tail = self.lines[end.line][end.column :]
        text = head + change.text + tail
        if _SURROGATE.search(text):
            # Half of a pair came before the other half: two changes of the editor make one character.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        # A "\r" and a "\n" that have just become neighbours are one line end, so the neighbours are cut again too.
        first, last = max(0, start.line - 1), min(len(self.lines) - 1, end.line + 1)
        before = self.lines[first] if first < start.line else ""
        after = self.lines[last] if last > end.line else ""
        region = split_lines(before + text + after)
        if last + 1 < len(self.lines):
            region.pop()  # the region ends in a line end: what split_lines found after it is the next line's beginning
        old = self.lines[first : last + 1]
        self.lines[first : last + 1] = region
        self._text = self._starts = None
        return _edit(start, end, first, old, region)

    @property
    def end(self) -> Point:
        return Point(len(self.lines) - 1, len(self.lines[-1]))

    def content(self, line: int) -> str:
        """A line without its end."""
        return self.lines[line].rstrip("\r\n")

    def point(self, position: Position) -> Point:
        """Where the editor's position is; past the end of a line is its end, past the last line the end of the text."""
        if position.line >= len(self.lines):
            return self.end
        line = max(0, position.line)
        return Point(line, column_of(self.content(line), position.character, self.encoding))

    def position(self, point: Point) -> Position:
        """The editor's name for ``point``."""
        if point.line >= len(self.lines):
            return self.position(self.end)
        return Position(point.line, character_of(self.content(point.line), point.column, self.encoding))

    def lines_range(self, first: int, end: int) -> Range:
        """From the start of line ``first`` to the end of the last line before ``end``, for the editor."""
        last = max(first, end - 1)
        column = len(self.content(last)) if last < len(self.lines) else 0
        return Range(Position(first, 0), self.position(Point(last, column)))

    def slice(self, start: Point, end: Point) -> str:
        """The text between two points."""
        if start.line == end.line:
            return self.lines[start.line][start.column : end.column]
        middle = self.lines[start.line + 1 : end.line]
        return "".join([self.lines[start.line][start.column :], *middle, self.lines[end.line][: end.column]])

    def offset(self, point: Point) -> int:
        """Code points before ``point``."""
        return self._line_starts()[point.line] + point.column

    def at_offset(self, offset: int) -> Point:
        """The inverse of :meth:`offset`; past the end is the end."""
        starts = self._line_starts()
        line = bisect.bisect_right(starts, max(0, offset)) - 1
        return Point(line, min(max(0, offset) - starts[line], len(self.content(line))))

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *accumulate(map(len, self.lines[:-1]))]
        return self._starts


def _edit(start: Point, end: Point, first: int, old: list[str], new: list[str]) -> Edit:
    """Leave out the neighbour before the edit where it has stayed as it was."""
    if first < start.line and new and new[0] == old[0]:
        return Edit(start, end, old[1:], new[1:])
    return Edit(Point(first, 0), end, old, new)
