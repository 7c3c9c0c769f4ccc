"""What stands around the cursor."""

from __future__ import annotations

import pytest

from lsp_bridge.programs import expression_at, line_at, same_program, text_of

TEXT = """\
import os
%matplotlib inline
@cache
def f(x, é="𝒳"):
    y = [
        x,
    ]
    return g(y)(é)

value = (
    first
    .second(a, "b")
)
if value: print(1); print(
    2)
else:
    x = 3
files = !ls
"""
CODE = TEXT.split("\n")


@pytest.mark.parametrize(
    ("row", "column", "text"),
    [
        (0, 3, "import os"),
        (1, 3, "%matplotlib inline"),
        (2, 2, "cache"),
        (3, 0, "\n".join(CODE[2:8])),
        (3, 12, '"𝒳"'),
        (5, 8, "[\n        x,\n    ]"),
        (7, 4, "    return g(y)(é)"),
        (7, 11, "g(y)(é)"),
        (7, 18, "g(y)(é)"),
        (9, 1, "value"),
        (11, 6, '(\n    first\n    .second(a, "b")\n)'),
        (13, 4, "value"),
        (13, 20, "print(\n    2)"),
        (16, 4, "x"),
        (17, 0, "files = !ls"),
    ],
)
def test_an_expression(row: int, column: int, text: str) -> None:
    span = expression_at(CODE, row, column)
    assert span and text_of(CODE, span) == text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (1, "%matplotlib inline"),
        (4, "    y = [\n        x,\n    ]"),
        (5, "        x,"),
        (6, "    y = [\n        x,\n    ]"),
        (9, "\n".join(CODE[9:13])),
        (16, "    x = 3"),
        (17, "files = !ls"),
    ],
)
def test_a_line(row: int, text: str) -> None:
    span = line_at(CODE, row)
    assert span and text_of(CODE, span) == text


def test_nothing_is_there_to_run() -> None:
    assert line_at(["", "# x"], 0) is None and line_at(["", "# x"], 1) is None
    assert expression_at(["", "x"], 0, 0) is None
    assert line_at(["x"], 7) is None


def test_code_elsewhere_may_be_unfinished() -> None:
    lines = ["def broken(:", "    pass", "ok = f(1)", "if more:", "    a", "else:", "    b", "x = ("]
    for row, column, text in ((2, 5, "f(1)"), (6, 4, "b"), (3, 0, "\n".join(lines[3:7]))):
        span = expression_at(lines, row, column)
        assert span and text_of(lines, span) == text


def test_formatting_makes_no_other_program() -> None:
    assert same_program("f( 'a' )", 'f("a")  # a')
    assert not same_program("f('a')", "f('b')")
    assert same_program("%time x", "%time x") and not same_program("%time x", "%time  x")
    assert not same_program(r"'\d'", r"'\w'")
