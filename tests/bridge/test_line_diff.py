"""Lines that are still there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lsp_bridge.line_diff import kept_lines

LINES = st.lists(st.sampled_from("abcdefgh"), max_size=14)


@given(LINES, LINES)
def test_kept_lines_are_equal_and_in_order(old: list[str], new: list[str]) -> None:
    kept = sorted(kept_lines(old, new).items())
    assert all(old[one] == new[other] for one, other in kept)
    assert all(before < after for (_, before), (_, after) in pairwise(kept))


@given(LINES, st.lists(st.sampled_from("xyz"), max_size=5), st.integers(0, 14))
def test_lines_around_an_insertion_are_kept(old: list[str], new: list[str], at: int) -> None:
    assert len(kept_lines(old, [*old[:at], *new, *old[at:]])) == len(old)


def test_lines_that_occur_once_hold_the_others() -> None:
    old = ["# 1", "x", "x", "# 2", "x", "y"]
    new = ["# 2", "x", "z", "# 3", "x", "x"]
    assert kept_lines(old, new) == {3: 0, 4: 1}


def test_many_lines_that_are_much_alike() -> None:
    """difflib alone takes minutes for these."""
    old = [f"# {number // 20}" if number % 20 == 0 else f"line {number % 20}" for number in range(20_000)]
    new = [line.replace("line 7", "LINE 7") for line in old]
    assert len(kept_lines(old, new)) == 19_000
    assert kept_lines(["a", "b"] * 5000, ["b", "a"] * 6000) == {}
