"""What a Jupyter kernel manager's signals and requests mean for the session behind its kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from zmqkernel.client import Client, discovery
from zmqkernel.client.blocking import Execution
from zmqkernel.protocol.messages import SessionInfoReply

from .conftest import SECONDS, Manage, lives, session_called, wait_for

WAITS = """
import pathlib, time
print('runs', flush=True)
while not pathlib.Path('go').exists(): time.sleep(0.01)
work = 'done'
"""
"""A cell that runs until the file ``go`` is there."""


def pids(info: SessionInfoReply) -> tuple[int, int]:
    return info.supervisor_pid, info.kernel_pid


def begin(client: Client) -> Execution:
    """Submit the cell that waits, and wait until it runs."""
    execution = client.execute(WAITS)
    assert next(output for output in execution if output.msg_type == "stream").content["text"] == "runs\n"
    return execution


def value(client: Client, expression: str) -> str:
    """What ``print(expression)`` says."""
    return "".join(o.content["text"] for o in client.execute(f"print({expression})") if o.msg_type == "stream").strip()


def reply_to(client: BlockingKernelClient, msg_id: str) -> dict[str, Any]:
    """The reply to one request on shell; earlier ones are dropped."""
    while True:
        reply = client.get_shell_msg(timeout=SECONDS)
        if reply["parent_header"]["msg_id"] == msg_id:
            return reply


def until_stream(client: BlockingKernelClient, name: str = "stdout") -> str:
    """The text of the next stream message of that name on iopub."""
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["header"]["msg_type"] == "stream" and message["content"]["name"] == name:
            return message["content"]["text"]


# --- whose session it is ------------------------------------------------------------------------------------------


def test_the_owners_shutdown_ends_the_session(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    managed.run("x = 1")
    with Client.connect(session_called(project, "train"), start=False) as client:
        others = pids(client.info())
    host = managed.host
    managed.manager.shutdown_kernel()
    wait_for(lambda: not any(map(lives, (host, *others))))


def test_another_managers_shutdown_leaves_the_running_cell_and_the_variables(project: Path, manage: Manage) -> None:
    session = session_called(project, "train")
    discovery.start(session)
    with Client.connect(session, start=False) as client:
        execution = begin(client)
        managed = manage("train.ipynb")
        assert managed.client.kernel_info(reply=True, timeout=SECONDS)["content"]["status"] == "ok"
        host = managed.host
        managed.manager.shutdown_kernel()  # it interrupts first
        wait_for(lambda: not lives(host))
        assert client.info().running == execution.msg_id
        (project / "go").touch()
        assert execution.wait(SECONDS).status == "ok"
        assert value(client, "work") == "done"
        wait_for(lambda: not client.info().served)


def test_a_session_of_nobodys_notebook_ends_with_its_manager(project: Path, manage: Manage) -> None:
    for end in ("shutdown", "kill", "terminate"):
        managed = manage()
        managed.run("x = 1")
        (found,) = (one for one in discovery.sessions() if one.alive)
        assert found.session.name.startswith("jupyter-")
        processes = (managed.host, found.file.supervisor_pid, found.file.kernel_pid)
        assert all(map(lives, processes))
        if end == "shutdown":
            managed.manager.shutdown_kernel()
        elif end == "kill":
            os.killpg(managed.host, signal.SIGKILL)
        else:
            os.kill(managed.host, signal.SIGTERM)
        wait_for(lambda: not any(map(lives, processes)))  # noqa: B023  called in this round only


def test_a_session_of_nobodys_notebook_stays_while_somebody_else_reads_it(project: Path, manage: Manage) -> None:
    managed = manage()
    managed.run("x = 1")
    (found,) = (one for one in discovery.sessions() if one.alive)
    with Client.connect(found.session, start=False, sender="tester") as client:
        client.execute("y = 2").wait(SECONDS)
        os.killpg(managed.host, signal.SIGKILL)
        wait_for(lambda: not client.info().served)
        assert value(client, "x + y") == "3"
        client.shutdown()


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_whole_group_leaves_the_session_to_the_next_manager(
    project: Path, manage: Manage, number: int
) -> None:
    first = manage("train.ipynb")
    first.run("x = 41")
    with Client.connect(session_called(project, "train"), start=False) as client:
        before = client.info()
        os.killpg(first.host, number)
        wait_for(lambda: not first.manager.is_alive())
        wait_for(lambda: not client.info().served)
        second = manage("train.ipynb")
        assert second.run("print(x + 1)") == "42\n"
        assert pids(client.info()) == pids(before)
    second.manager.shutdown_kernel()
    wait_for(lambda: not any(map(lives, pids(before))))


def test_sigint_interrupts_the_running_cell(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    asked = managed.client.execute(WAITS)
    assert until_stream(managed.client) == "runs\n"
    os.kill(managed.host, signal.SIGINT)
    assert reply_to(managed.client, asked)["content"]["ename"] == "KeyboardInterrupt"
    assert lives(managed.host)


def test_a_managers_interrupt(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    asked = managed.client.execute(WAITS)
    assert until_stream(managed.client) == "runs\n"
    managed.manager.interrupt_kernel()
    assert reply_to(managed.client, asked)["content"]["ename"] == "KeyboardInterrupt"


# --- restart --------------------------------------------------------------------------------------------------------


def test_the_owners_restart_gives_a_new_kernel_in_the_same_session(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    managed.run("x = 1")
    with Client.connect(session_called(project, "train"), start=False) as client:
        before, host = client.info(), managed.host
        managed.restart()
        assert managed.run("print('x' in globals())") == "False\n"
        after = client.info()
    assert not lives(host)
    assert after.supervisor_pid == before.supervisor_pid
    assert after.kernel_pid != before.kernel_pid
    assert len(after.served) == 1


def test_another_managers_restart_only_lets_go_while_others_are_attached(project: Path, manage: Manage) -> None:
    session = session_called(project, "train")
    discovery.start(session)
    with Client.connect(session, start=False) as client:
        execution = begin(client)
        managed = manage("train.ipynb")
        managed.client.control_channel.send(managed.client.session.msg("shutdown_request", {"restart": True}))
        assert "not restarted" in until_stream(managed.client, "stderr").lower()
        wait_for(lambda: not managed.manager.is_alive())
        (project / "go").touch()
        assert execution.wait(SECONDS).status == "ok"
        managed.restart()
        assert managed.run("print(work)") == "done\n"


def test_another_managers_restart_when_nobody_else_is_there(project: Path, manage: Manage) -> None:
    session = session_called(project, "train")
    discovery.start(session)
    managed = manage("train.ipynb")
    managed.run("x = 1")
    managed.restart()
    assert managed.run("print('x' in globals())") == "False\n"


def test_a_second_client_of_one_manager_counts_its_messages_from_the_beginning_and_is_served(manage: Manage) -> None:
    """jupyter_client copies the manager's session: both clients have its identity, and their msg_ids are the same."""
    managed = manage("train.ipynb")
    first = {message["parent_header"]["msg_id"] for message in managed.messages("x = 1")}
    managed.another_client()
    messages = managed.messages("x += 1; print(x)")
    assert first & {message["parent_header"]["msg_id"] for message in messages}
    assert [m["content"]["text"] for m in messages if m["header"]["msg_type"] == "stream"] == ["2\n"]


