"""Outputs stay with the code that made them, through edits and after the editor was away."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from lsp_bridge.anchors import Anchor, Anchors, Ran
from lsp_bridge.documents import Document
from lsp_bridge.matching import match
from lsp_bridge.structures import ContentChange, Position, Range
from zmqkernel.protocol.cells import split

TEXT = "# %%\na = 1\n\n# %%\nb = 2\n\n# %%\nc = 3\n"


def anchored(text: str, *lines: int) -> tuple[Document, Anchors]:
    """A document, and an anchor named after its line for each cell that begins there."""
    anchors = Anchors()
    for cell in split(text):
        if cell.start_line in lines:
            anchors.add(Anchor(str(cell.start_line), "", cell.start_line, cell.end_line))
    return Document("file:///a.py", text, 1, "utf-16"), anchors


def edit(document: Document, anchors: Anchors, start: tuple[int, int], end: tuple[int, int], text: str) -> list[str]:
    change = ContentChange(text, Range(Position(*start), Position(*end)))
    return anchors.edit(document.apply(change))


def first(anchors: Anchors, execution: str) -> int:
    anchor = anchors.get(execution)
    assert anchor
    return anchor.first


def test_lines_above_move_an_anchor_and_lines_below_do_not() -> None:
    document, anchors = anchored(TEXT, 3)
    assert edit(document, anchors, (0, 0), (0, 0), "import os\n\n") == []
    assert first(anchors, "3") == 5
    edit(document, anchors, (9, 0), (9, 0), "more = 1\n")
    assert first(anchors, "3") == 5


def test_a_new_cell_in_front_pushes_the_old_one_down() -> None:
    """The new cell's marker looks like the old one's: the anchor must not jump to it."""
    for where in ((3, 0), (2, 0)):
        document, anchors = anchored(TEXT, 3)
        edit(document, anchors, where, where, "# %%\nnew = 1\n")
        assert document.lines[first(anchors, "3") + 1] == "b = 2\n"


def test_typing_in_the_cell_keeps_its_anchor() -> None:
    document, anchors = anchored(TEXT, 3)
    assert edit(document, anchors, (4, 5), (4, 5), "0") == []
    assert edit(document, anchors, (3, 4), (3, 4), " title") == []
    assert edit(document, anchors, (4, 0), (4, 0), "x = 0\n") == []
    anchor = anchors.get("3")
    assert anchor and (anchor.first, anchor.end) == (3, 7)


def test_deleting_the_cell_loses_its_outputs_and_no_others() -> None:
    document, anchors = anchored(TEXT, 0, 3, 6)
    assert edit(document, anchors, (2, 0), (6, 0), "") == ["3"]
    assert (first(anchors, "0"), first(anchors, "6")) == (0, 2)
    assert anchors.get("3") is None


def test_a_formatter_that_replaces_everything_keeps_what_it_did_not_touch() -> None:
    document, anchors = anchored(TEXT, 0, 3, 6)
    whole = ContentChange("import os\n\n" + TEXT.replace("c = 3", "c = 3  # three"))
    assert anchors.edit(document.apply(whole)) == []
    assert [first(anchors, one) for one in "036"] == [2, 5, 8]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_an_anchor_is_at_its_own_line_or_lost(seed: int) -> None:
    """Every line is unique, so it can be seen where each anchor's line has gone."""
    chance = random.Random(seed)
    lines = [f"line {number}\n" for number in range(12)]
    document, anchors = Document("file:///a.py", "".join(lines), 1, "utf-16"), Anchors()
    for number in range(0, 12, 3):
        anchors.add(Anchor(str(number), "", number, number + 3))
    for turn in range(4):
        one, other = sorted((chance.randrange(13), chance.randrange(13)))
        new = "".join(f"new {turn}.{number}\n" for number in range(chance.randrange(3)))
        edit(document, anchors, (one, 0), (other, 0), new)
        for anchor in anchors.all:
            own = f"line {anchor.execution}\n"
            now = document.lines[anchor.first]
            assert now == own or own not in document.lines


def ran(execution: str, code: str, line: int, cell: str = "") -> Ran:
    return Ran(execution, code, line, cell)


def matched(text: str, *newest_first: Ran) -> tuple[dict[str, int], list[str], list[str]]:
    lines = [line.rstrip("\r\n") for line in text.split("\n")]
    anchors, old, nowhere = match(newest_first, lines, split(text), [])
    return {anchor.execution: anchor.first for anchor in anchors}, old, nowhere


