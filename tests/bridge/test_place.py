"""What the cursor stands in."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lsp_bridge.names import bound_by
from lsp_bridge.place import call_at, place_at, word_at


@pytest.mark.parametrize(
    ("code", "kind", "prefix", "source"),
    [
        ("df.he", "attribute", "he", "df"),
        ("a.b['x'].c[0].", "attribute", "", "a.b['x'].c[0]"),
        ("f(x).ba", "attribute", "ba", "f(x)"),
        ("return df.", "attribute", "", "df"),
        ("x = (1,\n  df.", "attribute", "", "df"),
        ('df["hei', "key", '"hei', "df"),
        ("df [", "key", "", "df"),
        ("d['a']['", "key", "'", "d['a']"),
        ("x = [df", "name", "df", ""),
        ("if na", "name", "na", ""),
        ("import nu", "import", "nu", ""),
        ("from a import b, c", "import", "c", ""),
        ("from a import (\n  b", "import", "b", ""),
        ("x = 1  # df.", "nothing", "", ""),
        ('"""text df.', "nothing", "", ""),
        ("def na", "nothing", "", ""),
        ("class Na", "nothing", "", ""),
        ("import a as b", "import", "b", ""),
        ("f'{df.", "nothing", "", ""),
        ("1.", "nothing", "", ""),
        ("%time df", "other", "", ""),
        ("open('da", "other", "", ""),
        ("%%bash\nls df.", "nothing", "", ""),
        ("%%time\ndf.he", "attribute", "he", "df"),
        ("größe.h", "attribute", "h", "größe"),
    ],
)
def test_places(code: str, kind: str, prefix: str, source: str) -> None:
    place = place_at(code, len(code))
    assert (place.kind, place.prefix, place.source) == (kind, prefix, source)
    if kind in ("name", "attribute", "key"):
        assert code[place.start :] == prefix


def test_steps_are_names_attributes_and_literal_keys() -> None:
    place = place_at("a.b['x'][-1][('p', 1)].", 23)
    assert place.steps
    assert [step.value for step in place.steps] == ["a", "b", "x", -1, ("p", 1)]
    assert place_at("a[i].", 5).steps is None
    assert place_at("f(x).", 5).steps is None


def test_calls() -> None:
    call = call_at("x = a.f(g(1), [2, 3], key=", 26)
    assert call
    assert (call.source, call.number, call.keyword) == ("a.f", 2, "key")
    assert call_at("def f(", 6) is None
    assert call_at("x = (1, ", 8) is None
    outer = call_at("f((1, 2", 7)
    assert outer
    assert outer.source == "f"


def test_words() -> None:
    word = word_at("df.height.sum()", 5)
    assert word
    assert (word.source, word.start, word.end) == ("df.height", 3, 9)
    assert word_at("x = 1", 2) is None
    assert word_at("for x", 2) is None


@given(st.text("ab.[](){}'\"\\#\n %=f1,:é𝒳", max_size=40), st.integers(0, 40))
def test_no_text_is_too_odd(code: str, cursor: int) -> None:
    cursor = min(cursor, len(code))
    place = place_at(code, cursor)
    assert 0 <= place.start <= cursor or place.kind == "nothing"
    call_at(code, cursor)
    word_at(code, cursor)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("x = 1", {"x"}),
        ("x, (y, *z) = f()", {"x", "y", "z"}),
        ("x: int = 3", {"x"}),
        ("x.y = 1", set[str]()),
        ("x['a'] = 1", set[str]()),
        ("x == 1", set[str]()),
        ("f(a=1)", set[str]()),
        ("def f(a, b=2, *c, **d):", {"f", "a", "b", "c", "d"}),
        ("class A(B):", {"A"}),
        ("import a.b as c, d", {"c", "d"}),
        ("import os.path", {"os"}),
        ("from x import y as z, w", {"z", "w"}),
        ("for i, j in x:", {"i", "j"}),
        ("with open(f) as g:", {"g"}),
        ("if (n := 3):", {"n"}),
    ],
)
def test_names_that_a_line_binds(line: str, names: set[str]) -> None:
    assert bound_by(line) == names
