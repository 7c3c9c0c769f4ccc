"""An ``input()`` outlives the editor that it was asked of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bridge.bare_editor import BareEditor, ReplyError, text_of

Start = Callable[..., BareEditor]


def test_a_new_bridge_asks_again_and_one_answer_closes_it(editor: Start, project: Path) -> None:
    path = project / "ask.py"
    path.write_text(
        "# %%\nimport getpass\nname = input('who? ')\nword = getpass.getpass('word? ')\nprint(name, len(word))\n"
    )
    bare = editor()
    execution = bare.run_cell(bare.open(path), 0)
    first = bare.wait_for("zmqkernel/inputRequested")
    bare.kill()

    bare, plain = editor(), editor(plugin=False)
    bare.open(path)
    assert bare.wait_for("zmqkernel/inputRequested") == first
    assert bare.output(execution, lambda p: p["state"] == "waiting")
    plain.open(path)
    assert "zmqkernel attach project" in plain.wait_for("window/showMessage")["message"]
    bare.request("zmqkernel/answerInput", {"request": first["request"], "value": "Ada"})
    assert bare.wait_for("zmqkernel/inputClosed") == {"request": first["request"]}
    second = bare.wait_for("zmqkernel/inputRequested", lambda p: p["request"] != first["request"])
    assert (second["prompt"], second["password"]) == ("word? ", True)
    with pytest.raises(ReplyError, match="answered or closed"):
        bare.request("zmqkernel/answerInput", {"request": first["request"], "value": "again"})
    bare.request("zmqkernel/answerInput", {"request": second["request"], "value": "secret"})
    done = bare.finished(execution)
    assert (done["state"], text_of(done).split("\n")[-2]) == ("ok", "Ada 6")
    assert not [note for note in plain.notifications if note["method"].startswith("zmqkernel/")]
