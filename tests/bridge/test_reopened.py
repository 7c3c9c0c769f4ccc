"""A document that others have changed while no editor showed it: 1,000 times, every output is at its code or listed."""

from __future__ import annotations

import ast
import random
from typing import NamedTuple

import pytest

from lsp_bridge.anchors import Ran
from lsp_bridge.matching import match
from zmqkernel.protocol.cells import Cell, split

CASES = 1000
TWINS = ["plot()", "df.head()", "df"]


class Source(NamedTuple):
    """A cell as it is written; ``mark`` tells it from all others, and copies have the same. ``intact``: as it ran."""

    mark: int
    title: str
    code: str
    intact: bool = True


class Fates:
    """Cells of one case, and what happens to them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.marks = 0
        self.cells = [self.new() for _ in range(self.chance.randint(2, 25))]

    def new(self) -> Source:
        self.marks += 1
        number, style = self.marks, self.chance.random()
        if style < 0.15:
            code = self.chance.choice(TWINS)
        elif style < 0.5:
            code = f"x{number} = {number}"
        else:
            body = "\n".join(f"    y = f(x, {number})\n" for _ in range(self.chance.randint(1, 4)))
            code = f"def g{number}(x):\n{body}    return y\n\ng{number}({number})"
        return Source(number, self.chance.choice(["", "load", f"cell {number}"]), code)

    def change(self) -> None:
        """One thing that happens outside."""
        cells, chance = self.cells, self.chance
        kind = chance.choice(["insert", "delete", "swap", "duplicate", "format", "rename", "replace"])
        at = chance.randrange(len(cells)) if cells else 0
        if kind == "insert" or not cells:
            cells.insert(at, self.new()._replace(intact=False))
        elif kind == "delete":
            del cells[at]
        elif kind == "swap":
            other = chance.randrange(len(cells))
            cells[at], cells[other] = cells[other], cells[at]
        elif kind == "duplicate":
            cells.insert(chance.randrange(len(cells) + 1), cells[at])
        elif kind == "format":
            cells[at] = cells[at]._replace(code=formatted(cells[at].code), intact=False)
        elif kind == "rename":
            cells[at] = cells[at]._replace(title=f"renamed {chance.randrange(99)}")
        else:
            cells[at] = self.new()._replace(intact=False)

    @property
    def text(self) -> str:
        blanks = ["", "\n", "\n\n"]
        return "".join(f"# %% {one.title}\n{one.code}\n{self.chance.choice(blanks)}" for one in self.cells)


def formatted(code: str) -> str:
    """Other spaces, the same program."""
    return ast.unparse(ast.parse(code)).replace(" = ", "=").replace("    ", "  ") + "  # formatted"


@pytest.mark.parametrize("ids", [True, False])
def test_a_thousand_cases_of_changes_outside(ids: bool) -> None:
    unchanged = kept = 0
    for seed in range(CASES):
        fates = Fates(seed)
        ran = executed(fates, split(fates.text), ids)
        before = {one.execution: one for one in ran}
        sources = {str(one.mark): one for one in fates.cells}
        for _ in range(fates.chance.randint(0, 8)):
            fates.change()
        text = fates.text
        cells = split(text)
        anchors, old, nowhere = match(ran, text.split("\n"), cells)
        at = {
            anchor.execution: next(n for n, c in enumerate(cells) if c.start_line == anchor.first) for anchor in anchors
        }
        assert len(set(at.values())) == len(at), seed
        assert sorted([*at, *old, *nowhere]) == sorted(before), seed
        for execution, number in at.items():
            now, was = fates.cells[number], sources[execution]
            same = now.code in (was.code, formatted(was.code))
            assert same and (now.mark == was.mark or was.code in TWINS), (seed, was, now)
        # A cell has its output if every cell with its code has: of twins it cannot be said which is which.
        for code in {sources[one].code for one in before}:
            there = sum(one.code == code and one.intact for one in fates.cells)
            made = sum(one.code == code for one in ran)
            wanted = min(there, made)
            unchanged += wanted
            kept += min(wanted, sum(sources[execution].code == code for execution in at))
    assert unchanged > 5 * CASES
    assert kept >= 0.99 * unchanged


def executed(fates: Fates, cells: list[Cell], ids: bool) -> list[Ran]:
    """Most cells have run, in any order; returns the newest first. ``ids``: a bridge ran them and gave each an id."""
    ran = [
        Ran(str(source.mark), cell.code, cell.first_code_line, f"id{source.mark}" if ids else "")
        for source, cell in zip(fates.cells, cells, strict=True)
        if fates.chance.random() < 0.8
    ]
    fates.chance.shuffle(ran)
    return ran


def test_of_identical_cells_the_order_decides() -> None:
    text = "# %%\nplot()\n\n# %%\nx = 1\n\n# %%\nplot()\n\n# %%\nplot()\n"
    ran = [Ran("b", "plot()", 7, "2"), Ran("a", "plot()", 1, "1"), Ran("c", "plot()", 10, "3")]
    for moved in (text, "import os\n" * 9 + text, text.replace("x = 1", "x = 1\n" * 30)):
        anchors = match(ran, moved.split("\n"), split(moved)).anchors
        assert [one.execution for one in sorted(anchors, key=lambda one: one.first)] == ["a", "b", "c"]
    only = match([Ran("b", "plot()", 27, "2"), Ran("x", "x = 1", 24, "4")], text.split("\n"), split(text)).anchors
    assert {one.execution: one.first for one in only} == {"b": 6, "x": 3}
