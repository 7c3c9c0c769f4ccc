"""Whatever is typed, in whatever characters: the text is the editor's, and the cell that is meant is the one that runs."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp_bridge import pieces
from lsp_bridge.documents import Document, Encoding, split_lines
from lsp_bridge.structures import ContentChange, Position, Range
from lsp_bridge.view import View
from zmqkernel.protocol.cell_magics import uncommented
from zmqkernel.protocol.errors import ZmqKernelError

BYTES: dict[Encoding, tuple[str, int]] = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2)}
PARTS = [
    "# %%",
    "# %%\n",
    "a = 1",
    "b",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\f",
    "\x0b",
    "\u2028",
    "\x85",
    "é",
    "𝒳",
    "'\u2029'",
    "\n\n",
]


class Nobody:
    """An editor that is told nothing."""

    congested = False
    renders = False

    def notify(self, method: str, params: Any) -> int:
        return 0

    def show(self, message: str, *, error: bool = False) -> None:
        pass


def model_lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def is_marker(line: str) -> bool:
    return re.match(r"\s*#\s*%%+(\s|$)", line) is not None


def model_cell(text: str, line: int) -> str | None:
    """The code of the cell at a line, in the plainest way."""
    lines = model_lines(text)
    first = line
    while first > 0 and not is_marker(lines[first]):
        first -= 1
    end = line + 1
    while end < len(lines) and not is_marker(lines[end]):
        end += 1
    body = lines[first + 1 if is_marker(lines[first]) else first : end]
    body = uncommented(body, [False] * len(body))
    while body and not body[0].strip():
        body.pop(0)
    while body and not body[-1].strip():
        body.pop()
    code = "\n".join(body)
    return code if any(one.strip() and not one.lstrip().startswith("#") for one in body) else None


def position(text: str, offset: int, encoding: Encoding) -> Position:
    codec, unit = BYTES[encoding]
    before = split_lines(text[:offset])
    return Position(len(before) - 1, len(before[-1].encode(codec)) // unit)


@pytest.mark.parametrize("encoding", list(BYTES))
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_the_right_cell_runs_after_random_edits(encoding: Encoding, seed: int) -> None:
    async def scenario() -> None:
        chance = random.Random(seed)
        text = "".join(chance.choices(PARTS, k=30))
        view = View(Document("file:///a.py", text, 1, encoding), Nobody())
        for version in range(2, 12):
            one, other = sorted(place(text, chance.randrange(len(text) + 1)) for _ in range(2))
            if chance.random() < 0.7:
                other = one
            new = "".join(chance.choices(PARTS, k=chance.randint(0, 3)))
            where = Range(position(text, one, encoding), position(text, other, encoding))
            view.change([ContentChange(new, where)], version)
            text = text[:one] + new + text[other:]
            assert view.document.text == text
            line = chance.randrange(len(model_lines(text)))
            cell = pieces.here(view, Position(line, 0))
            found = pieces.cells(view, [cell] if cell else [])
            if "'" not in text.replace("'\u2029'", "").replace("'''", "@"):
                assert (found[0].code if found else None) == model_cell(text, line)
        view.close()

    asyncio.run(scenario())


def place(text: str, at: int) -> int:
    """Not inside a line end."""
    return at - 1 if at and text[at - 1 : at + 1] == "\r\n" else at


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_a_handle_is_its_cell_or_gone(seed: int) -> None:
    """Every cell has a title of its own; lines are inserted, deleted and moved, and other cells put in front."""

    async def scenario() -> None:
        chance = random.Random(seed)
        text = "".join(f"# %% t{number}\nx = {number}\n\n" for number in range(6))
        view = View(Document("file:///a.py", text, 1, "utf-16"), Nobody())
        handles = {view.handle_of(cell): cell.title for cell in view.cells}
        for turn in range(5):
            one, other = sorted(chance.randrange(len(view.document.lines)) for _ in range(2))
            other = one if chance.random() < 0.5 else min(other, one + 4)
            new = "".join(chance.choices([f"# %% n{turn}\n", "y = 1\n", "\n"], k=chance.randrange(4)))
            view.change([ContentChange(new, Range(Position(one, 0), Position(other, 0)))], turn)
            there = {cell.title for cell in view.cells}
            for handle, title in handles.items():
                try:
                    assert view.cell_of_handle(handle).title == title
                except ZmqKernelError:
                    assert title not in there
        view.close()

    asyncio.run(scenario())
