"""The stories of the project, told with the client library: real processes, nothing faked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from zmqkernel.client import Client
from zmqkernel.client.discovery import start
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.messages import Origin

from .conftest import text_of, wait_for


def test_code_outputs_and_state_outlive_every_client(session: Session) -> None:
    with Client.connect(session, sender="first") as first:
        assert first.execute("x = 6 * 7; print('here')").wait(20).status == "ok"
    with Client.connect(session, sender="second") as second:
        records = [r for r in second.follow(until_end=True) if r.kind != "event"]
        assert "".join(r.data["text"] for r in records if r.msg_type == "stream") == "here\n"
        assert text_of(second, "print(x)") == "42\n"


def test_a_cell_that_runs_while_nobody_is_attached_goes_on_and_streams_to_who_comes(session: Session) -> None:
    code = "import time\nfor i in range(60):\n    print(i)\n    time.sleep(0.05)"
    with Client.connect(session, sender="editor") as editor:
        execution = editor.execute(code)
        next(o for o in execution if o.msg_type == "stream")
    with Client.connect(session, sender="again") as again:
        text, finished = "", False
        for record in again.follow(execution=execution.msg_id):
            if record.msg_type == "stream":
                text += record.data["text"]
            if record.kind == "reply":
                finished = True
                break
        assert finished
        assert text == "".join(f"{i}\n" for i in range(60))


def test_two_clients_see_each_others_cells_and_who_ran_them(session: Session) -> None:
    with Client.connect(session, sender="neovim 1") as one, Client.connect(session, sender="terminal") as two:
        seen = two.follow()
        one.execute("print('from one')").wait(20)
        two.execute("print('from two')").wait(20)
        found: dict[str, str] = {}
        names: dict[str, str] = {}
        for record in seen:
            if record.kind == "submit":
                ours = record.message().metadata["zmqkernel"]
                names[record.execution] = ours["sender"]
            if record.msg_type == "stream":
                name = names[record.execution]
                found[name] = found.get(name, "") + record.data["text"]
            if len(found) == 2 and all(text.endswith("\n") for text in found.values()):
                break
        assert found == {"neovim 1": "from one\n", "terminal": "from two\n"}


def test_a_segfault_answers_the_pending_cell_with_reason_and_line_and_the_session_goes_on(client: Client) -> None:
    crash = "import ctypes\nprint('before')\nctypes.string_at(0)"
    execution = client.execute(crash, origin=Origin(uri="file:///p/analysis.py", path="/p/analysis.py", line=10))
    queued = client.execute("print('never')")
    assert "".join(o.content["text"] for o in execution if o.msg_type == "stream") == "before\n"
    assert execution.reply and execution.reply.ename == "KernelDied"
    assert "SIGSEGV" in (execution.reply.evalue or "")
    assert "/p/analysis.py:13" in (execution.reply.evalue or "")
    reply = queued.wait(20)
    assert reply.ename == "KernelDied"
    assert "not executed" in (reply.evalue or "")
    assert text_of(client, "print('alive')") == "alive\n"
    assert client.info().generation == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_text_whose_print_returned_survives_the_kernels_death(client: Client, number: int) -> None:
    code = f"import os\nfor i in range(1000): print('line', i)\nos.kill(os.getpid(), {int(number)})"
    execution = client.execute(code)
    text = "".join(o.content["text"] for o in execution if o.msg_type == "stream" and o.content["name"] == "stdout")
    assert text == "".join(f"line {i}\n" for i in range(1000))
    assert execution.reply and execution.reply.ename == "KernelDied"


def test_text_arrives_though_the_next_statement_holds_the_interpreter(client: Client) -> None:
    execution = client.execute("print('x'); n = 7**4000000; print('y')")
    first = next(o for o in execution if o.msg_type == "stream")
    assert first.content["text"].startswith("x")
    assert client.info().state == "busy"
    assert execution.wait(120).status == "ok"


def test_os_exit_is_reported_with_its_code(client: Client) -> None:
    reply = client.execute("import os; os._exit(3)").wait(20)
    assert reply.evalue and "exit code 3" in reply.evalue
    assert client.execute("1").wait(20).status == "ok"


def test_input_waits_over_a_restart_of_the_editor_and_anybody_can_answer_it(session: Session) -> None:
    with Client.connect(session, sender="editor") as editor:
        execution = editor.execute("name = input('who? ')\nprint('hello', name)")
        wait_for(lambda: editor.info().input is not None)
    with Client.connect(session, sender="terminal") as terminal:
        waits = terminal.info().input
        assert waits and waits.prompt == "who? "
        terminal.answer(waits.request, "world")
        texts = [r.data["text"] for r in _until_reply(terminal, execution.msg_id) if r.msg_type == "stream"]
        assert "".join(texts).endswith("hello world\n")
        with pytest.raises(ZmqKernelError):
            terminal.answer(waits.request, "too late")


def test_a_password_is_in_no_journal(session: Session, client: Client) -> None:
    execution = client.execute("import getpass\nsecret = getpass.getpass('pw: ')\nprint(len(secret))")
    wait_for(lambda: client.info().input is not None)
    waits = client.info().input
    assert waits and waits.password
    client.answer(waits.request, "correct horse")
    assert execution.wait(20).status == "ok"
    assert all(b"correct horse" not in path.read_bytes() for path in session.directory.glob("journal-*"))


def test_interrupt_ends_the_cell_and_nothing_else(client: Client) -> None:
    client.interrupt()  # nothing runs: nothing happens
    execution = client.execute("import time\nprint('started')\nwhile True: time.sleep(0.01)")
    next(o for o in execution if o.msg_type == "stream")
    client.interrupt()
    reply = execution.wait(20)
    assert reply.ename == "KeyboardInterrupt"
    assert text_of(client, "print('still here')") == "still here\n"
    assert client.info().generation == 1


def test_completion_and_inspection_answer_while_a_cell_runs(client: Client) -> None:
    client.execute("import collections, time; table = collections.OrderedDict(apple=1)").wait(20)
    execution = client.execute("print('go'); end = time.time() + 60\nwhile time.time() < end: pass")
    next(o for o in execution if o.msg_type == "stream")
    assert "move_to_end" in client.complete("table.move").matches
    assert client.inspect("table").found
    assert client.info().state == "busy"
    client.interrupt()
    execution.wait(20)


def test_exit_in_a_cell_does_not_end_everybodys_kernel(client: Client) -> None:
    reply = client.execute("keep = 1; exit()").wait(20)
    assert {"source": "ask_exit", "keepkernel": True} in (reply.payload or [])
    assert text_of(client, "print(keep)") == "1\n"
    assert client.info().generation == 1


def test_a_restart_keeps_session_journal_and_clients(client: Client) -> None:
    client.execute("x = 1").wait(20)
    client.restart()
    assert client.execute("x").wait(20).ename == "NameError"
    assert client.info().generation == 2


def test_the_same_request_twice_is_executed_once(session: Session, client: Client) -> None:
    client.execute("count = 0").wait(20)
    from zmqkernel.protocol.messages import ExecuteRequest
    from zmqkernel.protocol.wire import Wire

    from .raw import Raw

    with Raw(session) as raw:
        wire = Wire(raw.info.key, "double")
        message = wire.message("execute_request", ExecuteRequest("count += 1"))
        positions = [raw.exchange(wire, message).content["position"] for _ in range(3)]
        assert positions[0] == positions[1] == positions[2]
    assert text_of(client, "print(count)") == "1\n"


def test_shutdown_leaves_nothing_running_and_the_journal_readable(session: Session) -> None:
    with Client.connect(session) as client:
        client.execute("print('kept')").wait(20)
        pids = (client.info().kernel_pid, client.info().supervisor_pid)
        client.shutdown()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert not session.connection_file.exists()
    assert not session.jupyter_file.exists()
    assert not session.sockets.exists()
    start(session, with_kernel=False)
    with Client.connect(session, start=False) as reader:
        texts = [r.data["text"] for r in reader.follow(until_end=True) if r.msg_type == "stream"]
        assert "".join(texts) == "kept\n"
        assert reader.info().state == "dead"
        assert reader.execute("1").wait(20).ename == "KernelDied"


def test_a_session_can_be_started_right_after_its_shutdown(session: Session) -> None:
    for _ in range(3):
        with Client.connect(session, timeout=10) as client:
            assert client.execute("1").wait(20).status == "ok"
            client.shutdown()


def test_an_unclean_end_begins_an_epoch_and_says_so(session: Session) -> None:
    with Client.connect(session) as client:
        client.execute("print('before the crash')").wait(20)
        info = client.info()
    for pid in (info.supervisor_pid, info.kernel_pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(_runs(pid) for pid in (info.supervisor_pid, info.kernel_pid)))
    start(session)
    with Client.connect(session) as client:
        after = client.info()
        assert after.unclean
        assert after.epoch == info.epoch + 1
        assert after.seq > info.seq
        texts = [r.data["text"] for r in client.follow(until_end=True) if r.msg_type == "stream"]
        assert "".join(texts) == "before the crash\n"


def test_the_kernel_outlives_the_supervisor_and_nothing_is_lost(client: Client) -> None:
    client.execute("x = 41").wait(20)
    code = "import time\nfor n in range(40):\n    print(n); time.sleep(0.02)\nanswer = input('? ')\nprint(answer)"
    execution = client.execute(code)
    waiting = client.execute("x += 1; print(x)")
    next(o for o in execution if o.msg_type == "stream")
    info = client.info()
    os.kill(info.supervisor_pid, signal.SIGKILL)
    said = ""
    for output in execution:
        if output.msg_type == "input_request":
            client.answer(output.msg_id, "over here")
        else:
            said += output.content["text"]
    assert [line for line in said.split("\n") if line] == [*map(str, range(1, 40)), "over here"]
    assert execution.reply and execution.reply.status == "ok"
    assert [o.content["text"] for o in waiting] == ["42\n"]
    after = client.info()
    assert after.kernel_pid == info.kernel_pid
    assert after.supervisor_pid != info.supervisor_pid
    assert after.adopted == 1
    assert not after.unclean
    records = list(client.follow(until_end=True))
    assert [r.seq for r in records] == list(range(1, len(records) + 1))
    assert [r.msg_type for r in records if r.kind == "reply"] == ["execute_reply"] * 3
    assert client.execute("x").wait(20).execution_count == 4


def test_kernel_and_supervisor_die_at_once_and_what_was_said_is_there(session: Session) -> None:
    with Client.connect(session) as client:
        info = client.info()
        code = (
            f"import os\nprint('the last words')\nos.kill({info.supervisor_pid}, 9)\n"
            "print('and these')\nos.kill(os.getpid(), 9)"
        )
        execution, waiting = client.execute(code), client.execute("print('not run')")
        said = "".join(o.content["text"] for o in execution if o.msg_type == "stream")
        assert said == "the last words\nand these\n"
        assert execution.wait(20).ename == "KernelDied"
        assert waiting.wait(20).ename == "KernelDied"
        assert client.info().held == [waiting.msg_id]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _until_reply(client: Client, execution: str):
    for record in client.follow(execution=execution):
        yield record
        if record.kind == "reply":
            return
