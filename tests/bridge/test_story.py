"""The main job with an editor that has no screen: real bridge, real session, real kernel."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bridge.bare_editor import BareEditor, text_of, wait_until
from zmqkernel.client import Client, discovery
from zmqkernel.paths import Session
from zmqkernel.protocol.messages import Origin

Start = Callable[..., BareEditor]

CELLS = """\
# %%
import os, time
from pathlib import Path
print("pid", os.getpid())

# %% a value
40 + 2

# %% an error
1 / 0

# %% slow
print("begun", flush=True)
while not Path("go").exists():
    time.sleep(0.02)
print("through")
"""
FIRST, VALUE, ERROR, SLOW = 0, 5, 8, 11


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(CELLS)
    return path


def run_all(bare: BareEditor, uri: str) -> dict[int, str]:
    """Run the four cells; the last one is running when this returns."""
    executions = {line: bare.run_cell(uri, line) for line in (FIRST, VALUE, ERROR)}
    bare.finished(executions[ERROR])  # an error aborts what is queued behind it
    executions[SLOW] = bare.run_cell(uri, SLOW)
    bare.output(executions[SLOW], lambda p: "begun" in text_of(p))
    return executions


def test_after_the_bridge_was_killed_every_output_is_back_and_the_running_cell_goes_on(
    editor: Start, script: Path
) -> None:
    bare = editor()
    executions = run_all(bare, bare.open(script))
    before = {line: bare.finished(executions[line]) for line in (FIRST, VALUE, ERROR)}
    assert [before[line]["state"] for line in (FIRST, VALUE, ERROR)] == ["ok", "ok", "error"]
    assert before[VALUE]["sender"] == f"bare {os.getpid()}"
    bare.kill()

    script.write_text("import sys  # a line above\n" + CELLS)
    bare = editor()
    uri = bare.open(script)
    for line, was in before.items():
        now = bare.finished(executions[line])
        assert now["range"]["start"]["line"] == line + 1
        assert {key: now[key] for key in ("outputs", "count", "sender", "duration")} == {
            key: was[key] for key in ("outputs", "count", "sender", "duration")
        }
    running = bare.output(executions[SLOW], lambda p: True)
    assert (running["state"], text_of(running)) == ("running", "begun\n")
    (script.parent / "go").touch()
    done = bare.finished(executions[SLOW])
    assert (done["uri"], done["state"], text_of(done)) == (uri, "ok", "begun\nthrough\n")
    assert not [note for note in bare.notifications if note["method"] == "zmqkernel/unmatched"]


def test_a_kernel_that_crashes_answers_the_pending_cell_with_the_reason_and_the_session_goes_on(
    editor: Start, script: Path
) -> None:
    bare = editor()
    uri = bare.open(script)
    executions = run_all(bare, uri)
    queued = bare.run_cell(uri, VALUE)
    pid = int(text_of(bare.finished(executions[FIRST])).split()[1])
    os.kill(pid, signal.SIGSEGV)

    died = bare.finished(executions[SLOW])
    assert died["state"] == "died"
    assert text_of(died).startswith("begun\n")
    assert "SIGSEGV" in died["outputs"][-1]["evalue"]
    assert bare.finished(queued)["state"] == "died"
    again = bare.run_cell(uri, FIRST)
    done = bare.finished(again)
    assert done["state"] == "ok"
    assert int(text_of(done).split()[1]) != pid


def test_code_that_changed_while_the_editor_was_away_does_not_get_the_old_output(editor: Start, script: Path) -> None:
    bare = editor()
    execution = bare.run_cell(bare.open(script), VALUE)
    bare.finished(execution)
    bare.exit()

    script.write_text(CELLS.replace("40 + 2", "40 + 3"))
    bare = editor()
    bare.open(script)
    (unmatched,) = bare.wait_for("zmqkernel/unmatched")["executions"]
    assert (unmatched["execution"], unmatched["source"], unmatched["range"]) == (execution, "40 + 2", None)
    assert text_of(unmatched) == "42"
    assert not [note for note in bare.notifications if note["method"] == "zmqkernel/output"]


def test_opening_a_file_starts_no_session(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    where = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 2}}
    assert bare.request("textDocument/hover", where) is None
    assert not (bare.request("textDocument/completion", where) or {}).get("items")
    assert discovery.sessions() == []


def test_what_another_client_runs_in_this_document_is_shown_with_its_name(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    mine = bare.run_cell(uri, FIRST)
    bare.finished(mine)
    with Client.connect(Session.at(script), sender="somebody else") as client:
        origin = Origin(uri=uri, path=str(script), line=6, cell="theirs")
        theirs = client.execute("40 + 2", origin=origin)
        shown = bare.finished(theirs.msg_id)
        assert (shown["sender"], shown["range"]["start"]["line"], text_of(shown)) == ("somebody else", VALUE, "42")
        lost = client.execute("'not in the file'", origin=origin)
        unmatched = bare.wait_for("zmqkernel/unmatched")["executions"]
        assert [one["execution"] for one in unmatched] == [lost.msg_id]
    again = bare.run_cell(uri, VALUE)
    assert bare.output(again, lambda p: p.get("replaces"))["replaces"] == [theirs.msg_id]


def test_outputs_move_with_the_text_and_go_with_it(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    slow, value = bare.run_cell(uri, SLOW), bare.run_cell(uri, VALUE)
    bare.output(value, lambda p: p["state"] == "queued")
    bare.edit(uri, (VALUE, 0), (VALUE, 0), "# %% new\n\n")
    seen = len(bare.notifications)
    (script.parent / "go").touch()
    bare.finished(slow)
    assert bare.finished(value)["range"]["start"]["line"] == VALUE + 2
    bare.edit(uri, (VALUE + 2, 0), (ERROR + 2, 0), "")
    assert bare.output(value, lambda p: p["range"] is None, after=seen)["source"] == "40 + 2"


def test_input_is_asked_of_the_editor_and_closed_when_another_client_answered(editor: Start, project: Path) -> None:
    path = project / "ask.py"
    path.write_text("# %%\nname = input('who? ')\nprint(name)\n")
    bare, plain = editor(), editor(plugin=False)
    uri = bare.open(path)
    execution = bare.run_cell(uri, 0)
    asked = bare.wait_for("zmqkernel/inputRequested")
    assert (asked["execution"], asked["prompt"], asked["password"]) == (execution, "who? ", False)
    plain.open(path)
    assert "zmqkernel attach project" in plain.wait_for("window/showMessage")["message"]
    bare.request("zmqkernel/answerInput", {"request": asked["request"], "value": "Ada"})
    assert "Ada\n" in text_of(bare.finished(execution))
    assert bare.wait_for("zmqkernel/inputClosed") == {"request": asked["request"]}

    seen = len(bare.notifications)
    execution = bare.run_cell(uri, 0)
    asked = bare.wait_for("zmqkernel/inputRequested", after=seen)
    with Client.connect(Session.at(path)) as client:
        client.answer(asked["request"], "Grace")
    assert bare.wait_for("zmqkernel/inputClosed", after=seen) == {"request": asked["request"]}
    assert "Grace\n" in text_of(bare.finished(execution))


def test_interrupt_ends_the_running_cell(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    executions = run_all(bare, uri)
    bare.command("interrupt", {"uri": uri})
    ended = bare.finished(executions[SLOW])
    assert (ended["state"], ended["outputs"][-1]["ename"]) == ("error", "KeyboardInterrupt")


def test_a_selection_runs_and_its_traceback_has_the_documents_lines(editor: Start, project: Path) -> None:
    path = project / "lines.py"
    path.write_bytes(b"# %%\r\nx = 1\r\nif x:\r\n    y = 2\r\n    raise ValueError(y)\r\n")
    bare = editor()
    uri = bare.open(path)
    place = {"start": {"line": 2, "character": 0}, "end": {"line": 5, "character": 0}}
    bare.finished(bare.run_cell(uri, 1))
    execution = bare.command("runSelection", {"uri": uri, "range": place})["execution"]
    failed = bare.finished(execution)
    assert failed["outputs"][-1]["ename"] == "ValueError"
    trace = "".join(failed["outputs"][-1]["traceback"])
    assert f"{path}:5" in trace
    assert failed["range"] == {"start": {"line": 2, "character": 0}, "end": {"line": 4, "character": 23}}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_right_cell_runs_after_edits_behind_characters_that_are_no_line_ends(
    editor: Start, project: Path, encoding: str
) -> None:
    path = project / "odd.py"
    path.write_text("# %%\na = '\f\u2028𝒳é'\n# %%\nprint('second')\n# %%\nprint('third')\n")
    bare = editor(encodings=[encoding])
    uri = bare.open(path)
    width = len("a = '\f\u2028𝒳é".encode("utf-8" if encoding == "utf-8" else "utf-16-le")) // (
        1 if encoding == "utf-8" else 2
    )
    bare.edit(uri, (1, width), (1, width), "!")
    bare.edit(uri, (3, 7), (3, 13), "SECOND")
    bare.finished(bare.run_cell(uri, 1))
    second = bare.finished(bare.run_cell(uri, 3))
    assert text_of(second) == "SECOND\n"
    bare.edit(uri, (6, 0), (6, 0), "# %%\nprint(a.encode())\n")
    assert text_of(bare.finished(bare.run_cell(uri, 6))) == str("\f\u2028𝒳é!".encode()) + "\n"


def test_the_outputs_of_a_session_that_was_shut_down_are_back_and_running_starts_it_again(
    editor: Start, script: Path
) -> None:
    bare = editor()
    value = bare.run_cell(bare.open(script), VALUE)
    bare.finished(value)
    bare.exit()
    with Client.connect(Session.at(script), start=False) as client:
        client.shutdown()
    wait_until(lambda: not discovery.is_alive(Session.at(script)), "end of the session")

    bare = editor()
    uri = bare.open(script)
    assert text_of(bare.finished(value)) == "42"
    again = bare.finished(bare.run_cell(uri, VALUE))
    assert (again["state"], text_of(again)) == ("ok", "42")


def test_a_session_that_another_client_ended_and_started_again_goes_on_in_an_open_editor(
    editor: Start, script: Path
) -> None:
    bare = editor()
    uri = bare.open(script)
    first = bare.finished(bare.run_cell(uri, VALUE))
    with Client.connect(Session.at(script), start=False) as client:
        client.shutdown()
    wait_until(lambda: not discovery.is_alive(Session.at(script)), "end of the session")
    with Client.connect(Session.at(script)) as client:
        assert client.execute("answer = 43").wait().status == "ok"
    execution = bare.run_cell(uri, VALUE)
    assert text_of(bare.finished(execution)) == "42"
    assert bare.output(execution, lambda p: p.get("replaces"))["replaces"] == [first["execution"]]
    bare.edit(uri, (6, 0), (6, 6), "answer")
    assert text_of(bare.finished(bare.run_cell(uri, VALUE))) == "43"
