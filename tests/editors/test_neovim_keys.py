"""Taking a key in a real Neovim: one quote and one bracket are left, whatever auto-pairs have put behind the cursor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.editors.neovim import Neovim

Start = Callable[[], Neovim]

CELLS = """\
# %%
import pandas as pd
frame = pd.DataFrame([[1] * 4], columns=pd.Index(["größe", "weight", 2020, ("a", "b")], dtype=object))
print("ready")

# %%

"""
OUTPUT, HERE = 4, 7


@pytest.fixture
def vim(neovim: Start, project: Path) -> Neovim:
    path = project / "analysis.py"
    path.write_text(CELLS)
    vim = neovim()
    vim.edit(path)
    vim.run_cell(2)
    vim.shows(OUTPUT, "ok", "ready")
    vim.nvim.command("set completeopt=menu,menuone,noselect")
    return vim


def taken(vim: Neovim, before: str, behind: str, word: str) -> str:
    """Type ``before``, with ``behind`` after the cursor, complete, take the item that has ``word``; the line then."""
    nvim = vim.nvim
    nvim.input("<Esc>")
    nvim.current.window.cursor = (HERE, 0)
    nvim.current.line = behind
    items = "return vim.tbl_map(function(item) return item.word end, vim.fn.complete_info({ 'items' }).items)"

    def offered() -> list[str]:
        nvim.input("<Esc>")
        nvim.current.line = behind
        nvim.current.window.cursor = (HERE, 0)
        nvim.input("i" + before.replace("<", "<lt>") + "<C-x><C-o>")
        return vim.until(lambda: nvim.exec_lua(items), "menu")

    words = vim.until(lambda: (found := offered()) and any(word in one for one in found) and found, f"item {word}")
    number = next(index for index, one in enumerate(words) if word in one)
    nvim.input("<C-n>" * (number + 1) + "<C-y><Esc>")
    vim.until(lambda: nvim.api.get_mode()["mode"] == "n", "normal mode")
    return nvim.current.line


@pytest.mark.parametrize("behind", ["", "]", '"]', '"].mean()'])
def test_a_string_key(vim: Neovim, behind: str) -> None:
    rest = behind.lstrip('"').removeprefix("]")
    assert taken(vim, 'frame["', behind, "größe") == f'frame["größe"]{rest}'
    assert taken(vim, 'frame["we', behind, "weight") == f'frame["weight"]{rest}'


@pytest.mark.parametrize("behind", ["", "]"])
def test_keys_that_are_no_strings(vim: Neovim, behind: str) -> None:
    assert taken(vim, "frame[", behind, "2020") == "frame[2020]"
    assert taken(vim, "frame[", behind, '"a"') == 'frame[("a", "b")]'
