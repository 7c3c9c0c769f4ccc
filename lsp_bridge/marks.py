"""Lines that somebody remembers, while the document changes: the cell of a lens, the line of an exception."""

from __future__ import annotations

import itertools

from .anchors import moved
from .documents import Edit


class Marks:
    """Marks of one document. A mark is lost with its line; ``touched`` says whose line's text has changed."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}
        self._touched: set[str] = set()
        self._numbers = itertools.count(1)

    def add(self, line: int) -> str:
        """Remember a line; returns the mark."""
        mark = f"m{next(self._numbers)}"
        self._lines[mark] = line
        return mark

    def line(self, mark: str) -> int | None:
        """Where it is now, None when it is gone."""
        return self._lines.get(mark)

    def at(self, line: int) -> str | None:
        """The mark of a line, if it has one."""
        return next((mark for mark, there in self._lines.items() if there == line), None)

    def touched(self, mark: str) -> bool:
        """Is the line another one than when it was marked, or gone?"""
        return mark in self._touched or mark not in self._lines

    def keep(self, lines: set[int]) -> None:
        """Forget the marks of all other lines."""
        for mark in [mark for mark, line in self._lines.items() if line not in lines]:
            self.remove(mark)

    def remove(self, mark: str) -> None:
        self._lines.pop(mark, None)
        self._touched.discard(mark)

    def edit(self, edit: Edit) -> None:
        """Move with an edit."""
        for mark, line in list(self._lines.items()):
            now = moved(line, edit)
            if now is None:
                self.remove(mark)
                continue
            self._lines[mark] = now
            offset, place = line - edit.start.line, now - edit.start.line
            if 0 <= offset < len(edit.old) and not (0 <= place < len(edit.new) and edit.new[place] == edit.old[offset]):
                self._touched.add(mark)
                if len(edit.old) > 1 or len(edit.new) > 1:
                    self.remove(mark)  # replaced together with its neighbours: nothing says that it is the same line
