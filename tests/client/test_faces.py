"""Both faces of the client against the fake session."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.client import REWIND, AsyncClient, Client
from zmqkernel.protocol.errors import KernelDied, RemoteProtocolError, ReplyTimeout, Unreachable, ZmqKernelError
from zmqkernel.protocol.messages import Origin, Position

from .faces import Async, Blocking
from .fake_session import FakeSession

pytestmark = pytest.mark.timeout(60)


def texts(outputs: list[Any]) -> str:
    return "".join(output.content["text"] for output in outputs if output.msg_type == "stream")


def test_outputs_then_the_reply(face: Any) -> None:
    outputs, reply = face.run("print a\nprint b")
    assert texts(outputs) == "a\nb\n"
    assert reply.status == "ok"
    ours = outputs[0].metadata["zmqkernel"]
    assert (ours["epoch"], ours["sender"], ours["seq"]) == (1, "tester", outputs[0].seq)
    assert ours["execution"] == outputs[0].execution != ""


def test_many_executions_one_follow(session: FakeSession, face: Any) -> None:
    for number in range(20):
        assert texts(face.run(f"print {number}")[0]) == f"{number}\n"
    assert session.seen.count("follow_request") == 1


def test_code_that_raises_and_a_dead_kernel_are_data(face: Any) -> None:
    outputs, reply = face.run("raise")
    assert [output.msg_type for output in outputs] == ["error"]
    assert (reply.status, reply.ename) == ("error", "ValueError")
    assert face.run("die")[1].ename == "KernelDied"


def test_origin_and_sender_travel_with_the_request(session: FakeSession, face: Any) -> None:
    face.run("x", origin=Origin(uri="file:///a.py", line=3))
    (submit,) = [record for record in session.records if record.kind == "submit"]
    ours = submit.message().metadata["zmqkernel"]
    assert ours == {"sender": "tester", "origin": {"uri": "file:///a.py", "line": 3}}


def test_much_output_in_order_and_paid_for(session: FakeSession, face: Any) -> None:
    outputs, _ = face.run("many 9000 1000")  # 9 MB through 4 MB of credit
    assert [int(output.content["text"]) for output in outputs] == list(range(9000))
    assert session.credits
    assert max(session.credits) <= 4 * 1024 * 1024


def test_pages_that_come_twice_are_read_once(session: FakeSession, face: Any) -> None:
    session.repeat_pages = True
    outputs, _ = face.run("many 500 1000")
    assert [int(output.content["text"]) for output in outputs] == list(range(500))


def test_a_lost_submitted_is_asked_for_again_and_executed_once(
    session: FakeSession, face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmqkernel.client.conversation.RESEND_SECONDS", 0.05)
    session.lose_submitted = 2
    outputs, reply = face.run("print once")
    assert texts(outputs) == "once\n"
    assert reply.status == "ok"
    assert session.executed == ["print once"]
    assert session.seen.count("execute_request") >= 3


def test_input_is_answered_by_msg_id(face: Any) -> None:
    async def in_async() -> str:
        said = ""
        async for output in face.client.execute("input name?"):
            if output.msg_type == "input_request":
                assert output.content["prompt"] == "name?"
                await face.client.answer(output.msg_id, "Ada")
            else:
                said += output.content["text"]
        return said

    def blocking() -> str:
        said = ""
        for output in face.client.execute("input name?"):
            if output.msg_type == "input_request":
                face.client.answer(output.msg_id, "Ada")
            else:
                said += output.content["text"]
        return said

    assert (face._do(in_async()) if isinstance(face, Async) else blocking()) == "got Ada\n"
    with pytest.raises(ZmqKernelError, match="answered already"):
        face.call("answer", "nobody asked", "x")


def test_questions(face: Any) -> None:
    assert face.call("complete", "a").matches == ["ax"]
    with pytest.raises(KernelDied, match="no kernel"):
        face.call("inspect", "a")


def test_follow_reads_the_past_then_live(session: FakeSession, face: Any) -> None:
    face.run("print a")
    following = face.start_following()
    count = len(session.records)
    assert [record.seq for record in face.take(following, count)] == list(range(1, count + 1))
    session.say("later")
    (record,) = face.take(following, 1)
    assert record.data["text"] == "later"
    assert following.position == Position(1, count + 1)


def test_follow_until_the_end_with_a_filter(session: FakeSession, face: Any) -> None:
    outputs, _ = face.run("print a\nprint b")
    session.say("another's")
    records = face.read(100, execution=outputs[0].execution, outputs_only=True, until_end=True)
    assert [record.msg_type for record in records] == ["execute_input", "stream", "stream"]


def test_follow_goes_on_after_the_supervisor_came_back(session: FakeSession, face: Any) -> None:
    session.say("one")
    following = face.start_following()
    assert face.take(following, 1)[0].data["text"] == "one"
    session.go_away(0.1)
    session.say("two")
    session.go_away()
    session.say("three")
    assert [record.data["text"] for record in face.take(following, 2)] == ["two", "three"]


def test_a_running_cell_goes_on_over_the_death_of_the_supervisor(session: FakeSession, connect: Any) -> None:
    face = connect()

    def later() -> None:
        session.go_away(0.05)
        execution = next(iter(session._waiting))
        session.say("still here", execution)
        session.do(lambda: session._end(execution, {"status": "ok", "execution_count": 1}))

    session.executed.clear()
    thread = threading.Thread(target=lambda: (wait_for(lambda: bool(session._waiting)), later()))
    thread.start()
    outputs, reply = face.run("print before\nwait")
    thread.join()
    assert texts(outputs) == "before\nstill here"
    assert reply.status == "ok"
    assert len(session.executed) == 1


def wait_for(ready: Callable[[], bool]) -> None:
    event = threading.Event()
    while not ready():
        event.wait(0.005)


def test_a_power_failure_rewinds(session: FakeSession, face: Any) -> None:
    for text in "abc":
        session.say(text)
    following = face.start_following()
    face.take(following, 3)
    session.lose_tail(2)
    session.say("new c")
    rewind, record = face.take(following, 2)
    assert (rewind.kind, rewind.msg_type, rewind.seq) == ("event", REWIND, 2)
    assert (record.seq, record.data["text"]) == (3, "new c")


def test_an_idle_client_does_not_read_what_others_did(session: FakeSession, face: Any) -> None:
    face.run("print a")

    def others() -> None:
        for number in range(20_000):  # 8 MB: more than an idle client takes
            session._publish("", "stream", {"name": "stdout", "text": f"{number:<400}"})

    session.do(others)
    before = len(session.credits)
    assert texts(face.run("print b")[0]) == "b\n"
    assert len(session.credits) - before < 60  # 4 MB in portions of 64 KB at the most
    assert session.seen.count("follow_request") == 2


def test_silence_is_a_timeout(session: FakeSession, connect: Any) -> None:
    face = connect(timeout=0.3)
    session.silent = True
    with pytest.raises(ReplyTimeout, match="complete_request") as caught:
        face.call("complete", "a")
    assert caught.value.hint
    with pytest.raises(ReplyTimeout, match="execute_request"):
        face.run("print a")


def test_wrong_signatures_are_refused_and_said(session: FakeSession, connect: Any) -> None:
    face = connect(timeout=0.3)
    session.bad_signature = True
    with pytest.raises(ReplyTimeout) as caught:
        face.call("complete", "a")
    assert "signature" in caught.value.hint


def test_nobody_there(session: FakeSession) -> None:
    session.info.ip += "-nobody"
    for face in (Blocking, Async):
        with pytest.raises(Unreachable, match="nobody answers"):
            face(session.info, timeout=0.1)


def test_a_plain_kernel_is_no_session(session: FakeSession) -> None:
    session.features = []
    for face in (Blocking, Async):
        with pytest.raises(RemoteProtocolError, match="not a zmqkernel session"):
            face(session.info)


def test_a_session_without_a_kernel_gets_one(session: FakeSession, connect: Any) -> None:
    session.has_kernel = False
    connect()
    assert session.has_kernel
    assert session.seen.count("shutdown_request") == 1


def test_an_interrupt_is_not_repeated_after_a_reconnect(session: FakeSession, connect: Any) -> None:
    face = connect()
    session.silent = True
    thread = threading.Thread(target=lambda: (wait_for(lambda: "interrupt_request" in session.seen), session.go_away()))
    thread.start()
    with pytest.raises(Unreachable, match="before it answered"):
        face.call("interrupt")
    thread.join()
    assert session.seen.count("interrupt_request") == 1


def test_folded_outputs_and_wait(session: FakeSession) -> None:
    with Client.connect(session.info) as client:
        (output,) = client.execute("print a\nprint b").outputs()
        assert (output.output_type, output.text) == ("stream", "a\nb\n")
        assert client.execute("many 100 10").wait().status == "ok"
        running = client.execute("wait")
        with pytest.raises(ReplyTimeout, match="still runs"):
            running.wait(0.05)
        client.interrupt()
        assert running.wait().ename == "KeyboardInterrupt"


def test_outputs_nobody_reads_do_not_stop_another_cell(session: FakeSession) -> None:
    with Client.connect(session.info) as client:
        unread = client.execute("many 9000 1000")
        assert [o.content["text"] for o in client.execute("print b")] == ["b\n"]
        assert len(list(unread)) == 9000


def test_async_cells_at_once_and_close(session: FakeSession) -> None:
    async def work() -> None:
        async with await AsyncClient.connect(session.info) as client:
            executions = [client.execute(f"print {n}") for n in range(10)]
            replies = await asyncio.gather(*(execution.wait() for execution in executions))
            assert [reply.status for reply in replies] == ["ok"] * 10
            assert (await executions[3].submitted()).seq > 0
            waiting = asyncio.ensure_future(client.execute("wait").wait())
            await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="closed"):
            await waiting

    asyncio.run(work())


def test_closing_leaves_no_descriptor(session: FakeSession) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Client.connect(session.info).close()
    before = count()
    for _ in range(5):
        Client.connect(session.info).close()
    wait_for(lambda: count() <= before)


def test_the_blocking_face_does_not_import_asyncio() -> None:
    code = "import sys, zmqkernel.client.blocking; print('asyncio' in sys.modules, 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
