"""Which lines an execution's outputs belong to, while the document changes and after the editor has been away.

An anchor moves with the text. When the lines it stands on are deleted or rewritten as a whole it is lost. Where the outputs
of a document go that is opened again is said in ``matching.py``.
"""

from __future__ import annotations

import msgspec

from .documents import Edit, Point


class Anchor(msgspec.Struct):
    """Lines ``first`` to before ``end`` (counted from 0) made ``execution``. ``cell`` stays when the cell is run again.

    ``whole``: they are a whole cell, not a part of one.
    """

    execution: str
    cell: str
    first: int
    end: int
    whole: bool = True

    def covers(self, other: Anchor) -> bool:
        return self.first <= other.first and other.end <= self.end

    def overlaps(self, other: Anchor) -> bool:
        return self.first < other.end and other.first < self.end


class Ran(msgspec.Struct):
    """What the journal says of an execution: the code, where it stood, and its cell's id (none for a selection)."""

    execution: str
    code: str
    line: int
    cell: str = ""
    column: int = 0


class Anchors:
    """The anchors of one document."""

    def __init__(self) -> None:
        self._anchors: dict[str, Anchor] = {}

    @property
    def all(self) -> list[Anchor]:
        return list(self._anchors.values())

    def get(self, execution: str) -> Anchor | None:
        return self._anchors.get(execution)

    def cell_of(self, first: int, end: int | None = None) -> str:
        """The cell id of the anchor that begins (and ends) there, empty when there is none."""
        same = (anchor for anchor in self._anchors.values() if anchor.first == first and end in (None, anchor.end))
        return next((anchor.cell for anchor in same), "")

    def add(self, anchor: Anchor) -> list[str]:
        """Take an anchor; returns the executions whose place it takes: those that lie wholly inside."""
        replaced = [known.execution for known in self._anchors.values() if anchor.covers(known)]
        for execution in replaced:
            del self._anchors[execution]
        self._anchors[anchor.execution] = anchor
        return [execution for execution in replaced if execution != anchor.execution]

    def remove(self, execution: str) -> Anchor | None:
        return self._anchors.pop(execution, None)

    def edit(self, edit: Edit) -> list[str]:
        """Move with an edit; returns the executions whose lines are gone."""
        lost: list[str] = []
        for anchor in list(self._anchors.values()):
            first = moved(anchor.first, edit)
            if first is None:
                lost.append(self._anchors.pop(anchor.execution).execution)
                continue
            end = moved(anchor.end, edit)
            anchor.first, anchor.end = first, max(first + 1, edit.start.line + 1 if end is None else end)
        return lost


def moved(line: int, edit: Edit) -> int | None:
    """Where the beginning of ``line`` is after an edit; None when it went away with the text around it."""
    start, end = edit.start, edit.end
    if Point(line, 0) < start or (line == start.line and end.line == start.line and start.column > 0):
        return line
    if Point(line, 0) >= end:
        return line + edit.added
    # Inside what was replaced. Editors replace far more than they change (a formatter: everything), so look at the lines.
    offset = line - start.line
    if offset in edit.kept:
        return start.line + edit.kept[offset]
    if len(edit.old) == len(edit.new):
        return line
    return None
