"""The mirror of a real session: right after each cell, and there whatever becomes of kernel and supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from zmqkernel.client import AsyncClient, Client
from zmqkernel.client.discovery import start
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.mirror import Mirror

from .conftest import text_of, wait_for

TRUTH = """
import json as _json
def _truth():
    users = {n: v for n, v in globals().items() if not n.startswith('_') and n not in _before}
    simple = (int, str, float, list, dict, tuple)
    print(_json.dumps({n: [type(v).__name__, repr(v) if type(v) in simple else ''] for n, v in users.items()}))
_before = set(globals())
"""


def after(client: Client, code: str, mirror: Mirror | None = None) -> Mirror:
    """Run a cell; the mirror when its effects are in."""
    execution = client.execute(code)
    execution.wait(30)
    mirror = mirror or Mirror()
    wait_for(lambda: client.mirror(mirror).execution == execution.msg_id)
    return mirror


def test_after_each_cell_it_is_what_the_kernel_has(client: Client) -> None:
    client.execute(TRUTH).wait(20)
    mirror = Mirror()
    for cell in (
        "x = 1; y = 'text'",
        "d = {'a': 1}; l = [1, 2.5]; t = (1,)",
        "d['k'] = x; l.append(d)",
        "def f(a): return a",
        "x += 1; del y",
        "1 / 0; z = 3",
        "for i in range(3): d[i] = i",
        "pass",
        "class A: ...\na = A(); a.b = 1",
        "%time q = 5",
    ):
        after(client, cell, mirror)
        truth = json.loads(text_of(client, "_truth()"))
        told = {name: mirror.get(name) for name in mirror.names() if not name.startswith("_")}
        assert set(told) == set(truth), cell
        for name, (kind, text) in truth.items():
            entry = told[name]
            assert entry
            assert entry.type == kind
            assert not text or entry.value == text, f"{name} after {cell}"
    entry = mirror.get("d")
    assert entry
    assert (entry.count, entry.changed) == (4, 14)


def test_only_changes_come_to_who_has_the_rest(client: Client) -> None:
    mirror = after(client, "x = 1\ny = 2")
    version = mirror.version
    after(client, "y = 3", mirror)
    assert mirror.version > version
    assert client.mirror(prefix="y").names() == ["y"]


def test_ten_thousand_names_come_in_pages(client: Client) -> None:
    mirror = after(client, "for n in range(10_000): globals()[f'name_{n}'] = [n, str(n)] * 5")
    assert len(mirror) == 10_001
    entry = mirror.get("name_9999")
    assert entry
    assert entry.length == 10
    after(client, "name_5.append(1); del name_6", mirror)
    assert len(mirror) == 10_000
    assert mirror.names()[-1] == "name_5"


@pytest.mark.parametrize("hold", ["ctypes.PyDLL(None).sleep(3)", "os.kill(os.getpid(), signal.SIGSTOP)"])
def test_it_answers_while_the_kernel_cannot(client: Client, hold: str) -> None:
    after(client, "import ctypes, os, signal\nx = 41")
    execution = client.execute(f"print('now')\n{hold}")
    next(iter(execution))
    mirror = client.mirror()
    assert "x" in mirror
    info = client.info()
    assert info.state == "busy"
    os.kill(info.kernel_pid, signal.SIGCONT)
    execution.wait(30)


def test_of_a_dead_kernel_it_stays_until_the_next_has_done_something(client: Client) -> None:
    mirror = after(client, "x = 1")
    assert (mirror.generation, mirror.stale) == (1, False)
    os.kill(client.info().kernel_pid, signal.SIGKILL)
    wait_for(lambda: client.mirror(mirror).stale)
    wait_for(lambda: client.info().state == "idle")
    assert client.info().generation == 2
    assert (mirror.generation, mirror.names()) == (1, ["x"])
    after(client, "y = 1", mirror)
    assert (mirror.generation, mirror.stale, mirror.names()) == (2, False, ["y"])


def test_of_a_session_whose_kernel_is_not_restarted_it_stays(project: Path) -> None:
    session = Session.at(project, "mortal")
    start(session, restart=False)
    with Client.connect(session) as client:
        mirror = after(client, "x = {'k': 1}")
        os.kill(client.info().kernel_pid, signal.SIGKILL)
        wait_for(lambda: client.info().state == "dead")
        assert "'k'" in client.mirror().entries()["x"].items
        assert client.mirror(mirror).stale
        client.restart()
        assert client.mirror().names() == []


def test_a_restart_clears_it(client: Client) -> None:
    mirror = after(client, "x = 1")
    client.restart()
    assert client.mirror(mirror).names() == []
    assert client.mirror().names() == []
    after(client, "y = 1", mirror)
    assert (mirror.names(), mirror.generation) == (["y"], 2)


def test_the_next_supervisor_asks_for_everything(client: Client) -> None:
    mirror = after(client, "x = 1\nd = {'a': 1}")
    before = mirror.entries()
    os.kill(client.info().supervisor_pid, signal.SIGKILL)
    wait_for(lambda: client.info().adopted == 1)
    wait_for(lambda: len(client.mirror()) == 2)
    assert client.mirror(mirror).entries() == before
    after(client, "d['b'] = 2", mirror)
    assert list(mirror.entries()["d"].items) == ["'a'", "'b'"]
    assert mirror.names() == ["x", "d"]


def test_a_supervisor_that_dies_again_and_again_while_names_change(client: Client) -> None:
    mirror = Mirror()
    for number in range(4):
        pid = client.info().supervisor_pid
        execution = client.execute(f"n{number} = {number}; total = {number}")
        os.kill(pid, signal.SIGKILL)
        execution.wait(30)
    after(client, "last = 1", mirror)
    wait_for(lambda: set(client.mirror(mirror).names()) == {"n0", "n1", "n2", "n3", "total", "last"})
    assert mirror.entries()["total"].value == "3"


def test_a_watcher_hears_of_changes_of_a_new_supervisor_too(session: Session) -> None:
    async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.01)

    async def watch() -> None:
        heard: list[int] = []
        async with await AsyncClient.connect(session, sender="watcher") as client:
            mirror = await client.watch_mirror(lambda changed: heard.append(changed.version))
            await client.execute("x = 1").wait(20)
            await until(lambda: "x" in mirror)
            assert heard
            os.kill((await client.info()).supervisor_pid, signal.SIGKILL)
            await client.execute("y = 1").wait(30)
            await until(lambda: set(mirror.names()) == {"x", "y"})
            await client.execute("x = 'new'").wait(20)
            await until(lambda: mirror.entries()["x"].value == "'new'")
            await client.restart()
            await until(lambda: mirror.names() == [])

    asyncio.run(watch())


def test_a_foreign_kernel_has_none(project: Path) -> None:
    pytest.importorskip("ipykernel")
    session = Session.at(project, "foreign")
    start(session, kernel="python3")
    with Client.connect(session) as client:
        client.execute("x = 1").wait(60)
        assert client.mirror().names() == []


def test_completions_are_answered_while_a_large_namespace_is_looked_at(client: Client) -> None:
    execution = client.execute("for n in range(20_000): globals()[f'name_{n}'] = [n]\nmarker = 1")
    execution.wait(30)
    replies = [client.complete("marke").matches for _ in range(20)]
    assert replies == [["marker"]] * 20
    wait_for(lambda: client.mirror(prefix="marker").execution == execution.msg_id)


def test_no_secret_is_told_and_nothing_is_on_disk(home: Path, client: Client) -> None:
    client.execute("import base64; decode = lambda t: base64.b64decode(t).decode()").wait(20)
    code = "import base64\npassword = decode('aHVudGVyMg=='); config = {'password': password}; plain = decode('bWlycm9yZWQ=')"
    mirror = after(client, code)
    entries = mirror.entries()
    assert "password" not in entries
    assert entries["plain"].value == "'mirrored'"
    assert "hunter2" not in repr(entries)
    found = [
        path
        for root in (home, Path(os.environ["ZMQKERNEL_SOCKET_DIR"]))
        for path in root.rglob("*")
        if path.is_file() and "ipython" not in path.parts and b"hunter2" in path.read_bytes()
    ]
    assert found == []


def test_after_a_shutdown_there_is_none(session: Session, client: Client) -> None:
    after(client, "x = 1")
    pid = client.info().supervisor_pid
    client.shutdown()
    wait_for(lambda: not Path(f"/proc/{pid}/fd").exists() or not os.listdir(f"/proc/{pid}/fd"))
    with pytest.raises(ZmqKernelError):
        client.mirror()
    start(session)
    with Client.connect(session) as again:
        assert again.mirror().names() == []
