"""What is said between bridge and plugin is what the schema in the repository says."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from lsp_bridge import contract, server
from lsp_bridge.features import run
from tests.bridge.bare_editor import BareEditor, Json

Start = Callable[..., BareEditor]
ROOT = Path(__file__).parent.parent.parent
PAGE = runpy.run_path(str(ROOT / "docs" / "lsp_page.py"))


def check(value: Any, kind: str) -> None:
    """Is a value what the schema calls ``kind``, with no field that it does not know?"""
    schema = PAGE["schema"]()
    definitions = {
        name: {**one, "additionalProperties": False} if one.get("type") == "object" else one
        for name, one in schema["$defs"].items()
    }
    jsonschema.validate(value, {"$ref": f"#/$defs/{kind}", "$defs": definitions})


def test_the_generated_files_are_fresh() -> None:
    for path, text in PAGE["files"]().items():
        assert path.read_text() == text, f"{path}: run python docs/lsp_page.py"


def test_the_contract_names_every_feature_and_command() -> None:
    assert set(contract.Features.__struct_fields__) == {"output", *server.SWITCHABLE}
    assert contract.VERSION == server.PROTOCOL
    others = {"runCellAndAdvance", "nextCell", "interrupt", "queue"}
    assert set(contract.COMMANDS) == {*run.ONE, *run.SEVERAL, *others}


def test_real_messages_fit_the_schema(editor: Start, project: Path) -> None:
    path = project / "said.py"
    path.write_text(
        "# %%\nprint('out')\n# %%\n{'a': 1}\n# %%\ninput('? ')\n# %%\n1 / 0\n# %%\nimport os; os._exit(1)\n"
    )
    bare = editor()
    uri = bare.open(path)
    schema = PAGE["schema"]()
    executions = bare.command("runAll", {"uri": uri})["executions"]
    asked = bare.wait_for("zmqkernel/inputRequested")
    here: Json = {"uri": uri, "position": {"line": 0, "character": 0}}
    for name, argument in {"queue": {"uri": uri}, "nextCell": here, "runCellAndAdvance": here}.items():
        about = schema["commands"][f"zmqkernel.server.{name}"]
        check(argument, about["argument"])
        check(bare.command(name, argument), about["result"])
    answer = {"request": asked["request"], "value": "x"}
    check(answer, schema["requests"]["zmqkernel/answerInput"])
    bare.request("zmqkernel/answerInput", answer)
    bare.finished(executions[3])
    bare.run_cell(uri, 8)
    bare.wait_for("zmqkernel/kernelRestarted")
    bare.edit(uri, (0, 0), (2, 0), "")
    # Of the first cell, which was run twice: the later execution may have taken the place of the earlier one.
    bare.wait_for("zmqkernel/output", lambda p: p["range"] is None)
    bare.kill()
    path.write_text("# %%\nprint('another')\n")
    bare_too = editor()
    bare_too.open(path)
    bare_too.wait_for("zmqkernel/unmatched")
    notes = [*bare.notifications, *bare_too.notifications]
    seen = {note["method"] for note in notes if note["method"] in schema["notifications"]}
    assert seen == set(schema["notifications"])
    for note in notes:
        if note["method"] in seen:
            check(note["params"], schema["notifications"][note["method"]])
