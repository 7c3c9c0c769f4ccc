"""Which lines an execution's outputs belong to, while the document changes and after the editor has been away.

An anchor moves with the text. When the lines it stands on are deleted or rewritten as a whole it is lost, and so it is
when nothing in a reopened document is exactly what was executed: outputs never show at code that did not make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

import msgspec

from zmqkernel.protocol.cells import Cell

from .documents import Edit, Point


class Anchor(msgspec.Struct):
    """Lines ``first`` to before ``end`` (counted from 0) made ``execution``. ``cell`` stays when the cell is run again."""

    execution: str
    cell: str
    first: int
    end: int

    def covers(self, other: Anchor) -> bool:
        return self.first <= other.first and other.end <= self.end

    def overlaps(self, other: Anchor) -> bool:
        return self.first < other.end and other.first < self.end


class Ran(msgspec.Struct):
    """What the journal says of an execution: the code, the line where it stood and its cell's id."""

    execution: str
    code: str
    line: int
    cell: str = ""


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
    matcher = SequenceMatcher(None, edit.old, edit.new, autojunk=False)
    for old, new, size in matcher.get_matching_blocks():
        if old <= offset < old + size:
            return start.line + new + offset - old
    if len(edit.old) == len(edit.new):
        return line
    return None


def match(
    ran: Iterable[Ran], lines: Sequence[str], cells: Sequence[Cell], taken: Iterable[Anchor]
) -> tuple[list[Anchor], list[str], list[str]]:
    """Give executions, newest first, the places in a document (lines without ends) whose text is exactly their code.

    The places of ``taken`` belong to newer executions.

    Returns anchors, the executions that are out of date (a newer one has their place, cell or code), and those that
    belong nowhere in this text.
    """
    anchors: list[Anchor] = []
    old: list[str] = []
    nowhere: list[str] = []
    occupied = list(taken)
    seen: set[object] = {anchor.cell for anchor in occupied}
    for one in ran:
        # The id of a cell, else its code and line: twins with the same code are told apart by where they stood.
        identity = one.cell or (one.code, one.line)
        places = [Anchor(one.execution, one.cell, first, end) for first, end in _places(one, lines, cells)]
        free = next((place for place in places if not any(map(place.overlaps, occupied))), None)
        if identity in seen or (places and not free) or (not places and one.code in seen):
            old.append(one.execution)
        elif free:
            anchors.append(free)
            occupied.append(free)
        else:
            nowhere.append(one.execution)
        seen.update((identity, one.code))
    return anchors, old, nowhere


def _places(ran: Ran, lines: Sequence[str], cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """Where ``ran.code`` stands: as a whole cell, nearest to its line first, then at its own line."""
    same = [cell for cell in cells if cell.code == ran.code and cell.code]
    same.sort(key=lambda cell: (abs(cell.first_code_line - ran.line), cell.start_line))
    places = [(cell.start_line, cell.end_line) for cell in same]
    code = ran.code.split("\n")
    if not places and ran.code.strip() and list(lines[ran.line : ran.line + len(code)]) == code:
        places.append((ran.line, ran.line + len(code)))
    return places
