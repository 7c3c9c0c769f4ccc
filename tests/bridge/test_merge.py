"""One list from several sources, and what an accepted key leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from lsp_bridge.keys import edit_of, literal, matches, value_of
from lsp_bridge.merge import MOST, Item, has, merge


def texts(*sides: list[Item], prefix: str = "", seen: frozenset[str] = frozenset()) -> list[str]:
    return [item.text for item in merge(sides, prefix, seen)[0]]


def test_one_item_for_one_text_the_more_trusted_with_what_only_the_other_knows() -> None:
    static = Item("mean", "function", "(axis=0)", "static", doc="The mean.", ref=[1, "mean"])
    live = Item("mean", "", "", "live")
    for sides in ([static], [live]), ([live], [static]):
        (item,), cut = merge(sides, "", frozenset())
        assert (item.source, item.kind, item.type, item.doc, item.ref, cut) == (
            "live", "function", "(axis=0)", "The mean.", [1, "mean"], False,
        )  # fmt: skip


def test_keys_then_arguments_then_live_names_then_static_ones_then_private_ones() -> None:
    live = [Item("zeta"), Item("alpha"), Item("_own"), Item("__add__"), Item("col", "column"), Item("b col", "column")]
    static = [Item("also", source="static"), Item("axis=", "parameter", source="static")]
    found = texts(live, static, prefix="")
    assert found == ["col", "b col", "axis=", "alpha", "zeta", "also"]  # private ones only when they are asked for
    assert texts(live, prefix="_") == ["_own", "__add__"]
    assert texts(live, static, seen=frozenset({"zeta"}))[3:5] == ["zeta", "alpha"]


def test_case_counts_only_for_the_order() -> None:
    assert texts([Item("DataFrame"), Item("date_range")], prefix="da") == ["date_range", "DataFrame"]
    assert texts([Item("mean")], prefix="x") == []


def test_what_does_not_fit_is_cut_and_that_is_said() -> None:
    items, cut = merge([[Item(f"n{number:04}") for number in range(MOST + 1)]], "n", frozenset())
    assert (len(items), cut) == (MOST, True)


def test_only_what_goes_on_from_the_word_is_useful() -> None:
    assert has([Item("frame")], "fr")
    assert not has([Item("frame")], "frame")
    assert not has([Item("frame")], "x")


def test_each_item_says_where_it_comes_from() -> None:
    labels = [Item("x", source="live"), Item("x", source="mirror", as_of=12), Item("x", source="static")]
    assert [item.label for item in labels] == ["live", "as of [12]", "static"]


KEYS: list[Any] = [
    "height", "größe x", "𝒳", 'it"s', "it's", "both'\"", "a]b", "back\\slash", "", 2020, -1, ("a", "b"), ("é", 1), ("one",),
]  # fmt: skip
BEHIND = ["", '"', '"]', "]", '"].mean()', "] + 1", " + 1", ")"]


@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_one_quote_and_one_bracket_are_left_whatever_stood_behind_the_cursor(key: Any, behind: str, quote: str) -> None:
    behind = behind.replace('"', quote) if quote else behind.replace('"', "")
    if behind.startswith((")", " +")):
        rest = behind
    else:
        rest = behind.lstrip("\"'").removeprefix("]")
    edit = edit_of(key, quote, behind)
    line = "df[" + edit.text + behind[edit.after :]
    assert line.endswith(rest)
    inside = line.removeprefix("df[").removesuffix(rest).removesuffix("]")
    assert line == f"df[{inside}]{rest}"
    assert value_of(inside) == key
    assert edit.filter.startswith(quote)


@pytest.mark.parametrize(
    ("before", "behind", "key", "left"),
    [
        ('df["hei', 'ght"]', "height", 'df["height"]'),  # in the middle of a whole key
        ("df['", "'].mean()", "it's", "df['it\\'s'].mean()"),
        ('df["20', '"]', 2020, "df[2020]"),
        ('df["a', '"]', ("a", "b"), 'df[("a", "b")]'),
        ('d["a"]["', '"]', "x", 'd["a"]["x"]'),
    ],
)
def test_keys_half_typed(before: str, behind: str, key: Any, left: str) -> None:
    bracket = before.rindex("[") + 1
    prefix = before[bracket:]
    assert matches(key, prefix)
    edit = edit_of(key, prefix, behind)
    assert before[:bracket] + edit.text + behind[edit.after :] == left


def test_keys_as_code() -> None:
    assert literal("x", "'") == "'x'"
    assert literal(("a", 1), '"') == '("a", 1)'
    assert literal(1.5, '"') == "1.5"
    assert value_of("object at 0x1") is None
    assert not matches("height", '"w')
