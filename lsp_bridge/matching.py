"""Which code of a reopened document made which outputs: by cell id, by exact source, by a diff with the journaled source.

Being right comes first: what could belong to two places, or to none for sure, belongs nowhere and is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from zmqkernel.protocol.cells import Cell

from .anchors import Anchor, Ran
from .programs import program

SAME_LINES = 4
"""So many lines of an edited cell must be as they ran, and"""
SAME_SHARE = 0.8
"""this share of all its lines."""
MAX_TWINS = 400
"""More cells with the same code are matched in order only."""


class Matched(NamedTuple):
    """``old`` have been run again since, or their code has; ``nowhere`` belong to no place in the text."""

    anchors: list[Anchor]
    old: list[str]
    nowhere: list[str]


def match(ran: Sequence[Ran], lines: Sequence[str], cells: Sequence[Cell], taken: Iterable[Anchor] = ()) -> Matched:
    """Give executions, newest first, their places in a document (lines without ends).

    The cells of ``taken`` belong to newer executions.
    """
    matching = _Matching(lines, [cell for cell in cells if cell.code], list(taken))
    return matching.run(ran)


class _Matching:
    def __init__(self, lines: Sequence[str], cells: list[Cell], taken: list[Anchor]) -> None:
        self._lines = lines
        self._whole = {(cell.code, cell.first_code_line) for cell in cells}
        self._cells = [cell for cell in cells if not any(_holds(anchor, cell) for anchor in taken)]
        marked = [cell.id for cell in cells]
        self._ids = {name for name in marked if name and marked.count(name) == 1}
        self._seen: set[object] = {anchor.cell for anchor in taken if anchor.cell}
        self._found: dict[str, tuple[Ran, Cell]] = {}
        self._anchors: list[Anchor] = []
        self._old: list[str] = []

    def run(self, ran: Sequence[Ran]) -> Matched:
        rest = self._newest(ran)
        newest = {one.execution: age for age, one in enumerate(ran)}
        rest = self._by_id(rest)
        rest = self._in_place(rest)
        # Code that exists once says where its neighbours are, so twins come after it.
        rest = self._same(rest, lambda one: one.code, lambda cell: cell.code, only_single=True)
        rest = self._same(rest, lambda one: one.code, lambda cell: cell.code)
        rest = self._same(rest, lambda one: program(one.code), lambda cell: program(cell.code))
        rest = self._selections(rest)
        rest = self._edited(rest)
        codes = {one.code for one, _ in self._found.values()}
        # The same code without a cell's id is another run of it, from a client that has no ids.
        self._old += [one.execution for one in rest if not one.cell and one.code in codes]
        nowhere = [one.execution for one in rest if one.cell or one.code not in codes]
        self._anchors.sort(key=lambda anchor: newest[anchor.execution])
        return Matched(self._anchors, self._old, nowhere)

    def _newest(self, ran: Sequence[Ran]) -> list[Ran]:
        """Of several runs of a cell only the newest counts. A cell is its id, else its code and line."""
        rest: list[Ran] = []
        for one in ran:
            identity = one.cell or (one.code, one.line, one.column)
            if identity in self._seen:
                self._old.append(one.execution)
            else:
                rest.append(one)
            self._seen.add(identity)
        return rest

    def _by_id(self, rest: list[Ran]) -> list[Ran]:
        """Ids that stand in markers. One that stands in two markers, because a cell was copied, says nothing."""
        known = {cell.id: cell for cell in self._cells if cell.id in self._ids}
        return [one for one in rest if not (one.cell in known and self._take(one, known[one.cell]))]

    def _in_place(self, rest: list[Ran]) -> list[Ran]:
        """Selections that stand where they stood: their lines may be the whole code of a cell elsewhere."""
        left: list[Ran] = []
        for one in rest:
            if one.cell or not self._stands(one, one.line):
                left.append(one)
            else:
                self._select(one, one.line)
        return left

    def _same(
        self, rest: list[Ran], key: Callable[[Ran], str], cell_key: Callable[[Cell], str], only_single: bool = False
    ) -> list[Ran]:
        """Executions and cells with the same key, in order."""
        if not rest or not self._cells:
            return rest
        groups: dict[str, tuple[list[Ran], list[Cell]]] = {}
        for one in rest:
            groups.setdefault(key(one), ([], []))[0].append(one)
        for cell in self._cells:
            if group := groups.get(cell_key(cell)):
                group[1].append(cell)
        for name, (twins, cells) in groups.items():
            single = len(twins) == len(cells) == 1
            if name and cells and (single or not only_single):
                self._pair(twins, cells)
        return [one for one in rest if one.execution not in self._found]

    def _pair(self, twins: list[Ran], cells: list[Cell]) -> None:
        """Of identical cells the order decides, and then the distance."""
        nameless = [one for one in twins if not one.cell]  # newest first
        surplus = nameless[max(0, len(nameless) - max(0, len(twins) - len(cells))) :]
        ordered = sorted((one for one in twins if one not in surplus), key=lambda one: one.line)
        expected = [self._expected(one.line) for one in ordered]
        for number, cell in _in_order(expected, [cell.first_code_line for cell in cells]):
            self._take(ordered[number], cells[cell])

    def _selections(self, rest: list[Ran]) -> list[Ran]:
        """Lines that moved: exactly as they were, and nowhere else in the document."""
        left: list[Ran] = []
        for one in rest:
            at = self._expected(one.line)
            if one.cell or not self._stands(one, at):
                count = one.code.count("\n") + 1
                places = [] if one.cell or one.column else _occurrences(one.code.split("\n"), self._lines, count)
                places = [place for place in places if (one.code, place) not in self._whole]
                at = places[0] if len(places) == 1 else -1
            if at < 0:
                left.append(one)
            else:
                self._select(one, at)
        return left

    def _edited(self, rest: list[Ran]) -> list[Ran]:
        """Cells that stand between the same neighbours and have most of their lines as they ran."""
        groups: dict[tuple[int, int], list[Ran]] = {}
        for one in rest:
            if one.cell:
                groups.setdefault(self._between(one), []).append(one)
        for (low, high), group in groups.items():
            near = [cell for cell in self._cells if low < cell.start_line < high]
            if len(near) * len(group) > MAX_TWINS:
                continue
            alike = [(one, cell) for one in group for cell in near if _alike(one.code, cell.code)]
            for one, cell in alike:
                if sum(one is other or cell is there for other, there in alike) == 1:
                    self._take(one, cell)
        return [one for one in rest if one.execution not in self._found]

    # --- steps -------------------------------------------------------------------------------------------------------

    def _take(self, one: Ran, cell: Cell) -> bool:
        if cell not in self._cells:
            return False
        self._cells.remove(cell)
        self._found[one.execution] = one, cell
        self._anchors.append(Anchor(one.execution, one.cell, cell.start_line, cell.end_line))
        return True

    def _select(self, one: Ran, at: int) -> None:
        self._anchors.append(Anchor(one.execution, one.cell, at, at + one.code.count("\n") + 1, whole=False))

    def _stands(self, one: Ran, at: int) -> bool:
        """Is a selection's code at line ``at``, and not all of a cell there? That would be the cell's own run."""
        code = one.code.split("\n")
        there = list(self._lines[at : at + len(code)]) if at >= 0 else []
        if len(there) != len(code) or not one.code.strip() or (one.code, at) in self._whole:
            return False
        if one.column:
            there[0] = there[0][one.column :]
        part = bool(one.column) and there[-1].startswith(code[-1])
        return there[:-1] == code[:-1] and (there[-1] == code[-1] or part)

    def _expected(self, line: int) -> int:
        """Where a line should be by now: it moved as far as the nearest code above it that was found."""
        pairs = sorted((one.line, cell.first_code_line) for one, cell in self._found.values())
        above = [pair for pair in pairs if pair[0] <= line]
        was, now = above[-1] if above else pairs[0] if pairs else (0, 0)
        return line + now - was

    def _between(self, one: Ran) -> tuple[int, int]:
        """The lines of the cells that ran above and below it; an empty range when these have changed places."""
        above = [(ran.line, cell.start_line) for ran, cell in self._found.values() if ran.line < one.line]
        below = [(ran.line, cell.start_line) for ran, cell in self._found.values() if ran.line > one.line]
        return max(above)[1] if above else -1, min(below)[1] if below else len(self._lines)


def _holds(anchor: Anchor, cell: Cell) -> bool:
    return anchor.first <= cell.start_line and cell.first_code_line < anchor.end


def _occurrences(code: list[str], lines: Sequence[str], count: int) -> list[int]:
    if not any(line.strip() for line in code):
        return []
    return [at for at in range(len(lines) - count + 1) if list(lines[at : at + count]) == code]


def _alike(ran: str, code: str) -> bool:
    """Was most of ``code`` there when it ran?"""
    one, other = ([line for line in text.split("\n") if line.strip()] for text in (ran, code))
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    same = sum(block.size for block in blocks)
    return same >= SAME_LINES and same >= SAME_SHARE * max(len(one), len(other))


def _in_order(expected: list[int], there: list[int]) -> list[tuple[int, int]]:
    """Pair as many as possible of two ascending lists in order, with the smallest sum of distances."""
    if len(expected) * len(there) > MAX_TWINS**2:
        return list(zip(range(len(expected)), range(len(there)), strict=False))
    swapped = len(expected) > len(there)
    few, many = (there, expected) if swapped else (expected, there)
    best = [[0] * (len(many) + 1)]
    for number, place in enumerate(few):
        row = [1 << 60]
        for index, other in enumerate(many):
            row.append(min(row[-1], best[number][index] + abs(place - other)))
        best.append(row)
    pairs: list[tuple[int, int]] = []
    number, index = len(few), len(many)
    while number:
        if best[number][index] == best[number][index - 1]:
            index -= 1  # the earlier of two equally near places
            continue
        number, index = number - 1, index - 1
        pairs.append((index, number) if swapped else (number, index))
    return pairs
