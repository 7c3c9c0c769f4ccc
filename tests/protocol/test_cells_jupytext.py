"""Our cells are those of jupytext, on files that hypothesis makes."""

from __future__ import annotations

import re
from typing import Any

import jupytext
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqkernel.protocol.cells import Cell, split

Facts = tuple[str, str, int, str, str]
"""Kind, title, depth, id and the text without blank lines around it."""

HEADS = st.sampled_from(
    [
        *(
            "# %%",
            "#%%",
            "#%% ",
            "# %% title",
            "  # %% indented",
            "# %%% ",
            "# %%% deep",
            "# %%%% deeper x",
            "#   %%\tx",
        ),
        *("# %% [markdown]", "# %% [md] notes", "# %% Notes [markdown]", "# %% [raw]", "# %% raw [raw] x"),
        *(
            '# %% id="a1"',
            "# %% t id='b'",
            '# %% t {"id": "c", "n": [1]}',
            '# %% x = 3 id="d"',
            "# %% a b .c",
            "# %% q?",
        ),
        *(
            '# %% t tags=["x y", "z=1"] id="e"',
            '# %% [markdown] t id="f"',
            "# %% [bash]",
            "# %% it's",
            '# %% a "b',
            "# %% t k=v",
        ),
        *(
            '# %% language="bash"',
            '# %% s language="html" id="g"',
            '# %% language="python"',
            '# %% active="py"',
            "# %% é 𝒳",
        ),
        *(
            '# %% tags=["active-ipynb"]',
            '# %% active="ipynb"',
            '# %% active="ipynb,py"',
            "# In[3]:",
            "# In[ ]:",
            "#In[1 2]",
        ),
        *("# <codecell>", "# In[3]: x", "# %%time", "#%%timeit f()", "x # %%", "## %%", "# % %", "# In[a]:", "# %%x y"),
    ]
)
PLAIN = st.sampled_from(
    [
        *(
            "",
            "",
            "a = 1",
            "if a:",
            "    b = 'x'",
            'def f(): return "y"',
            "# a comment",
            "#: it's",
            "# ---",
            "x = 'a # b'",
        ),
        *(
            's = "# %% no"',
            "t = '''one line''' + \"\"\"two\"\"\"",
            "u = 'it\"s'",
            "v = \"it's\" # don't",
            "f'{a}'",
            "(\n1)",
        ),
        *(
            '"""\n# %% in a string\n"""',
            "w = '''\n# %% [markdown]\nit's \"\"\n'''",
            'r"""\n\n# In[1]:\n\n"""',
            'z = """a\n""" # x',
        ),
        *("# ```", "# ```py", "# ~~~", "# ```` x", "#```", "# ``` `", "# | table |", "#", "# text *with* marks", "```"),
    ]
)
MAGICS = st.sampled_from(
    [
        *(
            "# %time f()",
            "#%time f()",
            "    # %time f()",
            "# # %time x",
            "%time x",
            "# %%bash",
            "#%%time",
            "# !ls -l",
            "#!ls",
        ),
        *(
            "# ? f",
            "# ?f",
            "# f?",
            "f??",
            "# why not?",
            "# y = !ls",
            "y = %time x",
            "#y = %%time x",
            "# !ls \\",
            "# %run \\ ",
        ),
        *(
            "# %time x # noescape",
            "# %s x #escape",
            "# % x",
            "# 5 % x",
            "# %1",
            "# ! ls",
            "# !",
            "# $x",
            "# %%%x",
            "   -l",
        ),
    ]
)


@settings(max_examples=1000)
@given(st.lists(st.one_of(HEADS, PLAIN, PLAIN, MAGICS), max_size=16), st.sampled_from(["\n", "\r\n"]))
def test_the_same_cells(lines: list[str], end: str) -> None:
    # jupytext has a cell 0 for blank lines too, and takes comments at the top for a header: so there is some code.
    text = "\n".join(["top = 1", *lines])
    notebook: Any = jupytext.reads(text, "py:percent")
    assert [_ours(cell) for cell in split(text.replace("\n", end))] == [_theirs(cell) for cell in notebook.cells]


def _ours(cell: Cell) -> Facts:
    return (
        cell.kind,
        cell.title,
        cell.depth,
        cell.id,
        _text(cell.kind, cell.code if cell.kind == "code" else cell.source),
    )


def _theirs(cell: Any) -> Facts:
    facts = cell.metadata
    name: Any = facts.get("id")
    depth: int = facts.get("cell_depth", 0)
    identity = name if isinstance(name, str) else ""
    return cell.cell_type, facts.get("title", ""), depth, identity, _text(cell.cell_type, cell.source)


def _text(kind: str, text: str) -> str:
    """Without blank lines around it; of what is not code, without comment signs and quotes: jupytext takes them off."""
    if kind != "code":
        return re.sub(r"""[#'"rR\s]""", "", text)
    lines = text.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)
