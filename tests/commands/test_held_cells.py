"""The commands when a kernel or a supervisor dies, as processes, on real sessions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zmqkernel.client import Client

pytestmark = pytest.mark.timeout(180)

COMMAND = [sys.executable, "-m", "zmqkernel"]


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, the working directory."""
    project = tmp_path / "shop"
    project.mkdir()
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def client(project: Path) -> Iterator[Client]:
    with Client.connect(sender="neovim 77") as client:
        yield client


def zk(*words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command; its exit code must be ``code``."""
    done = subprocess.run([*COMMAND, *words], input=stdin, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def wait_for(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def hold_two(client: Client) -> None:
    """Kill a kernel behind whose running cell two others wait."""
    running = client.execute("import time\nprint('begun', flush=True)\ntime.sleep(600)")
    next(running)
    waiting = [client.execute(code) for code in ("first = 1\nfirst", "print('second', first)")]
    wait_for(lambda: len(client.info().queued) == 2)
    os.kill(client.info().kernel_pid, signal.SIGKILL)
    for execution in (running, *waiting):
        assert execution.wait(60).ename == "KernelDied"
    wait_for(lambda: client.info().state == "idle")


def test_kept_cells_are_shown_and_run_again(client: Client) -> None:
    hold_two(client)
    said = "2 cells that waited when the kernel died were kept: zmqkernel resume runs them, zmqkernel resume --drop forgets them"
    text = zk("info").stdout
    assert "kept:       2 cells: zmqkernel resume runs them, --drop forgets them\n" in text
    assert "\n            first = 1  ...\n            print('second', first)\n" in text
    (listed,) = json.loads(zk("list", "--json").stdout)
    assert listed["held"] == client.info().held
    assert zk("list").stdout.endswith("  (2 cells kept)\n")
    assert said in zk("log").stdout

    assert zk("resume").stdout == "2 cells run again; see them: zmqkernel attach\n"
    wait_for(lambda: client.info().state == "idle" and not client.info().queued)
    text = zk("log", "-n", "2").stdout
    assert "2 cells that were kept run again" in text
    assert "neovim 77  In [1]" in text
    assert text.rstrip().endswith("second 1")
    assert zk("resume").stdout == "no cells are kept\n"


def test_kept_cells_are_dropped(client: Client) -> None:
    hold_two(client)
    done = json.loads(zk("resume", "--drop", "--json").stdout)
    assert list(done["executions"].values()) == ["", ""]
    assert client.info().held == []
    assert "2 cells that were kept will not run: dropped" in zk("log").stdout
    assert json.loads(zk("resume", "--json").stdout) == {"executions": {}}


def test_there_is_nothing_to_resume_where_nothing_was(project: Path) -> None:
    assert "there is no session" in zk("resume", code=3).stderr


def test_whoever_ran_the_cell_that_died_hears_of_the_others(client: Client) -> None:
    done = subprocess.Popen(
        [*COMMAND, "exec", "import time\nprint('begun', flush=True)\ntime.sleep(600)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with done as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        waiting = client.execute("1")
        wait_for(lambda: len(client.info().queued) == 1)
        os.kill(client.info().kernel_pid, signal.SIGKILL)
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 4
    assert waiting.wait(60).ename == "KernelDied"
    assert "1 cell that waited when the kernel died was kept: zmqkernel resume runs it" in errors


def test_a_command_that_waits_lives_through_the_death_of_the_supervisor(client: Client) -> None:
    """With adoption the output is complete; without, the command says that the kernel died. It never hangs."""
    code = "import time\nfor i in range(30):\n    print(i, flush=True)\n    time.sleep(0.05)"
    with subprocess.Popen(
        [*COMMAND, "exec", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "0\n"
        os.kill(client.info().supervisor_pid, signal.SIGKILL)
        text, errors = command.communicate(timeout=60)
    assert command.returncode in (0, 4), errors
    numbers = [int(line) for line in text.split()]
    assert numbers == list(range(1, 1 + len(numbers)))
    assert len(numbers) == 29 or command.returncode == 4


def test_adoption_is_told_by_the_log(client: Client) -> None:
    client.execute("x = 1").wait(60)
    os.kill(client.info().supervisor_pid, signal.SIGKILL)
    assert client.execute("x").wait(60).status == "ok"
    text = zk("log").stdout
    assert "the supervisor died and another took over: the kernel goes on, the variables are there" in text
    assert "something" not in text


def test_log_f_ends_whatever_the_moment_of_the_shutdown(client: Client) -> None:
    logs = [
        subprocess.Popen([*COMMAND, "log", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        wait_for(lambda: client.info().clients)
        threading.Thread(target=client.shutdown).start()
        for log in logs:
            text, errors = log.communicate(timeout=60)
            said = ("the session was shut down", "does not run")  # the second: it came when there was nothing left
            assert any(words in text + errors for words in said), (text, errors)
    finally:
        for log in logs:
            log.kill()
            log.wait()
