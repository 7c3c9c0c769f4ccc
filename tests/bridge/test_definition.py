"""Definition from a real bridge: where the text says, else where the live object comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.asker import Asker
from tests.bridge.bare_editor import wait_until
from tests.bridge.test_completion import Start, asker

__all__ = ["asker"]

CELLS = """\
# %%
def measure(length):
    return length

# %%
import importlib
loaded = importlib.import_module("json")
exec("decoder = loaded.JSONDecoder")
é = 1; print("ran")

# %%

"""
HERE = 11


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(CELLS)
    return path


def place(bare: Asker, uri: str, text: str) -> tuple[str, int, int] | None:
    """File name, line and character of the definition of what is typed."""
    bare.type(uri, HERE, text)
    found: Any = bare.ask(uri, "definition")
    if not found:
        return None
    start = found[0]["range"]["start"]
    return found[0]["uri"], start["line"], start["character"]


def test_names_of_the_text(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    wait_until(lambda: place(bare, uri, "measure") == (uri, 1, 4), "definition")
    assert place(bare, uri, "'𝒳é'; é") == (uri, 8, 0)
    assert place(bare, uri, "# measure") is None


def test_what_only_the_session_knows(asker: Start, script: Path) -> None:
    for ours in ({"siblings": []}, {"siblings": ["ty"]}):
        bare = asker(ours=ours)
        uri = bare.open(script)
        bare.finished(bare.run_cell(uri, 6))
        there = Path(json.decoder.__file__).as_uri()
        wait_until(lambda bare=bare, uri=uri, there=there: (place(bare, uri, "decoder") or ("",))[0] == there, there)


def test_beside_another_server_nothing_that_it_finds_itself(asker: Start, script: Path) -> None:
    bare = asker(ours={"siblings": ["basedpyright"]})
    uri = bare.open(script)
    bare.finished(bare.run_cell(uri, 1))
    assert place(bare, uri, "measure") is None
