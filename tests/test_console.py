"""``zmqkernel attach`` in a terminal of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from zmqkernel.client import Client

PROMPT = r"In \[\d+\]: $"


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "shop"
    project.mkdir()
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return project


Attach = Callable[[], "pexpect.spawn[str]"]


@pytest.fixture
def attach(project: Path) -> Iterator[Attach]:
    opened: list[pexpect.spawn[str]] = []

    def attach() -> pexpect.spawn[str]:
        child = pexpect.spawn(
            sys.executable, ["-m", "zmqkernel", "attach"], encoding="utf-8", timeout=60, dimensions=(40, 120)
        )
        opened.append(child)
        return child

    yield attach
    for child in opened:
        child.close(force=True)


@pytest.fixture
def other(project: Path) -> Iterator[Client]:
    with Client.connect(sender="neovim 77") as client:
        yield client


def run(child: pexpect.spawn[str], code: str, *answers: str) -> None:
    """Type code, expect each answer, then the prompt."""
    child.sendline(code)
    for answer in answers:
        child.expect(answer)
    child.expect(PROMPT)


def test_a_prompt(attach: Attach) -> None:
    child = attach()
    child.expect(PROMPT)
    run(child, "1 + 1", re.escape("Out[1]: 2"))
    child.sendline("for i in range(3):")
    child.expect(r"\.\.\.: ")
    child.sendline("print('v', i)")
    child.expect(r"\.\.\.: ")
    run(child, "", "v 2")
    child.sendline("name = input('who? ')")
    child.expect(r"\r\nwho\? ")
    run(child, "Ada")
    run(child, "print('hi', name)", "\nhi Ada")
    run(child, "len?", "Return the number of items")
    child.sendline("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    child.expect(r"In \[1\]: $")
    assert "KernelDied: the kernel died" in child.before  # two threads write: which comes first is open
    assert "a new kernel was started: the variables are gone" in child.before
    run(child, "1 + 2", re.escape("Out[1]: 3"))
    child.sendeof()
    child.expect("detached; the session goes on. Back to it: zmqkernel attach shop")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    with Client.connect("shop", start=False) as client:
        assert client.info().state == "idle"


def test_a_question_that_somebody_else_answers_closes(attach: Attach, other: Client) -> None:
    child = attach()
    child.expect(PROMPT)
    for question in ("input('who? ')", "__import__('getpass').getpass('who? ')"):
        child.sendline(f"name = {question}; print('it is', name)")
        child.expect(r"\r\nwho\? ")
        child.send("half an ans")  # begun here, and never sent
        waits = other.info().input
        assert waits is not None
        other.answer(waits.request, "Bob")
        child.expect("answered elsewhere")
        child.expect("it is Bob")
        child.expect(PROMPT)
        run(child, "6 * 7", re.escape("42"))


def test_ctrl_c_interrupts_what_this_terminal_runs(attach: Attach) -> None:
    child = attach()
    child.expect(PROMPT)
    child.sendline("import time; print('be' 'gun'); time.sleep(60)")
    child.expect("begun")
    child.sendintr()
    child.expect("KeyboardInterrupt")
    child.expect(PROMPT)
    child.send("half a li")
    child.expect("half a li")
    child.sendintr()
    child.expect(PROMPT)
    run(child, "'still here'", "Out.*'still here'")
    child.sendline("exit()")
    child.expect("detached; the session goes on")
    with Client.connect("shop", start=False) as client:
        assert "exit()" not in [entry[2] for entry in client.history().history]  # it was not run


def test_ctrl_d_detaches_while_the_own_cell_runs(attach: Attach, other: Client) -> None:
    child = attach()
    child.expect(PROMPT)
    child.sendline("import time; print('be' 'gun'); time.sleep(600)")
    child.expect("begun")
    child.sendeof()
    child.expect("detached; your cell goes on. Back to it: zmqkernel attach shop")
    child.expect(pexpect.EOF)
    assert other.info().running
    other.interrupt()


def test_ctrl_d_detaches_in_the_middle_of_anothers_cell(attach: Attach, other: Client) -> None:
    running = other.execute("import time\nprint('begin')\nfor i in range(600): time.sleep(0.1)")
    next(running)
    child = attach()
    child.expect("begin")
    child.sendeof()
    child.expect("detached; the cell of neovim 77 goes on")
    child.expect(pexpect.EOF)
    assert other.info().running == running.msg_id
    other.interrupt()


def test_ctrl_d_leaves_a_question_open(attach: Attach, other: Client) -> None:
    child = attach()
    child.expect(PROMPT)
    child.sendline("name = input('who? ')")
    child.expect(r"\r\nwho\? ")
    child.sendeof()
    child.expect(r"detached; input\(\) waits for an answer of any client")
    child.expect(pexpect.EOF)
    asked = other.info().input
    assert asked is not None
    other.answer(asked.request, "Ada")
    assert other.execute("name").outputs()[0].data == {"text/plain": "'Ada'"}


def test_what_is_typed_while_a_cell_runs_waits_at_the_prompt(attach: Attach, other: Client) -> None:
    child = attach()
    child.expect(PROMPT)
    child.sendline("print('be' 'gun'); word = input('word? ')")
    child.expect(r"word\? ")
    child.sendline("x")
    child.expect(PROMPT)
    child.sendline("import time; print('on' 'ce'); [time.sleep(0.1) for i in range(10)]; print('do' 'ne')")
    child.expect("once")
    child.send("y = 5\x1b[A\nz\x7f")
    child.expect("done")
    child.expect(r"In \[3\]: y = 5")
    assert other.execute("'y' in globals()").outputs()[0].data == {"text/plain": "False"}
    child.sendline("")
    child.expect(PROMPT)
    assert other.execute("y").outputs()[0].data == {"text/plain": "5"}


def test_tab_completes_from_the_session(attach: Attach, other: Client) -> None:
    other.execute("class Bird: wingspan = 3; windy = 4\nbird = Bird()").wait()
    child = attach()
    child.expect(PROMPT)
    child.send("bird.wi\t")
    child.expect(r"bird\.wi[^a-z]*n")  # a bell in between: there are two
    child.send("\t\t")
    child.expect(r"windy\s+.*wingspan")
    child.send("g\t\n")
    child.expect(r"Out\[\d+\]: 3")
    child.expect(PROMPT)
    child.sendline("if True:")
    child.expect(r"\.\.\.:     $")
    child.send("print(bird.wind\t + 1)\n")
    child.expect(r"\.\.\.: ")
    child.send("\n")
    child.expect(r"\n5\r")


def test_others_are_seen_with_their_name(attach: Attach, other: Client) -> None:
    child = attach()
    child.expect(PROMPT)
    other.execute("print('from elsewhere')\n40 + 2").wait()
    child.expect(r"neovim 77  In \[1\]")
    child.expect("from elsewhere")
    child.expect(re.escape("Out[1]: 42"))
    execution = other.execute("z = input('pass? ')")
    child.expect(r"asks: pass\? ")
    child.sendline("")
    child.expect(r"\r\npass\? ")
    child.sendline("sesame")
    assert execution.wait(60).status == "ok"
    assert other.execute("z").outputs()[0].data == {"text/plain": "'sesame'"}
    other.shutdown()
    child.expect("the session was shut down")
    child.sendline("")
    child.expect(pexpect.EOF)


def test_a_running_cell_is_shown_from_its_beginning_and_asked_about(attach: Attach, other: Client) -> None:
    running = other.execute("import time\nprint('begin')\nfor i in range(600): time.sleep(0.1)")
    next(running)
    child = attach()
    child.expect(r"neovim 77  In \[1\]")
    child.expect("begin")
    child.sendintr()
    child.expect("a cell of neovim 77; interrupt it")
    child.sendline("n")
    child.expect(PROMPT)
    child.sendline("print('mine')")
    wait_until(lambda: len(other.info().queued) == 1)
    child.sendintr()
    child.expect("another client's cell runs before yours; interrupt it")
    child.sendline("y")
    child.expect("KeyboardInterrupt")
    child.expect("\r\nmine")
    child.expect(PROMPT)
    assert running.wait(60).ename == "KeyboardInterrupt"


def wait_until(ready: Callable[[], bool]) -> None:
    event = threading.Event()
    while not ready():
        event.wait(0.01)


def test_the_prompt_lives_through_the_death_of_the_supervisor(attach: Attach) -> None:
    child = attach()
    child.expect(PROMPT)
    run(child, "x = 41")
    with Client.connect("shop", start=False) as client:
        os.kill(client.info().supervisor_pid, signal.SIGKILL)
    run(child, "'still ' + 'here'", "still here")
    child.sendline("import time; print('be' 'gun', flush=True); time.sleep(2); print('en' 'ded')")
    child.expect("begun")
    with Client.connect("shop") as client:
        os.kill(client.info().supervisor_pid, signal.SIGKILL)
    child.expect("ended|KernelDied")  # what is meant: ended
    child.expect(PROMPT)


def test_who_attaches_after_a_crash_hears_what_was_kept(attach: Attach, other: Client) -> None:
    running = other.execute("import time; print('begun', flush=True); time.sleep(600)")
    next(running)
    waiting = other.execute("print('kept')")
    while not other.info().queued:
        threading.Event().wait(0.01)
    os.kill(other.info().kernel_pid, signal.SIGKILL)
    assert waiting.wait(60).ename == "KernelDied"
    child = attach()
    child.expect("1 cell that waited when the kernel died was kept: zmqkernel resume runs it")
    child.expect(PROMPT)
    (new,) = other.resume().executions.values()
    child.expect("1 cell that was kept runs again|neovim 77")
    child.expect(r"\x1b\[Kkept")
    assert new