def test_outputs_find_their_cells_after_lines_were_inserted() -> None:
    text = "import os\n" + TEXT
    assert matched(text, ran("3", "c = 3", 7), ran("2", "b = 2", 4), ran("1", "a = 1", 1)) == (
        {"3": 7, "2": 4, "1": 1},
        [],
        [],
    )


def test_code_that_changed_matches_nothing() -> None:
    assert matched(TEXT.replace("b = 2", "b = 20"), ran("x", "b = 2", 4)) == ({}, [], ["x"])


def test_only_the_newest_run_of_a_cell_counts() -> None:
    assert matched(TEXT, ran("new", "b = 2", 4), ran("old", "b = 2", 4)) == ({"new": 3}, ["old"], [])


def test_an_older_run_does_not_go_to_a_twin_that_never_ran() -> None:
    twins = "# %%\nplot()\n\n# %%\nplot()\n"
    assert matched(twins, ran("new", "plot()", 4), ran("old", "plot()", 4)) == ({"new": 3}, ["old"], [])
    assert matched(twins, ran("new", "plot()", 4, "b"), ran("old", "plot()", 2, "b")) == ({"new": 3}, ["old"], [])


def test_twins_are_told_apart_by_their_lines() -> None:
    twins = "# %%\nplot()\n\n# %%\nplot()\n"
    assert matched(twins, ran("first", "plot()", 1), ran("second", "plot()", 4))[0] == {"first": 0, "second": 3}


def test_an_older_text_of_a_cell_that_ran_again_is_out_of_date_and_not_unmatched() -> None:
    assert matched(TEXT, ran("new", "b = 2", 4, "b"), ran("old", "b = 1", 4, "b")) == ({"new": 3}, ["old"], [])


def test_a_selection_is_found_where_it_stood_or_where_its_lines_are_the_only_ones() -> None:
    text = "# %%\nx = 1\ny = 2\nz = 3\n"
    assert matched(text, ran("s", "y = 2", 2))[0] == {"s": 2}
    assert matched(text, ran("s", "y = 2", 1))[0] == {"s": 2}
    assert matched(text + "y = 2\n", ran("s", "y = 2", 1)) == ({}, [], ["s"])
    assert matched(text.replace("y = 2", "y = 20"), ran("s", "y = 2", 2)) == ({}, [], ["s"])
    part = Ran("s", "2", 2, "", 4)
    assert matched(text, part)[0] == {"s": 2}
    assert matched("\n" + text, part) == ({}, [], ["s"])
    assert matched("\n" + text, part, ran("1", "x = 1\ny = 2\nz = 3", 1, "c"))[0] == {"1": 1, "s": 3}


def test_a_selection_stays_inside_its_cell_though_another_cell_has_only_that_line() -> None:
    text = "# %%\ndf\n# %%\nx = 1\ndf\n"
    assert matched(text, ran("s", "df", 4), ran("c", "x = 1\ndf", 3, "t"))[0] == {"s": 4, "c": 2}


def test_an_id_in_the_marker_holds_though_the_code_has_changed() -> None:
    text = '# %% id="one"\nb = 20\n# %%\nc = 3\n'
    assert matched(text, ran("x", "b = 2", 9, "one"))[0] == {"x": 0}
    copied = text + '# %% id="one"\nb = 2\n'
    assert matched(copied, ran("x", "b = 2", 9, "one"))[0] == {"x": 4}
    assert matched(copied.replace("b = 2\n", "b = 3\n"), ran("x", "b = 2", 9, "one")) == ({}, [], ["x"])


def test_a_formatted_cell_and_one_with_a_changed_line_are_found_by_a_diff() -> None:
    text = "# %%\na = 1\n# %%\nf(x, 'y')\n# %%\nc = 3\n"
    formatted = text.replace("f(x, 'y')", 'f(\n    x,\n    "y",  # y\n)')
    assert matched(formatted, ran("x", "f(x, 'y')", 3, "t"))[0] == {"x": 2}
    lines = "".join(f"line_{number} = {number}\n" for number in range(9))
    was = Ran("x", lines.rstrip("\n"), 3, "t")
    around = (ran("1", "a = 1", 1, "u"), ran("3", "c = 3", 13, "v"))
    now = "# %%\na = 1\n# %%\n" + lines.replace("= 5", "= 50") + "# %%\nc = 3\n"
    assert matched(now, *around, was)[0] == {"1": 0, "x": 2, "3": 12}
    elsewhere = "# %%\n" + lines.replace("= 5", "= 50") + "# %%\na = 1\n# %%\nc = 3\n"
    assert matched(elsewhere, *around, was)[2] == ["x"]
