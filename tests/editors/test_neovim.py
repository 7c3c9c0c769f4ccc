"""The main job in a real Neovim, with our plugin and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.editors.neovim import PLUGIN, Neovim
from zmqkernel.client import discovery

Start = Callable[[], Neovim]

CELLS = """\
# %%
import os, time
from pathlib import Path
import pandas as pd
frame = pd.DataFrame({"height": [1, 2], "weight": [3, 4]})
print("pid", os.getpid())

# %% a value
frame.height.sum()

# %% slow
print("begun", flush=True)
while not Path("go").exists():
    time.sleep(0.02)
print("through")

# %% typing

"""
# The lines (from 1) behind which the outputs of the cells are shown.
SETUP, VALUE, SLOW, TYPING = 6, 9, 15, 18


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(CELLS)
    return path


def run_to_slow(vim: Neovim, script: Path) -> None:
    """Run the first three cells; the slow one is running when this returns."""
    vim.edit(script)
    for line in (SETUP, VALUE, SLOW):
        vim.run_cell(line)
    vim.shows(SETUP, "ok", "pid")
    vim.shows(VALUE, "[2] ok", "3")
    vim.shows(SLOW, "[3] running", "begun")


def test_outputs_are_back_at_their_cells_after_the_editor_was_killed_and_the_running_cell_goes_on(
    neovim: Start, script: Path
) -> None:
    vim = neovim()
    run_to_slow(vim, script)
    before = vim.outputs()
    assert set(before) == {SETUP, VALUE, SLOW}
    vim.kill()

    script.write_text("# a line above\n" + CELLS)
    vim = neovim()
    vim.edit(script)
    vim.shows(SLOW + 1, "[3] running", "begun")
    assert vim.shows(SETUP + 1, "ok") == before[SETUP]
    assert vim.shows(VALUE + 1, "ok") == before[VALUE]
    (script.parent / "go").touch()
    vim.shows(SLOW + 1, "[3] ok", "begun\nthrough")
    assert vim.notified() == []


def test_a_kernel_that_crashes_answers_the_pending_cell_with_the_reason_and_the_session_goes_on(
    neovim: Start, script: Path
) -> None:
    vim = neovim()
    run_to_slow(vim, script)
    pid = int(vim.outputs()[SETUP].split("pid")[1])
    os.kill(pid, signal.SIGSEGV)
    vim.shows(SLOW, "[3] died", "SIGSEGV")
    assert "(earlier kernel)" in vim.shows(VALUE, "(earlier kernel)")
    vim.run_cell(SETUP)
    vim.until(lambda: f"pid {pid}" not in vim.outputs()[SETUP] and " ok " in vim.outputs()[SETUP], "new kernel")
    assert "(earlier kernel)" not in vim.outputs()[SETUP]
    (said,) = vim.until(vim.notified, "a word on the new kernel")
    assert "all variables are gone" in said
    assert "SIGSEGV" in said
    vim.kill()

    vim = neovim()
    vim.edit(script)
    vim.shows(VALUE, "(earlier kernel)")
    assert "(earlier kernel)" not in vim.shows(SETUP, "ok")
    assert vim.notified() == []


def test_completion_and_hover_know_the_live_frame_while_a_cell_runs(neovim: Start, script: Path) -> None:
    vim = neovim()
    run_to_slow(vim, script)
    vim.nvim.current.window.cursor = (TYPING, 0)
    vim.nvim.input("iframe.he<C-x><C-o>")
    words = "return vim.tbl_map(function(item) return item.word end, vim.fn.complete_info({ 'items' }).items)"
    offered = vim.until(lambda: vim.nvim.exec_lua(words), "popup menu")
    assert {"height", "head"} <= set(offered)
    vim.nvim.input("<C-e><Esc>")
    vim.until(lambda: vim.nvim.api.get_mode()["mode"] == "n", "normal mode")

    vim.nvim.current.window.cursor = (VALUE, 1)
    vim.nvim.exec_lua("vim.lsp.buf.hover()")
    assert "DataFrame" in vim.until(lambda: floating_text(vim), "hover window")
    assert "running" in vim.outputs()[SLOW]


def floating_text(vim: Neovim) -> str:
    """What stands in floating windows."""
    floats = [window for window in vim.nvim.windows if vim.nvim.api.win_get_config(window)["relative"]]
    return "\n".join("\n".join(window.buffer[:]) for window in floats)


def test_interrupt_and_selection(neovim: Start, script: Path) -> None:
    vim = neovim()
    run_to_slow(vim, script)
    vim.nvim.command("ZmqInterrupt")
    vim.shows(SLOW, "[3] error", "KeyboardInterrupt")
    vim.nvim.command(f"{VALUE},{VALUE}ZmqRunSelection")
    vim.shows(VALUE, "[4] ok", "3")


def test_long_output_is_capped_with_a_count_and_an_image_is_named(neovim: Start, project: Path) -> None:
    path = project / "long.py"
    path.write_text(
        "# %%\nfor n in range(100):\n    print('line', n)\n# %%\nfrom IPython.display import Image\nImage(b'x', format='png')\n"
    )
    vim = neovim()
    vim.edit(path)
    vim.run_cell(1)
    assert vim.shows(3, "ok", "line 99").split("\n")[1:3] == ["... 88 more lines", "line 88"]
    vim.run_cell(4)
    shown = vim.shows(6, "ok", "Image object", ".png").split("\n")
    assert Path(shown[-1]).expanduser().read_bytes() == b"x"
    vim.nvim.exec_lua("vim.ui.open = function(path) _G.opened = path end")
    vim.nvim.command("ZmqOpenImage")
    assert vim.nvim.exec_lua("return _G.opened") == str(Path(shown[-1]).expanduser())


def test_help_is_there_and_its_index_is_fresh(neovim: Start, tmp_path: Path) -> None:
    vim = neovim()
    for subject in ("zmqkernel", ":ZmqRunCell", ":ZmqRunCellAndAdvance", "g:zmqkernel_cmd"):
        vim.nvim.command(f"help {subject}")
        assert Path(vim.nvim.current.buffer.name) == PLUGIN / "doc/zmqkernel.txt"
        assert f"*{subject}*" in vim.nvim.current.line
    copy = tmp_path / "doc"
    copy.mkdir()
    shutil.copy(PLUGIN / "doc/zmqkernel.txt", copy)
    vim.nvim.command(f"helptags {copy}")
    assert (copy / "tags").read_text() == (PLUGIN / "doc/tags").read_text()


def test_run_and_advance_goes_to_the_next_cell_and_stays_at_the_last(neovim: Start, script: Path) -> None:
    script.write_text("# Only words.\n" + CELLS)
    (script.parent / "go").touch()
    vim = neovim()
    vim.edit(script)
    vim.nvim.command("nmap <F5> <Plug>(zmqkernel-run-cell-and-advance)")
    for begins in (2, VALUE, SLOW - 3, SLOW - 3):
        vim.nvim.input("<F5>")
        vim.until(lambda at=begins: vim.nvim.current.window.cursor[0] == at, f"cursor in line {begins}")
    vim.shows(SLOW + 1, "ok", "through")
    assert set(vim.outputs()) == {SETUP + 1, VALUE + 1, SLOW + 1}


def test_other_pieces_run_and_so_does_a_code_action(neovim: Start, project: Path) -> None:
    path = project / "pieces.py"
    path.write_text("# %%\nx = 1\n# %%\nif x:\n    'é' + str(\n        x)\n# %%\nx + 1\n")
    vim = neovim()
    vim.edit(path)
    vim.nvim.command("ZmqRun all")
    vim.shows(8, "[3] ok", "2")
    vim.nvim.current.window.cursor = (5, 11)
    vim.nvim.command("ZmqRun expression")
    vim.shows(6, "[4] ok", "'é1'")
    run = "vim.lsp.buf.code_action({ apply = true, filter = function(one) return one.title == 'Run cells above' end })"
    vim.nvim.exec_lua(run)
    vim.shows(2, "[5] ok")
    vim.nvim.command("normal! gg0jA0")
    vim.shows(2, "[5] ok", "(stale)")


def test_what_runs_is_the_text_as_it_is_at_that_moment(neovim: Start, project: Path) -> None:
    path = project / "fresh.py"
    path.write_text("# %%\nprint('old')\n# %%\nprint('last')\n")
    vim = neovim()
    vim.edit(path)
    script = "vim.api.nvim_buf_set_lines(0, 1, 2, false, { select(1, ...) }); require('zmqkernel').run_cell()"
    for text in ("new", "newer"):
        vim.nvim.exec_lua(script, f"print('{text}')")
        assert vim.shows(2, "ok", "new").endswith(f"\n{text}")


def test_a_long_last_line_has_its_state_below(neovim: Start, project: Path) -> None:
    path = project / "wide.py"
    path.write_text("# %%\nwide = " + repr("x" * 66) + "\n")
    vim = neovim()
    vim.edit(path)
    vim.run_cell(1)
    assert vim.shows(2, "[1] ok").startswith("\n[1] ok")


def test_durations_are_as_a_person_says_them(neovim: Start, project: Path) -> None:
    path = project / "long.py"
    path.write_text("x\n")
    vim = neovim()
    vim.nvim.command(f"edit {path}")
    said: list[str] = []
    for seconds in (0.0002, 0.0071, 0.0213, 4.26, 59.7, 63.2, 7260):
        execution = {"uri": path.as_uri(), "version": 0, "execution": "e", "state": "ok", "duration": seconds}
        place = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
        vim.nvim.exec_lua("require('zmqkernel.outputs').show(...)", execution | {"range": place, "outputs": []})
        said.append(vim.outputs()[1].strip())
    assert said == ["ok", "ok 7 ms", "ok 0.02 s", "ok 4.3 s", "ok 1 min 0 s", "ok 1 min 3 s", "ok 2 h 1 min"]


def test_input_asks_in_the_editor(neovim: Start, project: Path) -> None:
    path = project / "ask.py"
    path.write_text("# %%\nprint('hello', input('who? '))\n")
    vim = neovim()
    vim.nvim.exec_lua("vim.ui.input = function(opts, done) _G.asked, _G.done = opts.prompt, done end")
    vim.edit(path)
    vim.run_cell(1)
    vim.until(lambda: vim.nvim.exec_lua("return _G.asked") == "who? ", "question")
    vim.shows(2, "[1] waiting for input")
    vim.nvim.exec_lua("_G.done('Ada')")
    vim.shows(2, "ok", "hello Ada")


def test_outputs_of_deleted_code_go_and_those_of_changed_code_are_named(neovim: Start, script: Path) -> None:
    vim = neovim()
    vim.edit(script)
    vim.run_cell(SETUP)
    vim.run_cell(VALUE)
    vim.shows(VALUE, "[2] ok")
    vim.nvim.command("8,10delete")
    vim.until(lambda: set(vim.outputs()) == {SETUP}, "only the first cell's output")
    vim.kill()

    script.write_text(CELLS.replace("frame.height.sum()", "frame.weight.sum()"))
    vim = neovim()
    vim.edit(script)
    vim.shows(SETUP, "[1] ok")
    (said,) = vim.until(vim.notified, "a word on what is missing")
    assert "[2]" in said
    assert set(vim.outputs()) == {SETUP}


def test_opening_a_file_starts_no_session_and_another_language_server_may_be_there(neovim: Start, script: Path) -> None:
    vim = neovim()
    vim.nvim.exec_lua("vim.lsp.start({ name = 'another', cmd = vim.g.zmqkernel_cmd }, { bufnr = 0 })")
    vim.edit(script)
    assert vim.request("textDocument/hover", VALUE, 1) is None
    assert discovery.sessions() == []
    vim.nvim.exec_lua("vim.lsp.start({ name = 'another', cmd = vim.g.zmqkernel_cmd }, { bufnr = 0 })")
    vim.run_cell(SETUP)
    vim.shows(SETUP, "[1] ok")


def test_outputs_stay_under_their_code_while_lines_come_and_go_above_it(neovim: Start, project: Path) -> None:
    path = project / "busy.py"
    path.write_text(
        "# %%\nimport time\nfrom pathlib import Path\n# %%\nwhile not Path('go').exists():\n"
        "    print('tick', flush=True)\n    time.sleep(0.01)\n"
    )
    vim = neovim()
    vim.edit(path)
    vim.run_cell(1)
    vim.run_cell(4)
    vim.shows(7, "running", "tick")
    for _ in range(10):
        vim.nvim.command("call append(0, ['# above', '# above'])")
        vim.nvim.command("1delete")
        vim.shows(vim.nvim.funcs.line("$"), "running", "tick")
    (project / "go").touch()
    vim.shows(17, "[2] ok", "tick")
    vim.shows(13, "[1] ok")
    assert set(vim.outputs()) == {13, 17}
