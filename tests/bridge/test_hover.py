"""Hover, signature help and definition from a real bridge."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.bridge.asker import Asker
from tests.bridge.bare_editor import text_of, wait_until
from tests.bridge.test_completion import Start, asker

__all__ = ["asker"]

CELLS = """\
# %%
import os
def measure(length, *, unit="m"):
    '''Says how long it is.'''
exec("ghost = {'a': 1}; count = 7")
exec("def summon(name, power=1): 'Calls a ghost.'")
print("pid", os.getpid())

# %%

"""
FIRST, HERE = 1, 9
SIBLING = {"siblings": ["basedpyright"]}


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(CELLS)
    return path


def begin(bare: Asker, script: Path) -> tuple[str, int]:
    uri = bare.open(script)
    pid = int(text_of(bare.finished(bare.run_cell(uri, FIRST))).split()[1])
    wait_until(lambda: "7" in bare.hovered(uri, HERE, "count"), "hover")
    return uri, pid


def test_the_value_now_and_after_the_kernel_has_gone_the_last_one(asker: Start, script: Path) -> None:
    bare = asker(ours=SIBLING)
    uri, pid = begin(bare, script)
    wait_until(lambda: "*live*" in bare.hovered(uri, HERE, "count"), "live hover")
    wait_until(lambda: "as of" in str(bare.completed(uri, HERE, "coun")), "mirror")
    os.kill(pid, signal.SIGSTOP)
    text = bare.hovered(uri, HERE, "count")
    assert "7" in text
    assert "*as of [1]*" in text


def test_beside_another_server_only_values(asker: Start, script: Path) -> None:
    bare = asker(ours=SIBLING)
    uri, _ = begin(bare, script)
    assert not bare.hovered(uri, HERE, "measure")
    assert not bare.hovered(uri, HERE, "print")
    assert "Calls a ghost." in bare.hovered(uri, HERE, "summon")


def test_the_text_is_explained_when_nobody_else_does(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    wait_until(lambda: "*static*" in bare.hovered(uri, HERE, "measure"), "static hover")
    assert "Says how long it is." in bare.hovered(uri, HERE, "measure")
    assert not bare.hovered(uri, HERE, "# measure")


@pytest.mark.parametrize("state", ["idle", "stopped", "none"])
def test_signatures(asker: Start, script: Path, state: str) -> None:
    bare = asker()
    if state == "none":
        uri = bare.open(script)
    else:
        uri, pid = begin(bare, script)
        if state == "stopped":
            os.kill(pid, signal.SIGSTOP)

    def signed(text: str) -> tuple[str, str] | None:
        """The label and the part of it that is active."""
        bare.type(uri, HERE, text)
        found = bare.ask(uri, "signatureHelp")
        first = found["signatures"][0] if found else None
        return (first["label"], first["parameters"][found["activeParameter"]]["label"]) if first else None

    wait_until(lambda: signed("measure(") is not None, "signature")
    # None is an answer too: whoever knows it has let the deadline pass.
    wait_until(lambda: signed("measure(1, unit=") is not None, "active parameter")
    label, active = signed("measure(1, unit=") or signed("measure(1, unit=") or ("", "")
    assert label.startswith("measure(length, *, unit=")
    assert active.startswith("unit")
    assert signed("x = (1, ") is None


def test_beside_another_server_signatures_only_of_what_is_not_in_the_text(asker: Start, script: Path) -> None:
    bare = asker(ours=SIBLING)
    uri, _ = begin(bare, script)
    bare.type(uri, HERE, "measure(")
    assert bare.ask(uri, "signatureHelp") is None
    bare.type(uri, HERE, "summon(1, ")
    found = bare.ask(uri, "signatureHelp")
    assert found["signatures"][0]["label"].startswith("summon(name, power=1)")
    assert found["activeParameter"] == 1
