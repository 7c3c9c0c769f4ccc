"""Every way to run code, the queue, and what an editor shows of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.bare_editor import BareEditor, Json, ReplyError, text_of

Start = Callable[..., BareEditor]

CELLS = """\
# %% one
print("one")

# %% [markdown] words
# no code here

# %% two
print("two"); x = (
    40
    + 2
)
for number in range(2):
    print("number", number)

# %% three
print("three")
"""
ONE, WORDS, TWO, THREE = 0, 3, 6, 14
SLOW = "# %% slow\nfrom pathlib import Path\nimport time\nwhile not Path('go').exists():\n    time.sleep(0.02)\n"


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "cells.py"
    path.write_text(CELLS)
    return path


def at(uri: str, line: int, character: int = 0) -> Json:
    return {"uri": uri, "position": {"line": line, "character": character}}


def texts(bare: BareEditor, executions: list[str]) -> list[str]:
    return [text_of(bare.finished(execution)).split("\n")[0] for execution in executions]


def lens(bare: BareEditor, uri: str, line: int, word: str) -> Json:
    """The command of the first lens at a line whose title has this word."""
    lenses = bare.ask("codeLens", uri)
    return next(
        one["command"] for one in lenses if one["range"]["start"]["line"] == line and word in one["command"]["title"]
    )


def test_above_below_all_and_to_here(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    for command, line, wanted in (
        ("runAbove", TWO + 2, ["one"]),
        ("runToHere", TWO + 2, ["one", "two"]),
        ("runBelow", TWO + 2, ["two", "three"]),
        ("runAll", ONE, ["one", "two", "three"]),
        ("runAbove", ONE, []),
        ("runToHere", WORDS, ["one"]),
    ):
        assert texts(bare, bare.command(command, at(uri, line))["executions"]) == wanted


def test_an_error_keeps_the_cells_behind_it_from_running(editor: Start, script: Path) -> None:
    script.write_text(CELLS.replace('print("two")', "1 / 0"))
    bare = editor()
    executions = bare.command("runAll", {"uri": bare.open(script)})["executions"]
    assert [bare.finished(execution)["state"] for execution in executions] == ["ok", "error", "aborted"]


def test_run_and_advance_says_where_the_next_code_is_and_moves_the_cursor_of_a_plain_editor(
    editor: Start, script: Path
) -> None:
    plain = editor(plugin=False, capabilities={"window": {"showDocument": {"support": True}}})
    uri = plain.open(script)
    answer = plain.command("runCellAndAdvance", at(uri, ONE + 1))
    assert answer["position"] == {"line": TWO, "character": 0}
    asked = plain.wait_for("window/showDocument")
    assert (asked["uri"], asked["selection"]["start"], asked["takeFocus"]) == (uri, answer["position"], True)
    assert plain.command("runCellAndAdvance", at(uri, THREE))["position"] is None


@pytest.mark.parametrize(
    ("command", "line", "character", "shown"),
    [
        ("runLine", 7, 3, "two"),  # goes on below: the whole line cannot run alone, the statement at its start can
        ("runLine", 12, 6, "number 1"),
        ("runLine", 11, 0, "number 0"),
        ("runExpression", 9, 5, "42"),
        ("runExpression", 11, 18, "range(0, 2)"),
        ("runExpression", 12, 2, "number 1"),
    ],
)
def test_a_line_and_an_expression(
    editor: Start, script: Path, command: str, line: int, character: int, shown: str
) -> None:
    bare = editor()
    uri = bare.open(script)
    bare.finished(bare.run_cell(uri, TWO))
    done = bare.finished(bare.command(command, at(uri, line, character))["execution"])
    assert (done["state"], text_of(done).split("\n")[0]) == ("ok", shown)


def test_a_selection_runs_with_its_columns_and_its_indentation(editor: Start, project: Path) -> None:
    path = project / "selected.py"
    path.write_text("if True:\n    a = '𝒳' + 'b'\n    a\n    # %time a\n    # !echo shell\n")
    bare = editor()
    uri = bare.open(path)

    def run(start: tuple[int, int], end: tuple[int, int], **more: Any) -> str:
        places = [{"line": line, "character": character} for line, character in (start, end)]
        argument = {"uri": uri, "range": {"start": places[0], "end": places[1]}, **more}
        return text_of(bare.finished(bare.command("runSelection", argument)["execution"]))

    assert run((1, 8), (1, 12)) == "'𝒳'"
    assert run((1, 4), (3, 0)) == "'𝒳b'"
    assert run((1, 8), (1, 18)) == "'𝒳b'"
    assert "shell" in run((4, 0), (5, 0))
    bare.edit(uri, (0, 0), (0, 0), "\n")
    with pytest.raises(ReplyError, match="has changed"):
        run((2, 4), (4, 0), version=1)
    assert run((2, 4), (4, 0), version=2) == "'𝒳b'"
    with pytest.raises(ReplyError, match="no code in the selection"):
        run((0, 0), (0, 0))


def test_a_lens_runs_the_text_of_its_cell_as_it_is_now(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    (argument,) = lens(bare, uri, TWO, "Run cell")["arguments"]
    gone = lens(bare, uri, THREE, "Run cell")["arguments"][0]
    bare.edit(uri, (ONE, 0), (ONE, 0), "# %% new\nprint('new')\n\n")
    bare.edit(uri, (TWO + 4, 7), (TWO + 4, 10), "TWO")
    bare.edit(uri, (THREE + 3, 0), (THREE + 5, 0), "")
    done = bare.finished(bare.command("runCell", argument)["execution"])
    assert text_of(done).startswith("TWO\n")
    assert done["range"]["start"]["line"] == TWO + 3
    with pytest.raises(ReplyError, match="cell is gone"):
        bare.command("runCell", gone)


def test_lenses_show_how_the_last_run_went_and_ask_to_be_asked_again(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    titles = [(one["range"]["start"]["line"], one["command"]["title"]) for one in bare.ask("codeLens", uri)]
    assert titles == [
        (ONE, "▶ Run cell"),
        (TWO, "▶ Run cell"),
        (TWO, "Run above"),
        (THREE, "▶ Run cell"),
        (THREE, "Run above"),
    ]
    bare.finished(bare.run_cell(uri, ONE))
    bare.wait_for("workspace/codeLens/refresh")
    bare.wait_for("workspace/inlayHint/refresh")
    assert lens(bare, uri, ONE, "[1] ✓")
    seen = len(bare.notifications)
    bare.edit(uri, (1, 7), (1, 10), "ONE")
    assert bare.wait_for("zmqkernel/output", lambda p: p["stale"], after=seen)
    assert "stale" in lens(bare, uri, ONE, "[1] ✓")["title"]
    bare.wait_for("workspace/codeLens/refresh", after=seen)
    seen = len(bare.notifications)
    bare.edit(uri, (1, 7), (1, 10), "one")
    bare.wait_for("zmqkernel/output", lambda p: not p["stale"], after=seen)


def test_an_editor_that_cannot_refresh_is_not_asked(editor: Start, script: Path) -> None:
    bare = editor(capabilities={})
    bare.finished(bare.run_cell(bare.open(script), ONE))
    assert not [note for note in bare.notifications if "refresh" in note["method"] or "progress" in note["method"]]


def test_the_queue_is_seen_and_a_cancelled_progress_interrupts(editor: Start, project: Path, script: Path) -> None:
    slow = project / "slow.py"
    slow.write_text(SLOW)
    bare = editor(capabilities={"window": {"workDoneProgress": True}})
    one, other = bare.open(slow), bare.open(script)
    running = bare.run_cell(one, 0)
    waiting = bare.run_cell(other, TWO)
    bare.output(running, lambda p: p["state"] == "running")
    queue = bare.command("queue", {"uri": other})["executions"]
    assert [(entry["execution"], entry["uri"]) for entry in queue] == [(running, one), (waiting, other)]
    assert lens(bare, other, TWO, "queued, 1 before it")
    assert lens(bare, one, 0, "running")["command"] == "zmqkernel.server.interrupt"
    token = bare.wait_for("window/workDoneProgress/create")["token"]
    begun = bare.wait_for("$/progress", lambda p: p["value"]["kind"] == "begin")
    assert (begun["token"], begun["value"]["title"], begun["value"]["cancellable"]) == (token, "Running slow", True)
    bare.notify("window/workDoneProgress/cancel", {"token": token})
    assert bare.finished(running)["outputs"][-1]["ename"] == "KeyboardInterrupt"
    assert bare.finished(waiting)["state"] == "aborted"
    bare.wait_for("$/progress", lambda p: p["token"] == token and p["value"]["kind"] == "end")
    with pytest.raises(ReplyError, match="does not run any more"):
        bare.command("interrupt", {"uri": one, "execution": running})


def test_one_document_in_two_editors(editor: Start, script: Path) -> None:
    mine, theirs = editor(), editor()
    uri = mine.open(script)
    mine.finished(mine.run_cell(uri, ONE))
    theirs.open(script)
    theirs.edit(uri, (0, 0), (0, 0), "import os\n\n")
    execution = mine.run_cell(uri, THREE)
    assert mine.finished(execution)["range"]["start"]["line"] == THREE
    assert theirs.finished(execution)["range"]["start"]["line"] == THREE + 2
    again = theirs.run_cell(uri, THREE + 2)
    assert mine.output(again, lambda p: p.get("replaces"))["replaces"] == [execution]
    assert mine.finished(again)["state"] == theirs.finished(again)["state"] == "ok"
    assert lens(mine, uri, THREE, "✓") and lens(theirs, uri, THREE + 2, "✓")


def test_two_projects_have_two_sessions_in_one_editor(editor: Start, script: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").touch()
    (other / "cells.py").write_text("# %%\nnumber = 'elsewhere'\n# %%\nprint(number)\n")
    bare = editor()
    uri, uri_other = bare.open(script), bare.open(other / "cells.py")
    bare.finished(bare.run_cell(uri, TWO))
    assert texts(bare, bare.command("runAll", {"uri": uri_other})["executions"])[1] == "elsewhere"
    assert text_of(bare.finished(bare.command("runLine", at(uri, 12))["execution"])) == "number 1\n"


def test_a_document_is_known_by_its_real_path(editor: Start, project: Path) -> None:
    path = project / "a+b c.py"
    path.write_text("# %%\n1 + 1\n")
    (project / "link.py").symlink_to(path)
    bare = editor()
    execution = bare.run_cell(bare.open(path), 0)
    bare.finished(execution)
    bare.exit()
    for uri in (project.as_uri() + "/a%2Bb%20c.py", project.as_uri() + "/link.py"):
        bare = editor()
        item = {"uri": uri, "languageId": "python", "version": 1, "text": path.read_text()}
        bare.notify("textDocument/didOpen", {"textDocument": item})
        assert (bare.finished(execution)["uri"], text_of(bare.finished(execution))) == (uri, "2")
        bare.kill()
