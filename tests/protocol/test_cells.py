"""The cell parser against jupytext's percent rule."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqkernel.protocol.cells import cell_at, split, split_notebook
from zmqkernel.protocol.errors import ZmqKernelError


def sources(text: str) -> list[tuple[int, str]]:
    return [(cell.index, cell.source) for cell in split(text)]


def test_text_before_the_first_marker_is_cell_0() -> None:
    assert sources("import os\n\n# %%\na = 1\n# %% two\nb = 2\n") == [(0, "import os"), (1, "a = 1"), (2, "b = 2")]


def test_numbers_do_not_depend_on_text_before_the_first_marker() -> None:
    assert sources("\n# %%\na = 1\n") == [(1, "a = 1")]


def test_a_file_without_markers_is_cell_0() -> None:
    assert sources("a = 1\nb = 2") == [(0, "a = 1\nb = 2")]
    assert split("") == []


@pytest.mark.parametrize(
    "marker", ["# %%", "#%%", "  # %% x", "# %%%", "# %%\tx", "#  %% x", "# In[3]:", "# In[ ]:", "# <codecell>"]
)
def test_markers(marker: str) -> None:
    assert sources(f"a\n{marker}\nb\n") == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("line", ["# %%time", "#%%bash", "# % %", "x # %%", "# In[a]:", "## %%", "# %%%%x"])
def test_no_markers(line: str) -> None:
    assert [cell.index for cell in split(f"a\n{line}\nb\n")] == [0]


def test_a_marker_in_a_string_is_text() -> None:
    assert sources('x = """\n# %%\n"""\n# %%\ny = 1') == [(0, 'x = """\n# %%\n"""'), (1, "y = 1")]
    assert sources("x = 'a\\\n# %% no'\n# %%\ny") == [(0, "x = 'a\\\n# %% no'"), (1, "y")]


def test_quotes_in_comments_and_magics_open_nothing() -> None:
    assert len(split('# it\'s """\n!echo don\'t\n# %%\na\n# %%\nb')) == 3


def test_in_unfinished_code_every_marker_counts() -> None:
    assert [c.source for c in split('x = """\n# %%\na = 1\n# %%\nb = "')] == ['x = """', "a = 1", 'b = "']


@pytest.mark.parametrize(
    ("head", "title", "kind"),
    [
        ("# %% Load the data", "Load the data", "code"),
        ("# %% [markdown]", "", "markdown"),
        ('# %% Notes [md] {"a": 1}', "Notes", "markdown"),
        ("# %% [raw]", "", "raw"),
        ('# %% Plot tags=["x"]', "Plot", "code"),
        ("# %% a [draft] list", "a [draft] list", "code"),
        ("# %% x = 3", "", "code"),
        ("# %% a left = right", "a", "code"),
        ('#%% Plot [markdown] id="a" tags=["x", "y=1"]', "Plot", "markdown"),
        ('# %% only in the script active="py"', "only in the script", "raw"),
        ("# %% {braces} in a title", "", "code"),
    ],
)
def test_title_and_kind(head: str, title: str, kind: str) -> None:
    (cell,) = split(f"{head}\n# text\n")
    assert (cell.title, cell.kind) == (title, kind)
    assert cell.source == "# text"
    assert cell.code == ("# text" if kind == "code" else "")


def test_places() -> None:
    cells = split("a\n\n# %% t\n\n\nb\nc\n\n# %%\n")
    assert [(c.start_line, c.first_code_line, c.end_line) for c in cells] == [(0, 0, 2), (2, 5, 8), (8, 10, 10)]
    assert cell_at(cells, 4) == cells[1]
    assert cell_at(split("\n# %%\n"), 0) is None


def test_only_real_line_ends_count() -> None:
    (cell,) = split("# %%\r\na = '\x0c\u2028'\rb = 1")
    assert (cell.source, cell.end_line) == ("a = '\x0c\u2028'\nb = 1", 3)


def test_commented_magics_are_run() -> None:
    source = "# %matplotlib inline\n#%time x\n# !ls\n# y = !ls\n# just %d words\n  # %yes\ns = '''\n# %in_text\n'''"
    (cell,) = split(f"# %%\n{source}")
    assert cell.source == source
    assert cell.code == ("%matplotlib inline\n%time x\n!ls\ny = !ls\n# just %d words\n  %yes\ns = '''\n# %in_text\n'''")
    assert split("# %%\n# %%time\nf()")[0].code == "%%time\nf()"


def test_a_command_goes_on_after_a_backslash_and_a_comment_that_begins_like_one_stays() -> None:
    assert split("# !ls \\\\\n#   -l\n# -a")[0].code == "!ls \\\\\n  -l\n# -a"
    for comment in ("# rm the old files", "# cd", "# %time x # noescape", "# 3 % a"):
        assert split(comment)[0].code == comment


def test_depth() -> None:
    assert [(c.title, c.depth) for c in split("# %% a\n# %%% b\n# %%%% c\n# %%%\n")] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("", 1),
    ]


def test_markers_in_a_fenced_block_of_a_text_cell_are_text() -> None:
    text = "# %% [markdown]\n# ```mermaid\n# %% x\n# ```\n# %% y\n# ```\n# %% z"
    assert [(c.start_line, c.title) for c in split(text)] == [(0, ""), (4, "y"), (6, "z")]
    assert len(split("# %% [markdown]\n# ``` never closed\n# %% x\n")) == 2


def test_a_cell_for_the_notebook_only_is_run_without_its_comments() -> None:
    (cell,) = split('# %% tags=["active-ipynb"]\n# import x\n# x.f()\n')
    assert (cell.kind, cell.code) == ("code", "import x\nx.f()")


def test_a_cell_in_another_language() -> None:
    (cell,) = split('# %% language="bash" id="a1"\n# ls\n# pwd\n')
    assert (cell.code, cell.first_code_line, cell.id) == ("%%bash\nls\npwd", 0, "a1")


def test_notebook() -> None:
    book = {
        "cells": [
            {"cell_type": "markdown", "source": ["# T\n", "x"], "metadata": {}},
            {"cell_type": "code", "source": ["a = 1\n", "a"], "id": "c1", "metadata": {}},
        ]
    }
    cells = split_notebook(json.dumps(book))
    assert [(c.index, c.kind, c.code, c.id) for c in cells] == [(0, "markdown", "", ""), (1, "code", "a = 1\na", "c1")]
    with pytest.raises(ZmqKernelError, match="not a notebook"):
        split_notebook("[]")


LINES = st.sampled_from(["# %%", "# %% t", "a = 1", "'''", '"""', "'", "", "  ", "# %%time", "# In[1]:", "x = '\\"])


@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
def test_cells_cover_the_file_in_order(lines: list[str], end: str) -> None:
    cells = split(end.join(lines))
    for before, after in pairwise(cells):
        assert before.end_line == after.start_line
        assert before.index + 1 == after.index
    for cell in cells:
        assert cell.start_line <= cell.first_code_line <= cell.end_line
        assert cell.source == "\n".join(lines[cell.first_code_line : cell.end_line]).rstrip() or cell.source.endswith(
            "\\"
        )
    if cells:
        assert cells[-1].end_line == max(1, len(lines))
