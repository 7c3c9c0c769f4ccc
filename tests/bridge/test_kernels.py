"""What an editor is told when a session's kernel or supervisor dies: real bridge, real session."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bridge.bare_editor import BareEditor, text_of, wait_until
from zmqkernel.client import Client, discovery
from zmqkernel.paths import Session

Start = Callable[..., BareEditor]

CELLS = """\
# Only words.

# %%
import os, time
print("pid", os.getpid())

# %% [markdown]
# More words.

# %% slow
print("begun", flush=True)
time.sleep(1000)
"""
WORDS, FIRST, MARKDOWN, SLOW = 0, 2, 6, 9


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(CELLS)
    return path


def kernel_pid(bare: BareEditor, execution: str) -> int:
    return int(text_of(bare.finished(execution)).split()[1])


def test_outputs_of_a_kernel_that_died_are_told_as_such_and_still_are_for_who_opens_the_document_later(
    editor: Start, script: Path
) -> None:
    bare, plain = editor(), editor(plugin=False)
    uri = bare.open(script)
    first = bare.run_cell(uri, FIRST)
    pid = kernel_pid(bare, first)
    assert bare.finished(first)["earlierKernel"] is False
    plain_uri = plain.open(script)
    where = {"textDocument": {"uri": plain_uri}, "position": {"line": FIRST, "character": 2}}
    wait_until(lambda: plain.request("textDocument/hover", where) is not None, "output of the first cell")

    os.kill(pid, signal.SIGKILL)
    told = bare.wait_for("zmqkernel/kernelRestarted")
    assert (told["session"], told["expected"]) == ("project", False)
    assert "SIGKILL" in told["reason"]
    assert bare.output(first, lambda p: p["earlierKernel"])["state"] == "ok"
    assert told["reason"] in plain.wait_for("window/showMessage")["message"]
    again = bare.run_cell(uri, FIRST)
    assert kernel_pid(bare, again) != pid
    assert bare.finished(again)["earlierKernel"] is False

    with Client.connect(Session.at(script), start=False) as client:
        client.restart()
    bare.output(again, lambda p: p["earlierKernel"])
    assert bare.wait_for("zmqkernel/kernelRestarted", lambda p: p["expected"]) == {
        "session": "project",
        "reason": "the kernel was restarted",
        "expected": True,
    }
    bare.kill()
    bare = editor()
    bare.open(script)
    assert bare.finished(again)["earlierKernel"] is True
    assert not [note for note in bare.notifications if note["method"] == "zmqkernel/kernelRestarted"]


def test_a_new_kernel_is_told_once_however_many_documents_are_open(editor: Start, script: Path) -> None:
    other = script.with_name("other.py")
    other.write_text("# %%\n'other'\n")
    bare = editor()
    uri, other_uri = bare.open(script), bare.open(other)
    pid = kernel_pid(bare, bare.run_cell(uri, FIRST))
    shown = bare.run_cell(other_uri, 0)
    bare.finished(shown)
    os.kill(pid, signal.SIGKILL)
    bare.output(shown, lambda p: p["earlierKernel"])
    bare.wait_for("zmqkernel/kernelRestarted")
    for document, line in ((uri, FIRST), (other_uri, 0)):
        bare.finished(bare.run_cell(document, line))
    assert [note["method"] for note in bare.notifications].count("zmqkernel/kernelRestarted") == 1


def kill_supervisor(script: Path) -> int:
    """SIGKILL; returns the pid that it had."""
    with Client.connect(Session.at(script), start=False) as client:
        supervisor = client.info().supervisor_pid
    os.kill(supervisor, signal.SIGKILL)
    return supervisor


def test_adoption_goes_unnoticed_in_the_editor(editor: Start, script: Path) -> None:
    """The bridge starts the supervisor that was killed again; the cell that ran goes on, and no variables are gone."""
    bare = editor()
    uri = bare.open(script)
    first = bare.run_cell(uri, FIRST)
    pid = kernel_pid(bare, first)
    slow = bare.run_cell(uri, SLOW)
    bare.output(slow, lambda p: "begun" in text_of(p))
    old = kill_supervisor(script)
    with Client.connect(Session.at(script)) as client:
        assert client.info().supervisor_pid != old
        client.interrupt()
    assert bare.finished(slow)["outputs"][-1]["ename"] == "KeyboardInterrupt"
    assert kernel_pid(bare, bare.run_cell(uri, FIRST)) == pid
    assert "zmqkernel/kernelRestarted" not in [note["method"] for note in bare.notifications]
    os.kill(pid, signal.SIGKILL)
    told = bare.wait_for("zmqkernel/kernelRestarted")
    assert "SIGKILL" in told["reason"]  # and not that a supervisor died some time ago


def test_when_supervisor_and_kernel_are_killed_the_pending_cell_is_answered_and_the_next_one_runs(
    editor: Start, script: Path
) -> None:
    bare = editor()
    uri = bare.open(script)
    pid = kernel_pid(bare, bare.run_cell(uri, FIRST))
    slow = bare.run_cell(uri, SLOW)
    bare.output(slow, lambda p: "begun" in text_of(p))
    kill_supervisor(script)
    os.kill(pid, signal.SIGKILL)
    died = bare.finished(slow)
    assert died["state"] == "died"
    assert text_of(died).startswith("begun\n")
    assert bare.output(slow, lambda p: p["earlierKernel"])
    assert not bare.wait_for("zmqkernel/kernelRestarted")["expected"]
    assert kernel_pid(bare, bare.run_cell(uri, FIRST)) != pid


def test_a_kept_cell_runs_when_it_is_resumed(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    pid = kernel_pid(bare, bare.run_cell(uri, FIRST))
    slow = bare.run_cell(uri, SLOW)
    bare.output(slow, lambda p: "begun" in text_of(p))
    waiting = bare.run_cell(uri, FIRST)
    os.kill(pid, signal.SIGKILL)
    kept = bare.finished(waiting)
    assert kept["state"] == "died"
    assert "zmqkernel resume" in kept["outputs"][-1]["evalue"]
    with Client.connect(Session.at(script), start=False) as client:
        assert client.info().held == [waiting]
        new = client.resume().executions[waiting]
        assert client.info().held == []
    assert kernel_pid(bare, new) != pid


def test_cells_without_code_are_passed_over(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)

    def argument(line: int) -> dict[str, object]:
        return {"uri": uri, "position": {"line": line, "character": 0}}

    def after(line: int) -> int | None:
        position = bare.command("nextCell", argument(line))["position"]
        return position and position["line"]

    assert bare.command("runCell", argument(WORDS)) == {"execution": None}
    assert bare.command("runCell", argument(MARKDOWN)) == {"execution": None}
    assert discovery.sessions() == []
    assert [after(line) for line in (WORDS, FIRST, FIRST + 1, MARKDOWN, SLOW)] == [FIRST, SLOW, SLOW, SLOW, None]


def test_a_cell_that_asks_is_told_as_waiting_before_the_question(editor: Start, project: Path) -> None:
    path = project / "ask.py"
    path.write_text("# %%\nprint(input('who? '))\n")
    bare = editor()
    execution = bare.run_cell(bare.open(path), 0)
    asked = bare.wait_for("zmqkernel/inputRequested")
    names = [(note["method"], note["params"].get("state")) for note in bare.notifications]
    assert names.index(("zmqkernel/output", "waiting")) < names.index(("zmqkernel/inputRequested", None))
    seen = len(bare.notifications)
    bare.request("zmqkernel/answerInput", {"request": asked["request"], "value": "Ada"})
    assert bare.output(execution, lambda p: p["state"] == "ok", after=seen)
