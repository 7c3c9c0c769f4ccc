"""Completion from a real bridge: live, mirrored and static, whatever the kernel does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.asker import Asker
from tests.bridge.bare_editor import text_of, wait_until

Start = Callable[..., Asker]

CELLS = """\
# %%
import os
class Node: pass
obj = Node()
obj.attr = Node()
obj.attr.deep = Node()
obj.attr.deep.er = Node()
obj.attr.deep.er.est = {"key": 1}
table = {"größe": 1, 'it"s': 2, 2020: 3, ("a", "b"): 4, "plain": 5}
exec("ghost_name = 42")
print("pid", os.getpid())

# %%

# %%
import time
exec("born_in_cell = 1")
print("begun", flush=True)
while not os.path.exists("go"):
    pass

# %%
print("begun", flush=True)
sum(range(10**11))
"""
FIRST, HERE, LOOP, GIL = 1, 12, 14, 21
CASES = {
    "ghost": "ghost_name",
    'table["': "'plain'",
    "obj.": "attr",
    "obj.attr.": "deep",
}


@pytest.fixture
def asker(project: Path) -> Iterator[Start]:
    """Starts editors on the project."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Asker:
            return stack.enter_context(Asker(project, **settings))

        yield start


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "analysis.py"
    path.write_text(CELLS)
    return path


def begin(asker: Asker, script: Path) -> tuple[str, int]:
    """Open the document, run its first cell and wait until the bridge has the mirror; the uri and the kernel's pid."""
    uri = asker.open(script)
    pid = int(text_of(asker.finished(asker.run_cell(uri, FIRST))).split()[1])
    wait_until(lambda: mirrored(asker, uri), "mirror")
    return uri, pid


def mirrored(asker: Asker, uri: str) -> bool:
    found = asker.completed(uri, HERE, "obj.attr.")
    return "deep" in found and "as of" in str(found["deep"])


def into(asker: Asker, uri: str, pid: int, state: str) -> None:
    """Bring the kernel into a state."""
    if state in ("loop", "gil"):
        execution = asker.run_cell(uri, LOOP if state == "loop" else GIL)
        asker.output(execution, lambda params: "begun" in text_of(params))
    elif state == "stopped":
        os.kill(pid, signal.SIGSTOP)
    elif state == "dead":
        os.kill(pid, signal.SIGSTOP)  # so that it cannot be restarted before the questions come
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("state", ["idle", "loop", "gil", "stopped", "dead"])
def test_names_attributes_and_keys_are_there_whatever_the_kernel_does(asker: Start, script: Path, state: str) -> None:
    bare = asker()
    uri, pid = begin(bare, script)
    into(bare, uri, pid, state)
    for typed, expected in CASES.items():
        found = bare.completed(uri, HERE, typed)
        assert expected in found, (typed, list(found)[:10])
    if state in ("idle", "loop"):
        # Deeper than the mirror: from the session itself. Behind a loop it may take another key.
        wait_until(lambda: "est" in bare.completed(uri, HERE, "obj.attr.deep.er."), "attributes below the mirror")
    if state == "loop":
        wait_until(lambda: "born_in_cell" in bare.completed(uri, HERE, "born_in"), "name of the running cell")


def test_a_session_that_hangs_is_said_to_be_incomplete(asker: Start, script: Path) -> None:
    bare = asker(ours={"siblings": []})
    uri, pid = begin(bare, script)
    os.kill(pid, signal.SIGSTOP)
    bare.completed(uri, HERE, "obj.attr.")
    assert bare.ask(uri, "completion")["isIncomplete"]
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not bare.ask(uri, "completion")["isIncomplete"], "whole answer")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("closing", ["", "]", '"', '"]'])
def test_an_accepted_key_leaves_one_quote_and_one_bracket(
    asker: Start, script: Path, closing: str, encoding: str
) -> None:
    bare = asker(encoding=encoding)
    uri, _ = begin(bare, script)
    for label, left in {
        "'größe'": 'table["größe"]',
        "'it\"s'": 'table["it\\"s"]',
        "2020": "table[2020]",
        "('a', 'b')": 'table[("a", "b")]',
        "'plain'": 'table["plain"]',
    }.items():
        found = bare.completed(uri, HERE, f'"𝒳é"; table["|{closing}')
        assert bare.accept(uri, HERE, found[label]) == f'"𝒳é"; {left}'
    found = bare.completed(uri, HERE, f'table["gr|{closing}')
    assert list(found) == ["'größe'"]
    assert bare.accept(uri, HERE, found["'größe'"]) == 'table["größe"]'


def test_nothing_where_nothing_is_wanted(asker: Start, script: Path) -> None:
    bare = asker()
    uri, _ = begin(bare, script)
    for typed in ("# obj.", '"""obj.', "def gho", "x = 1."):
        assert not bare.completed(uri, HERE, typed), typed


def test_beside_another_server_only_what_it_cannot_know(asker: Start, script: Path) -> None:
    for bare in (asker(ours=None), asker(ours={"siblings": ["basedpyright"]})):
        uri = bare.open(script)
        bare.command("runCell", {"uri": uri, "position": {"line": FIRST, "character": 0}})
        wait_until(lambda bare=bare, uri=uri: "ghost_name" in bare.completed(uri, HERE, "gho"), "name")
        assert not bare.completed(uri, HERE, "ob")
        assert not bare.completed(uri, HERE, "pri")
        assert "'plain'" in bare.completed(uri, HERE, "table['")
        assert not bare.completed(uri, HERE, "os.pa")
        assert not bare.completed(uri, HERE, "import o")


def test_without_a_session_the_text_is_analysed_and_none_is_started(asker: Start, script: Path, home: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    assert "Node" in bare.completed(uri, HERE, "No")
    assert "print" in bare.completed(uri, HERE, "pri")
    wait_until(lambda: "path" in bare.completed(uri, HERE, "os.pa"), "answer of static analysis")
    assert not list((home / "state" / "zmqkernel").glob("*/session.json"))


def test_items_say_where_they_come_from_and_more_when_they_are_resolved(asker: Start, script: Path) -> None:
    bare = asker()
    uri, _ = begin(bare, script)
    found = bare.completed(uri, HERE, "ghost")
    assert found["ghost_name"]["labelDetails"]["description"].startswith("int 42 · ")
    resolved = bare.request("completionItem/resolve", found["ghost_name"])
    assert "42" in resolved["documentation"]["value"]
    assert resolved["textEdit"] == found["ghost_name"]["textEdit"]
    old = {**found["ghost_name"], "data": [10**6, 0]}
    assert bare.request("completionItem/resolve", old) == old
    plain = asker(labels=False)
    uri = plain.open(script)
    wait_until(lambda: "42" in plain.completed(uri, HERE, "ghost").get("ghost_name", {}).get("detail", ""), "detail")
