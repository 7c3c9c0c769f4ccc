"""Other people's clients use the door unchanged: jupyter_client and jupyter console."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from zmqkernel.client import Client
from zmqkernel.paths import Session

from .conftest import text_of
from .raw import Raw

BIN = Path(sys.executable).parent


@contextmanager
def jupyter(session: Session) -> Iterator[BlockingKernelClient]:
    client = BlockingKernelClient()
    client.load_connection_file(str(session.connection_file))
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        yield client
    finally:
        client.stop_channels()


def outputs(client: BlockingKernelClient, code: str) -> list[dict]:
    """Everything that iopub says about one execution."""
    found: list[dict] = []
    client.execute_interactive(code, timeout=60, output_hook=found.append)
    return found


def test_two_jupyter_clients_at_once_and_complete(session: Session) -> None:
    with jupyter(session) as one, jupyter(session) as two:
        assert "".join(m["content"].get("text", "") for m in outputs(one, "shared = 5; print(shared)")) == "5\n"
        (result,) = [m for m in outputs(two, "shared + 1") if m["msg_type"] == "execute_result"]
        assert result["content"]["data"]["text/plain"] == "6"
        reply = two.complete("share", reply=True, timeout=20)
        assert "shared" in reply["content"]["matches"]
        reply = one.inspect("shared", reply=True, timeout=20)
        assert reply["content"]["found"]
        one.is_complete("for x in y:")
        assert one.get_shell_msg(timeout=20)["content"]["status"] == "incomplete"
        assert one.history(reply=True, timeout=20, hist_access_type="tail", n=5)["content"]["status"] == "ok"
        assert one.comm_info(reply=True, timeout=20)["content"]["status"] == "ok"
        assert one.is_alive()


def test_a_jupyter_client_sees_what_ours_runs_and_who_it_was(session: Session, client: Client) -> None:
    with jupyter(session) as other:
        client.execute("print('from ours')").wait(20)
        text = ""
        while not text.endswith("\n"):
            message = other.get_iopub_msg(timeout=20)
            text += message["content"]["text"] if message["msg_type"] == "stream" else ""
        assert text == "from ours\n"
        ours = message["metadata"]["zmqkernel"]
        assert ours["sender"] == "tester 1"
        assert ours["execution"] == message["parent_header"]["msg_id"]


def test_input_of_a_jupyter_client(session: Session) -> None:
    with jupyter(session) as other:
        other.execute("print('got', input('? '))", allow_stdin=True)
        assert other.get_stdin_msg(timeout=20)["content"]["prompt"] == "? "
        other.input("it")
        text = ""
        while not text.endswith("got it\n"):
            message = other.get_iopub_msg(timeout=20)
            text += message["content"]["text"] if message["msg_type"] == "stream" else ""


def test_kernel_info_answers_while_a_cell_runs_and_leaves_the_state_busy(session: Session, client: Client) -> None:
    execution = client.execute("import time\nprint('go')\nwhile True: time.sleep(0.01)")
    next(o for o in execution if o.msg_type == "stream")
    with jupyter(session) as other:
        asked = other.kernel_info()
        assert other.get_shell_msg(timeout=20)["msg_type"] == "kernel_info_reply"
        seen: list[tuple[str, str]] = []
        while (asked, "idle") not in seen[:-1]:
            message = other.get_iopub_msg(timeout=20)
            if message["msg_type"] == "status":
                seen.append((message["parent_header"]["msg_id"], message["content"]["execution_state"]))
        assert seen[-1] == (execution.msg_id, "busy")
    client.interrupt()
    execution.wait(20)


def test_a_jupyter_client_gets_the_reason_when_the_kernel_dies(session: Session) -> None:
    with jupyter(session) as other:
        reply = other.execute("import os; os.abort()", reply=True, timeout=30)
        assert reply["content"]["status"] == "error"
        assert reply["content"]["ename"] == "KernelDied"
        assert "SIGABRT" in reply["content"]["evalue"]
        assert other.execute("1", reply=True, timeout=30)["content"]["status"] == "ok"


@pytest.mark.parametrize("pick", ["newest", "by file"])
def test_jupyter_console_attaches_completes_and_leaves_the_session_alive(
    session: Session, client: Client, pick: str
) -> None:
    client.execute("answer_of_all = 42").wait(20)
    argument = [] if pick == "newest" else [str(session.connection_file)]
    console = pexpect.spawn(
        str(BIN / "jupyter-console"),
        ["--existing", *argument, "--simple-prompt"],
        env={**os.environ, "TERM": "dumb"},
        encoding="utf-8",
        timeout=60,
    )
    try:
        console.expect(r"In \[.*\]:")
        console.sendline("print(answer_of_all + 1)")
        console.expect("43")
        console.expect(r"In \[.*\]:")
        console.sendeof()
        console.expect("really want to exit")
        console.sendline("y")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)
    assert text_of(client, "print(answer_of_all)") == "42\n"


@pytest.mark.parametrize("ours", [True, False], ids=["our client", "jupyter_client"])
def test_a_hundred_thousand_lines_and_twenty_thousand_displays_arrive_exact(
    session: Session, client: Client, ours: bool
) -> None:
    lines = "for i in range(100_000): print(i)"
    displays = "for i in range(20_000): display({'text/plain': str(i)}, raw=True)"
    if ours:
        text = text_of(client, lines)
        shown = [o.content["data"]["text/plain"] for o in client.execute(displays) if o.msg_type == "display_data"]
    else:
        with jupyter(session) as other:
            text = "".join(m["content"]["text"] for m in outputs(other, lines) if m["msg_type"] == "stream")
            found = outputs(other, displays)
            shown = [m["content"]["data"]["text/plain"] for m in found if m["msg_type"] == "display_data"]
    assert text == "".join(f"{i}\n" for i in range(100_000))
    assert shown == [str(i) for i in range(20_000)]


def test_a_subscriber_that_does_not_read_costs_the_others_nothing(session: Session, client: Client) -> None:
    with Raw(session) as raw, jupyter(session) as other:
        stalled = zmq.Context.instance().socket(zmq.SUB)
        stalled.linger = 0
        stalled.rcvhwm = 1
        stalled.rcvbuf = 4096
        stalled.subscribe(b"")
        stalled.connect(raw.info.endpoint("iopub"))
        try:
            assert stalled.poll(5000)  # it is there, and from now on it does not read
            code = "for i in range(3000): display({'text/plain': str(i), 'x': 'y' * 4096}, raw=True)"
            found = outputs(other, code)
            shown = [m["content"]["data"]["text/plain"] for m in found if m["msg_type"] == "display_data"]
            assert shown == [str(i) for i in range(3000)]
            mine = [o for o in client.execute(code) if o.msg_type == "display_data"]
            assert len(mine) == 3000
        finally:
            stalled.close()
