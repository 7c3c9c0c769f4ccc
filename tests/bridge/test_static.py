"""The static side: a process of its own, newest question first, replaced when it hangs, gone when the bridge is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lsp_bridge.static import Spot, new_static
from lsp_bridge.static import child as child_module
from lsp_bridge.static.jedi import JediStatic
from lsp_bridge.static.server import LspStatic
from tests.bridge.asker import alive, children
from tests.bridge.bare_editor import wait_until
from tests.bridge.test_completion import Start, asker

__all__ = ["asker"]


async def ended() -> None:
    """Wait for what reads from the children: their pipes are closed then."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=10)


TEXT = """\
def measure(length, unit="m"):
    '''Says how long it is.'''

größe = "𝒳"; measure(1, unit=2)
größe.upp
"""


def run(work: Callable[[JediStatic], Awaitable[None]], python: str = "") -> None:
    async def main() -> None:
        static = JediStatic(python, "/")
        try:
            await asyncio.wait_for(work(static), 120)
        finally:
            static.close()
            await ended()

    asyncio.run(main())


@pytest.mark.parametrize("python", ["", sys.executable])
def test_jedi_answers_all_questions(home: Path, python: str) -> None:
    async def work(static: JediStatic) -> None:
        items = await static.complete(Spot(TEXT, 4, 9, "/x.py"))
        assert items
        assert [item.text for item in items] == ["upper"]
        assert "uppercase" in (await static.resolve(items[0].ref) or "")
        assert "Says how long" in (await static.hover(Spot(TEXT, 3, 15, "/x.py")) or "")
        assert await static.definition(Spot(TEXT, 3, 15, "/x.py")) == [("/x.py", 0, 4)]
        (signature,) = await static.signature(Spot(TEXT, 3, 28, "/x.py")) or []
        assert (signature.label, signature.active) == ('measure(length, unit="m")', 1)
        assert await static.hover(Spot("\ud800 = (", 0, 0, "")) is None  # no text is too odd

    run(work, python)


def test_of_several_questions_the_newest_is_answered(home: Path) -> None:
    async def work(static: JediStatic) -> None:
        asked = [asyncio.ensure_future(static.complete(Spot("import os\nos.pa", 1, 5, ""))) for _ in range(5)]
        cancelled = asyncio.ensure_future(static.hover(Spot("import os", 0, 8, "")))
        await asyncio.sleep(0)
        cancelled.cancel()
        answers = await asyncio.gather(*asked)
        assert answers[-1]
        assert answers[1:-1] == [None] * 3  # the first may have been on its way
        assert await static.hover(Spot("import os", 0, 8, ""))

    run(work)


def test_a_child_that_hangs_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "STUCK_SECONDS", 3.0)
    monkeypatch.setattr(child_module, "LONGEST_SECONDS", 3.0)

    async def work(static: JediStatic) -> None:
        spot = Spot("len", 0, 2, "")
        while not await static.hover(spot):
            pass  # a slow machine: it was replaced before its first answer
        hung = static.child.pid
        assert hung
        os.kill(hung, signal.SIGSTOP)
        assert await static.hover(spot) is None
        while not await static.hover(spot):
            pass
        assert static.child.pid != hung
        assert not alive(hung)

    run(work)


def test_a_child_that_dies_is_replaced_but_not_for_ever(home: Path) -> None:
    async def work(static: JediStatic) -> None:
        spot = Spot("len", 0, 2, "")
        assert await static.hover(spot)
        assert static.child.pid
        os.kill(static.child.pid, signal.SIGKILL)
        assert await static.hover(spot) or await static.hover(spot)

    run(work)

    async def hopeless() -> None:
        child = child_module.Child([sys.executable, "-c", "pass"])
        assert await asyncio.wait_for(child.ask("hover", {}), 60) is None
        assert await child.ask("hover", {}) is None
        child.close()
        await ended()
        missing = child_module.Child(["/no/such/program"])
        assert await asyncio.wait_for(missing.ask("hover", {}), 60) is None

    asyncio.run(hopeless())


@pytest.mark.parametrize("ending", ["exit", "kill", "stopped child"])
def test_no_child_outlives_the_bridge(asker: Start, project: Path, ending: str) -> None:
    path = project / "a.py"
    path.write_text("import os\n\n")
    bare = asker()
    uri = bare.open(path)
    wait_until(lambda: "path" in bare.completed(uri, 1, "os.pa"), "static answer")
    started = children(bare.process.pid)
    assert started
    if ending == "stopped child":
        os.kill(started[0], signal.SIGSTOP)
    if ending == "kill":
        bare.kill()
    else:
        bare.exit()
    wait_until(lambda: not any(map(alive, started)), "end of the child")


SERVER = """
import json, sys
while True:
    length = 0
    while (line := sys.stdin.buffer.readline().strip()):
        length = int(line.split(b":")[1])
    if not length: break
    message = json.loads(sys.stdin.buffer.read(length))
    method, place = message.get("method"), message.get("params")
    if "id" not in message: continue
    if method == "textDocument/hover" and place["position"]["line"] == 9: continue
    result = {
        "initialize": {"capabilities": {"positionEncoding": "utf-8"}},
        "textDocument/hover": {"contents": {"kind": "markdown", "value": "at %s" % (place or {}).get("position")}},
        "textDocument/completion": {"isIncomplete": False, "items": [
            {"label": "upper", "kind": 2, "detail": "() -> str", "documentation": "Shouts."},
            {"label": "pandas (import pandas)", "additionalTextEdits": [{}]}]},
        "textDocument/definition": [{"uri": "file:///x.py", "range": {"start": {"line": 0, "character": 6}}}],
        "textDocument/signatureHelp": {"signatures": [{"label": "f(a, b)", "parameters": [{"label": [2, 3]}]}],
                                       "activeParameter": 0},
    }.get(method)
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
    sys.stdout.buffer.flush()
"""


def test_a_language_server_can_serve_instead(home: Path) -> None:
    async def main() -> None:
        static = LspStatic([sys.executable, "-c", SERVER], "", "/")
        try:
            assert "'character': 3" in (await static.hover(Spot("é = 1\né", 0, 2, "/x.py")) or "")  # counted in bytes
            (item,) = await static.complete(Spot("x.", 0, 2, "/x.py")) or []
            assert (item.text, item.kind, item.source) == ("upper", "method", "static")
            assert await static.resolve(item.ref) == "Shouts."
            assert await static.definition(Spot("é = 1; é", 0, 7, "/x.py")) == [("/x.py", 0, 5)]
            (signature,) = await static.signature(Spot("f(", 0, 2, "/x.py")) or []
            assert (signature.parameters, signature.active) == (["a"], 0)
            old = asyncio.ensure_future(static.hover(Spot("\n" * 9, 9, 0, "/x.py")))
            await asyncio.sleep(0.05)
            assert await static.hover(Spot("x", 0, 0, "/x.py"))
            assert await old is None  # it was overtaken
        finally:
            static.close()
            await ended()

    asyncio.run(asyncio.wait_for(main(), 60))
    assert isinstance(new_static("ty", "", ""), LspStatic)
