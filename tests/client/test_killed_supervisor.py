"""A real session whose supervisor is killed: its clients start it again and go on. Adoption is what the new one does with the
kernel; without it, what ran is answered with KernelDied. Either way once, and without gap or duplicate."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.client import AsyncClient, Client, discovery
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import NoSuchSession, Unreachable
from zmqkernel.protocol.journal import Record

pytestmark = pytest.mark.timeout(120)

Kill = Callable[[], int]


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Session:
    project = tmp_path / "shop"
    project.mkdir()
    return Session(project, "shop")


@pytest.fixture
def client(place: Session) -> Iterator[Client]:
    with Client.connect(place, sender="tester") as client:
        yield client


def kill_supervisor(place: Session) -> int:
    """SIGKILL, and wait until its lock is free or somebody else's; returns the pid that it had."""
    pid = discovery.find("shop", place.project).file.supervisor_pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while discovery.is_alive(place) and discovery.find("shop", place.project).file.supervisor_pid == pid:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return pid


def journal_of(client: Client) -> list[Record]:
    return list(client.follow(until_end=True))


def check(records: list[Record], executions: list[str]) -> None:
    """No number missing or twice, and exactly one reply and one request for each execution."""
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    for execution in executions:
        kinds = [record.kind for record in records if record.execution == execution]
        assert (kinds.count("submit"), kinds.count("reply")) == (1, 1), (execution, kinds)


SLOW = "import time\nfor i in range(30):\n    print(i, flush=True)\n    time.sleep(0.05)"


def test_what_ran_waited_or_was_asked_goes_on(place: Session, client: Client) -> None:
    following = client.follow()
    running = client.execute(SLOW)
    assert next(running).content["text"].startswith("0")
    waiting = client.execute("'waited'")
    assert waiting.next(0.0) is None
    old = kill_supervisor(place)
    asked = client.execute("'asked'")
    info = client.info()
    assert info.supervisor_pid != old
    replies = [execution.wait(60) for execution in (running, waiting, asked)]
    assert {(reply.status, reply.ename) for reply in replies} <= {("ok", None), ("error", "KernelDied")}
    records = journal_of(client)
    check(records, [execution.msg_id for execution in (running, waiting, asked)])
    followed = [next(following) for _ in records]
    assert followed == records


def test_asyncio_goes_on(place: Session, home: Path) -> None:
    async def work() -> None:
        async with await AsyncClient.connect(place, sender="tester") as client:
            running = client.execute(SLOW)
            assert (await anext(running)).content["text"].startswith("0")
            old = await asyncio.to_thread(kill_supervisor, place)
            asked = client.execute("'asked'")
            reply = await running.wait(60)
            assert reply.status == "ok" or reply.ename == "KernelDied"
            reply = await asked.wait(60)
            assert reply.status == "ok" or reply.ename == "KernelDied"
            assert (await client.info()).supervisor_pid != old
            records = [record async for record in client.follow(until_end=True)]
            check(records, [running.msg_id, asked.msg_id])

    asyncio.run(work())


def test_many_clients_start_one_supervisor(place: Session, client: Client) -> None:
    others = [client.another() for _ in range(8)]
    for other in others:
        other.check()
    kill_supervisor(place)
    pids: list[int] = []

    def ask(other: Client) -> None:
        pids.append(other.info().supervisor_pid)
        other.close()

    threads = [threading.Thread(target=ask, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 8
    assert set(pids) == {client.info().supervisor_pid}


def test_a_connection_file_is_enough(place: Session, client: Client) -> None:
    client.execute("1").wait(60)
    client.close()
    kill_supervisor(place)
    for path in (place.jupyter_file, place.connection_file):
        with Client.connect(path) as again:
            assert again.execute("1").wait(60).status == "ok"


def test_what_was_shut_down_is_not_started_again(place: Session, client: Client) -> None:
    with client.another() as other:
        other.check()
        following = other.follow()
        assert next(following).msg_type == "open"
        client.shutdown()
        names = [record.msg_type for record in following]  # it comes to an end
        assert names[-1] == "close"
        assert following.finished
        assert other.ended
        with pytest.raises(Unreachable, match="was shut down"):
            other.info()
        with pytest.raises(Unreachable, match="was shut down"):
            other.execute("1").wait(10)
    assert not discovery.is_alive(place)
    with pytest.raises(NoSuchSession):
        Client.connect(place, start=False)


def test_a_follow_that_begins_while_the_session_leaves_ends(place: Session, client: Client) -> None:
    """Whatever the moment, it comes to an end."""
    with client.another() as other:
        other.check()
        threading.Thread(target=client.shutdown).start()
        for _ in range(5):
            for record in other.follow():
                assert record.seq > 0
        assert other.ended


def test_a_session_started_anew_is_told_apart(place: Session, client: Client) -> None:
    """The same socket path, another key: the old client is over, and does not wait for answers that cannot come."""
    with client.another() as other:
        other.check()
        following = other.follow()
        client.shutdown()
        discovery.start(place)
        for record in following:  # it comes to an end, with what had arrived
            assert record.seq > 0
        assert other.ended


def test_adoption_keeps_variables_and_output(place: Session, client: Client) -> None:
    client.execute("x = 41").wait(60)
    kernel = client.info().kernel_pid
    running = client.execute(SLOW + "\nx + 1")
    assert next(running).content["text"].startswith("0")
    waiting = client.execute("x + 2")
    for _ in range(2):
        kill_supervisor(place)
        assert client.info().kernel_pid == kernel
    outputs: list[Any] = list(running)
    text = "".join(output.content["text"] for output in outputs if output.msg_type == "stream")
    assert ("0\n" + text.removeprefix("0\n")).split() == [str(number) for number in range(30)]
    assert [o.content["data"]["text/plain"] for o in outputs if o.msg_type == "execute_result"] == ["42"]
    assert [o.content["data"]["text/plain"] for o in waiting] == ["43"]
    info = client.info()
    assert (info.adopted, info.kernel_pid, info.generation) == (2, kernel, 1)
    records = journal_of(client)
    check(records, [running.msg_id, waiting.msg_id])
    assert [record.msg_type for record in records].count("adopted") == 2
    assert "gap" not in [record.msg_type for record in records]


def test_adoption_keeps_a_question(place: Session, client: Client) -> None:
    asking = client.execute("print('hello', input('who? '))")
    question = next(asking)
    assert question.msg_type == "input_request"
    kill_supervisor(place)
    client.answer(question.msg_id, "Ada")
    assert [output.content["text"] for output in asking] == ["hello Ada\n"]


def test_adoption_is_a_clients_work_while_the_gil_is_held(place: Session, client: Client) -> None:
    """The kernel cannot notice then that its supervisor is gone."""
    held = client.execute("print('begun', flush=True)\nimport ctypes\nctypes.PyDLL(None).sleep(4)\nprint('over')")
    assert next(held).content["text"].startswith("begun")
    old = kill_supervisor(place)
    info = client.info()
    assert info.supervisor_pid != old
    assert info.running == held.msg_id
    assert "".join(output.content["text"] for output in held).strip() == "over"
    assert held.reply
    assert held.reply.status == "ok"
