"""Results where an editor has only LSP: actions, hints, diagnostics, hover, folding, symbols; and what a plugin switches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bridge.bare_editor import BareEditor, Json, text_of

Start = Callable[..., BareEditor]

CELLS = """\
import time

# %% values
import pandas
def fails(x):
    return 1 / x

# %%% deep
40 + 2

# %% [markdown] notes
# hello

# %% frame
pandas.DataFrame({"a": [1, 2], "b": 0, "c": 0})

# %% fails
value = 0
if True:
    fails(value)
"""
VALUES, DEEP, NOTES, FRAME, FAILS = 2, 7, 10, 13, 16


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "results.py"
    path.write_text(CELLS)
    return path


def run(bare: BareEditor, uri: str, *lines: int) -> list[Json]:
    return [bare.finished(bare.run_cell(uri, line)) for line in lines]


def published(bare: BareEditor, count: int, after: int = 0) -> list[Json]:
    return bare.wait_for("textDocument/publishDiagnostics", lambda p: len(p["diagnostics"]) == count, after)[
        "diagnostics"
    ]


def test_an_exception_is_a_diagnostic_until_its_line_is_edited(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    run(bare, uri, VALUES, FAILS)
    (error,) = published(bare, 1)
    assert (error["message"], error["severity"]) == ("ZeroDivisionError: division by zero", 1)
    assert error["range"] == {"start": {"line": FAILS + 3, "character": 4}, "end": {"line": FAILS + 3, "character": 16}}
    frames = [
        (one["location"]["uri"], one["location"]["range"]["start"]["line"]) for one in error["relatedInformation"]
    ]
    assert frames == [(uri, FAILS + 3), (uri, VALUES + 3)]
    seen = len(bare.notifications)
    bare.edit(uri, (0, 0), (0, 0), "import os\n")
    (moved,) = published(bare, 1, seen)
    assert moved["range"]["start"]["line"] == FAILS + 4
    bare.edit(uri, (FAILS + 2, 8), (FAILS + 2, 9), "0 ")  # another line of the cell
    bare.edit(uri, (FAILS + 4, 10), (FAILS + 4, 15), "1")
    assert published(bare, 0, seen) == []


def test_it_goes_when_the_cell_runs_again_or_the_kernel_is_another(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    run(bare, uri, VALUES, FAILS)
    published(bare, 1)
    seen = len(bare.notifications)
    run(bare, uri, FAILS)
    assert published(bare, 0, seen) == []
    published(bare, 1, seen)
    bare.kill()

    bare = editor()
    uri = bare.open(script)
    (error,) = published(bare, 1)  # it is there again after the editor was closed
    assert error["range"]["start"]["line"] == FAILS + 3
    path = script.with_name("end.py")
    path.write_text("import os\nos._exit(3)\n")
    seen = len(bare.notifications)
    bare.run_cell(bare.open(path), 0)
    assert published(bare, 0, seen) == []


def test_an_interrupt_is_no_diagnostic_and_a_syntax_error_is_one(editor: Start, project: Path) -> None:
    path = project / "a.py"
    path.write_text("# %%\nraise KeyboardInterrupt\n# %%\nx = 1\nif x\n    pass\n")
    bare = editor()
    uri = bare.open(path)
    run(bare, uri, 0, 2)
    (error,) = published(bare, 1)
    assert (error["code"], error["range"]["start"]["line"]) == ("SyntaxError", 4)


def test_hints_have_the_value_and_the_shape(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    run(bare, uri, VALUES, DEEP, FRAME)
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    hints = {one["position"]["line"]: one for one in bare.ask("inlayHint", uri, range=whole)}
    assert hints[DEEP + 1]["label"].startswith("42")
    assert hints[DEEP + 1]["position"]["character"] == 6
    assert "2 × 3" in hints[FRAME + 1]["label"]
    assert "tooltip" in hints[FRAME + 1]
    bare.edit(uri, (DEEP + 1, 0), (DEEP + 1, 1), "5")
    bare.wait_for("zmqkernel/output", lambda p: p["stale"])
    assert DEEP + 1 not in {one["position"]["line"] for one in bare.ask("inlayHint", uri, range=whole)}


def test_every_run_command_is_an_action_that_runs_what_is_there_then(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    place = {"start": {"line": DEEP + 1, "character": 0}, "end": {"line": DEEP + 1, "character": 2}}
    actions = {
        one["title"]: one["command"] for one in bare.ask("codeAction", uri, range=place, context={"diagnostics": []})
    }
    assert set(actions) == {
        *(
            "Run selection",
            "Run cell",
            "Run cell and advance",
            "Run line",
            "Run expression",
            "Run cells above",
            "Run to here",
        ),
        *("Run this cell and below", "Run all cells"),
    }
    bare.edit(uri, (0, 0), (0, 0), "\n\n")
    name, argument = actions["Run cell"]["command"], actions["Run cell"]["arguments"]
    answer = bare.request("workspace/executeCommand", {"command": name, "arguments": argument})
    assert text_of(bare.finished(answer["execution"])) == "42"
    for context in ({"diagnostics": [], "triggerKind": 2}, {"diagnostics": [], "only": ["quickfix"]}):
        assert bare.ask("codeAction", uri, range=place, context=context) == []
    assert bare.ask("codeAction", uri, range=place, context={"diagnostics": [], "only": ["zmqkernel"]})


def test_hover_on_a_marker_is_the_last_output(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    run(bare, uri, VALUES, DEEP)
    hover = bare.ask("hover", uri, position={"line": DEEP, "character": 3})["contents"]["value"]
    assert hover.startswith("[2] ✓") and "```text\n42\n```" in hover
    assert bare.ask("hover", uri, position={"line": NOTES, "character": 3}) is None


def test_folds_and_the_outline(editor: Start, script: Path) -> None:
    bare = editor()
    uri = bare.open(script)
    folds = [(one["startLine"], one["endLine"]) for one in bare.ask("foldingRange", uri)]
    assert folds == [(VALUES, DEEP + 1), (DEEP, DEEP + 1), (NOTES, NOTES + 1), (FRAME, FRAME + 1), (FAILS, FAILS + 3)]
    symbols = bare.ask("documentSymbol", uri)
    assert [one["name"] for one in symbols] == ["import time", "values", "notes", "frame", "fails"]
    assert [one["name"] for one in symbols[1]["children"]] == ["deep"]
    assert symbols[1]["range"]["end"]["line"] == NOTES - 1
    flat = editor(capabilities={})
    assert [one["name"] for one in flat.ask("documentSymbol", flat.open(script))][2] == "deep"


def test_a_plugin_switches_features_and_is_offered_no_commands(editor: Start, script: Path) -> None:
    off = {"lenses": False, "hints": False, "diagnostics": False, "folding": False, "symbols": False, "actions": False}
    bare = editor(plugin={"protocol": 1, "features": off})
    offered = set(bare.initialized["capabilities"])
    assert not offered & {"codeLensProvider", "inlayHintProvider", "foldingRangeProvider", "documentSymbolProvider"}
    assert not offered & {"codeActionProvider", "executeCommandProvider"}
    uri = bare.open(script)
    run(bare, uri, VALUES, FAILS)
    told = {note["method"] for note in bare.notifications}
    assert "zmqkernel/output" in told and not told & {"textDocument/publishDiagnostics", "workspace/codeLens/refresh"}

    plain = editor(plugin=False)
    offered = plain.initialized["capabilities"]
    assert "zmqkernel.server.runCell" in offered["executeCommandProvider"]["commands"]
    assert {"codeLensProvider", "inlayHintProvider", "codeActionProvider"} <= set(offered)
    uri = plain.open(script)
    published(plain, 1)
    assert not [note for note in plain.notifications if note["method"].startswith("zmqkernel/")]


def test_another_version_of_the_contract_is_said_once(editor: Start) -> None:
    bare = editor(plugin={"protocol": 99})
    assert "version 99" in bare.wait_for("window/showMessage")["message"]