# --- what goes on ---------------------------------------------------------------------------------------------------


def test_kernel_info_while_a_cell_runs_leaves_the_state_busy(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    client = managed.client
    asked = client.execute(WAITS)
    assert until_stream(client) == "runs\n"
    info = client.kernel_info()
    assert reply_to(client, info)["header"]["msg_type"] == "kernel_info_reply"
    seen: list[tuple[str, str]] = []
    while (info, "idle") not in seen[:-1]:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["header"]["msg_type"] == "status":
            seen.append((message["parent_header"]["msg_id"], message["content"]["execution_state"]))
    assert seen[-1] == (asked, "busy")
    (project / "go").touch()
    assert reply_to(client, asked)["content"]["status"] == "ok"


def test_the_host_brings_a_killed_supervisor_back(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    managed.run("x = 41")
    host, session = managed.host, session_called(project, "train")
    (found,) = (one for one in discovery.sessions() if one.alive)
    os.kill(found.file.supervisor_pid, signal.SIGKILL)
    wait_for(lambda: not lives(found.file.supervisor_pid))
    # What a plain client sent to the dead is lost, and iopub comes back in its own time: ask until it is there again.
    managed.client.wait_for_ready(timeout=SECONDS)
    reply = managed.client.execute("", user_expressions={"answer": "x + 1"}, reply=True, timeout=SECONDS)
    assert reply["content"]["user_expressions"]["answer"]["data"]["text/plain"] == "42"
    with Client.connect(session, start=False) as client:
        assert client.info().supervisor_pid != found.file.supervisor_pid
        assert client.info().kernel_pid == found.file.kernel_pid
    assert managed.host == host
    managed.manager.shutdown_kernel()
    wait_for(lambda: not any(map(lives, (host, found.file.kernel_pid))))


def test_somebody_elses_shutdown_ends_the_host_too(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    managed.run("x = 1")
    with Client.connect(session_called(project, "train"), start=False) as client:
        client.shutdown()
    wait_for(lambda: not managed.manager.is_alive())


def test_the_host_ends_with_a_manager_that_was_killed(project: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from jupyter_client.manager import KernelManager\n"
        "manager = KernelManager(kernel_name='zmqkernel-session')\n"
        f"manager.start_kernel(env={{**os.environ, 'JPY_SESSION_NAME': {str(project / 'train.ipynb')!r}}})\n"
        "client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=30)\n"
        "client.execute('x = 41', reply=True, timeout=30)\n"
        "print(manager.provisioner.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=project, stdout=subprocess.PIPE) as manager:
        assert manager.stdout
        host = int(manager.stdout.readline())
        manager.kill()
    wait_for(lambda: not lives(host))
    with Client.connect(session_called(project, "train"), start=False) as client:
        assert value(client, "x + 1") == "42"
        wait_for(lambda: not client.info().served)


def test_an_idle_host_says_nothing_and_sleeps(project: Path, manage: Manage, tmp_path: Path) -> None:
    with open(tmp_path / "said", "wb") as said:
        managed = manage("train.ipynb", stdout=said, stderr=said)
        managed.run("print('to the client only')")

    def woken() -> int:
        tasks = Path(f"/proc/{managed.host}/task").iterdir()
        return sum(
            int(line.split()[1])
            for task in tasks
            for line in (task / "status").read_text().splitlines()
            if line.startswith("voluntary_ctxt_switches")
        )

    before = woken()
    time.sleep(2)  # what is counted is the waking in this time
    assert woken() - before <= 2
    assert (tmp_path / "said").read_bytes() == b""


def test_a_cell_does_not_know_of_the_manager(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    code = "import os; print([n for n in os.environ if n.startswith('JPY_') or n == 'ZMQKERNEL_NAME'], os.getcwd())"
    assert managed.run(code) == f"[] {project}\n"


# --- errors ---------------------------------------------------------------------------------------------------------


def hosted(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "zmqkernel.hosted", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_reason_for_a_failure_is_said(project: Path, home: Path) -> None:
    done = hosted(cwd=project)
    assert (done.returncode, done.stderr[:23]) == (2, "zmqkernel: usage: pytho")
    done = hosted("-f", str(project / "none.json"), cwd=project)
    assert (done.returncode, "cannot read" in done.stderr) == (1, True)
    (project / "half.json").write_text('{"shell_port": 1}')
    done = hosted("-f", str(project / "half.json"), cwd=project)
    assert (done.returncode, "not a Jupyter connection file" in done.stderr) == (1, True)
    assert not [one for one in discovery.sessions() if one.alive]
    state = home / "state" / "zmqkernel"
    state.mkdir(exist_ok=True)
    state.chmod(0o755)
    (project / "whole.json").write_text(
        '{"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5, "key": "k"}'
    )
    done = hosted("-f", str(project / "whole.json"), cwd=project)
    assert (done.returncode, "others may enter" in done.stderr, done.stdout) == (1, True, "")


def test_ports_that_are_taken_end_the_host_and_leave_no_session(project: Path, manage: Manage) -> None:
    managed = manage("train.ipynb")
    managed.run("x = 1")
    done = hosted("-f", managed.manager.connection_file, cwd=Path.home())  # another session wants the same endpoints
    assert (done.returncode, "cannot listen" in done.stderr) == (1, True), done.stderr
    assert [one.session.name for one in discovery.sessions() if one.alive] == ["train"]
    assert managed.run("print(x)") == "1\n"
