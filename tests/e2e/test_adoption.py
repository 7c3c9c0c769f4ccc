"""A supervisor dies: the kernel goes on, and the next one takes it over. Nothing is lost, nothing happens twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from zmqkernel.client import Client
from zmqkernel.client.discovery import start
from zmqkernel.paths import Session

from .conftest import text_of, wait_for

LINES = "import time\nfor n in range(60):\n    print(n); time.sleep(0.02)"


def kill_supervisor(client: Client) -> int:
    """SIGKILL; returns its pid."""
    pid = client.info().supervisor_pid
    os.kill(pid, signal.SIGKILL)
    return pid


def replies(client: Client) -> list[str]:
    """The executions that were answered, in order."""
    return [record.execution for record in client.follow(until_end=True) if record.kind == "reply"]


def test_again_and_again(client: Client) -> None:
    for number in range(8):
        execution = client.execute(f"print('round', {number})\n{LINES}")
        next(o for o in execution if o.msg_type == "stream")
        kill_supervisor(client)
        said = "".join(o.content["text"] for o in execution if o.msg_type == "stream")
        assert said.split()[-1] == "59"
        assert execution.wait(20).status == "ok"
    assert client.info().adopted == 8
    numbers = [record.seq for record in client.follow(until_end=True)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(replies(client)) == len(set(replies(client))) == 8


def test_descriptors_and_python_text_keep_their_places(client: Client) -> None:
    code = (
        "import os, subprocess, time\n"
        "for n in range(30):\n"
        "    print('python', n)\n"
        "    os.write(1, b'descriptor %d\\n' % n)\n"
        "    subprocess.run(['echo', 'child', str(n)])\n"
        "    time.sleep(0.02)\n"
    )
    execution = client.execute(code)
    next(o for o in execution if o.msg_type == "stream")
    kill_supervisor(client)
    assert execution.wait(30).status == "ok"
    said = "".join(r.data["text"] for r in client.follow(until_end=True) if r.msg_type == "stream")
    lines = said.splitlines()
    for word in ("python", "descriptor", "child"):
        assert [line for line in lines if line.startswith(word)] == [f"{word} {n}" for n in range(30)]


def test_what_was_submitted_to_a_dying_supervisor_is_executed_once(client: Client) -> None:
    client.execute("ran = []").wait(20)
    for number in range(10):
        pid = client.info().supervisor_pid
        execution = client.execute(f"ran.append({number})")
        os.kill(pid, signal.SIGKILL)
        assert execution.wait(30).status == "ok"
    assert text_of(client, "print(ran)") == f"{list(range(10))}\n"


def test_a_large_message_arrives_once(client: Client) -> None:
    code = (
        "from IPython.display import HTML, display\nimport time\n"
        "for n in range(6):\n    display(HTML('x' * 900_000)); time.sleep(0.05)"
    )
    execution = client.execute(code)
    next(iter(execution))
    kill_supervisor(client)
    assert execution.wait(30).status == "ok"
    shown = [r for r in client.follow(until_end=True) if r.msg_type == "display_data"]
    assert [len(r.data["data"]["text/html"]) for r in shown] == [900_000] * 6


def test_input_waits_for_the_next_supervisor_and_a_password_as_well(client: Client) -> None:
    code = "import getpass\nname = input('name? ')\nsecret = getpass.getpass('secret? ')\nprint(name, secret)"
    execution = client.execute(code)
    first = next(o for o in execution if o.msg_type == "input_request")
    kill_supervisor(client)
    wait_for(lambda: client.info().input is not None)
    client.answer(first.msg_id, "Ada")
    second = next(o for o in execution if o.msg_type == "input_request")
    kill_supervisor(client)
    wait_for(lambda: client.info().input is not None)
    assert client.info().input.password  # pyright: ignore[reportOptionalMemberAccess]
    client.answer(second.msg_id, "x")
    assert "".join(o.content["text"] for o in execution if o.msg_type == "stream") == "Ada x\n"
    journal = b"".join(r.content for r in client.follow(until_end=True) if r.kind == "answer")
    assert b"Ada" in journal
    assert b'"x"' not in journal


def test_a_kernel_that_holds_the_gil_is_taken_over_by_who_comes_first(session: Session, client: Client) -> None:
    execution = client.execute("import ctypes\nprint('now')\nctypes.PyDLL(None).sleep(4)\nprint('then')")
    next(o for o in execution if o.msg_type == "stream")
    pid = kill_supervisor(client)
    wait_for(lambda: not Path(f"/proc/{pid}/fd").exists() or not os.listdir(f"/proc/{pid}/fd"))
    start(session)
    with Client.connect(session) as other:
        assert other.info().state == "busy"
        assert other.info().running == execution.msg_id
    waiting = client.execute("print('later')")
    assert [o.content["text"] for o in execution] == ["then\n"]
    assert waiting.wait(30).status == "ok"


def test_the_death_of_a_kernel_that_was_taken_over_has_its_reason(client: Client) -> None:
    execution = client.execute(f"{LINES}\nimport os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    next(o for o in execution if o.msg_type == "stream")
    kill_supervisor(client)
    reply = execution.wait(30)
    assert reply.ename == "KernelDied"
    assert "SIGSEGV" in (reply.evalue or "")
    assert "line 5" in "\n".join(reply.traceback or [])


@pytest.fixture
def plain(session: Session) -> Iterator[BlockingKernelClient]:
    """An ordinary Jupyter client."""
    client = BlockingKernelClient()
    client.load_connection_file(str(session.connection_file))
    client.start_channels()
    client.wait_for_ready(20)
    yield client
    client.stop_channels()


def test_a_plain_client_gets_its_reply_from_the_next_supervisor(client: Client, plain: BlockingKernelClient) -> None:
    request = plain.execute(f"{LINES}\n'the end'")
    wait_for(lambda: client.info().running)
    kill_supervisor(client)
    reply = plain.get_shell_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == request
    assert reply["content"]["status"] == "ok"
    plain.execute("1 + 1")
    assert plain.get_shell_msg(timeout=30)["content"]["status"] == "ok"


def test_a_supervisor_that_is_told_to_end_ends_the_session_in_order(session: Session, client: Client) -> None:
    client.execute("x = 1").wait(20)
    info = client.info()
    os.kill(info.supervisor_pid, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{info.kernel_pid}").exists())
    wait_for(lambda: not session.sockets.exists())
    start(session)
    with Client.connect(session) as again:
        assert again.info().unclean
        said = [r.msg_type for r in again.follow(until_end=True) if r.kind == "event"]
        assert said[-4:] == ["terminated", "kernel_died", "open", "kernel_started"] or "terminated" in said


def test_a_foreign_kernel_is_kept_and_the_gap_is_said(project: Path) -> None:
    pytest.importorskip("ipykernel")
    session = Session.at(project, "foreign")
    start(session, kernel="python3")
    with Client.connect(session) as client:
        client.execute("x = 41").wait(30)
        execution = client.execute("import time; time.sleep(1.5); y = x + 1")
        wait_for(lambda: client.info().running)
        before = client.info()
        os.kill(before.supervisor_pid, signal.SIGKILL)
        assert execution.wait(30).status in ("ok", "error")
        assert text_of(client, "print(y)") == "42\n"
        assert client.info().kernel_pid == before.kernel_pid
        gaps = [r.data["reason"] for r in client.follow(until_end=True) if r.msg_type == "gap"]
        assert gaps == ["unknown"]


def test_a_cell_that_is_submitted_while_the_kernel_dies_is_answered_once(client: Client) -> None:
    client.execute("1").wait(20)
    for _ in range(10):
        os.kill(client.info().kernel_pid, signal.SIGKILL)
        execution = client.execute("print('ran')")
        reply = execution.wait(30)
        said = [r for r in client.follow(execution=execution.msg_id, until_end=True) if r.msg_type == "stream"]
        assert len(said) == (1 if reply.status == "ok" else 0)
        client.restart()
    assert text_of(client, "print('end')") == "end\n"
    for execution in client.info().held:
        records = list(client.follow(execution=execution, until_end=True))
        assert not [r for r in records if r.execution == execution and r.msg_type == "stream"]
