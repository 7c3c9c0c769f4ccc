"""What a supervisor that takes a kernel over asks of it, and that nothing which it sends again happens twice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqkernel.kernel.dispatch import REMEMBERED

from .conftest import Bench
from .linked import LinkedKernel, linked_kernel, wait_until


@pytest.fixture
def kernel(home: Path) -> Iterator[LinkedKernel]:
    with linked_kernel(home) as kernel:
        yield kernel


def test_it_says_what_it_is_at(kernel: LinkedKernel) -> None:
    idle = {"status": "ok", "running": "", "queued": [], "input": ""}
    assert kernel.ask("adopt_request", {"pid": os.getpid()}) == idle
    running = kernel.execute("print('go', flush=True)\nanswer = input('? ')\nprint(answer)")
    queued = [kernel.execute("1"), kernel.execute("2")]
    kernel.send("shell", "comm_msg", {"comm_id": "nobody", "data": {}})
    (question,) = wait_until(lambda: kernel.messages("input_request"))
    assert kernel.ask("adopt_request", {"pid": os.getpid()}) == {
        "status": "ok",
        "running": running,
        "queued": queued,
        "input": question.msg_id,
    }
    kernel.send("stdin", "input_reply", {"value": "typed"})
    kernel.reply(queued[-1])
    assert "typed\n" in kernel.text()
    assert kernel.ask("adopt_request", {"pid": os.getpid()}) == idle


def test_another_request_with_the_same_msg_id_is_executed(kernel: LinkedKernel) -> None:
    """Two clients of one Jupyter kernel manager have one session, and both count their messages from 1."""
    for text in ("one", "two"):
        kernel.execute(f"print('{text}')", msg_id="same")
    kernel.run("print('end')")
    assert kernel.text() == "one\ntwo\nend\n"


def test_a_request_that_is_sent_again_is_executed_and_answered_once(kernel: LinkedKernel) -> None:
    same = kernel.wire.message("execute_request", {"code": "print('once')"}, msg_id="same")
    for _ in range(3):
        kernel.forward("shell", same)
        kernel.connect()  # another supervisor
    kernel.reply("same")
    kernel.forward("shell", same)
    kernel.run("print('end')")
    assert kernel.text() == "once\nend\n"
    assert len(kernel.messages("execute_reply", "same")) == 1


def test_ten_thousand_cells_are_remembered_and_comm_messages_push_none_of_them_out(bench: Bench) -> None:
    kernel = bench.kernel
    first = bench.request("execute_request", {"code": "print('first')"})
    assert bench.serve(first)
    for _ in range(REMEMBERED + 1):
        kernel.accept("shell", bench.request("comm_msg", {"comm_id": "nobody", "data": {}}))
    assert not any(m.msg_type == "stream" for _, m in bench.serve(first))
    twice = bench.request("comm_msg", {"comm_id": "nobody", "data": {}})
    assert len(bench.serve(twice, twice)) == 4  # both are served: busy, idle
    others = [bench.request("execute_request", {"code": ""}) for _ in range(REMEMBERED - 1)]
    for other in others:
        kernel.accept("shell", other)
    while kernel.main.waiting():
        kernel.main.next()
    assert bench.serve(first) == []
    assert REMEMBERED >= 10_000


def test_an_answer_to_another_question_is_dropped(kernel: LinkedKernel) -> None:
    cell = kernel.execute("print(input('1? '), input('2? '))")
    (one,) = wait_until(lambda: kernel.messages("input_request"))
    kernel.send("stdin", "input_reply", {"value": "wrong"}, parent=b'{"msg_id":"older","msg_type":"input_request"}')
    kernel.send("stdin", "input_reply", {"value": "first"}, parent=one.header_json)
    _, two = wait_until(lambda: len(found := kernel.messages("input_request")) == 2 and found)
    kernel.send("stdin", "input_reply", {"value": "first again"}, parent=one.header_json)
    kernel.send("stdin", "input_reply", {"value": "second"}, parent=two.header_json)
    kernel.reply(cell)
    assert "first second\n" in kernel.text()


def test_socket_files_that_were_removed_are_bound_again(kernel: LinkedKernel) -> None:
    ask = kernel.sockets / "k-4"
    before = descriptors(kernel.process.pid)
    for _ in range(3):
        inode = ask.stat().st_ino
        assert kernel.ask("rebind_request") == {"status": "ok"}
        assert ask.stat().st_ino == inode  # nothing was missing
        for path in kernel.sockets.iterdir():
            path.unlink()
        assert kernel.ask("rebind_request") == {"status": "ok"}  # over the old connection
        assert sorted(path.name for path in kernel.sockets.iterdir()) == [f"k-{n}" for n in range(1, 6)]
        assert {path.stat().st_mode & 0o777 for path in kernel.sockets.iterdir()} == {0o600}
        kernel.connect()
        assert kernel.run("print('again')")["status"] == "ok"
    wait_until(lambda: descriptors(kernel.process.pid) <= before, "the old listeners are closed")


def test_without_its_directory_nothing_is_unbound_and_it_works_later(kernel: LinkedKernel) -> None:
    shutil.rmtree(kernel.sockets)
    answer = kernel.ask("rebind_request")
    assert (answer["status"], answer["ename"]) == ("error", "Unreachable")
    kernel.sockets.mkdir(mode=0o700)
    assert kernel.ask("rebind_request") == {"status": "ok"}
    kernel.connect()
    assert kernel.run("1")["status"] == "ok"


def test_a_kernel_of_no_session_refuses_to_be_adopted(bench: Bench) -> None:
    for request in ("adopt_request", "rebind_request"):
        assert bench.reply(request, {"pid": 1}, "control")["ename"] == "NotAllowed"


def test_sockets_that_a_dead_kernel_left_are_replaced(home: Path) -> None:
    with linked_kernel(home) as kernel:
        kernel.process.kill()
        kernel.process.wait()
        assert (kernel.sockets / "k-4").is_socket()
        (kernel.sockets / "k-1").unlink()
        (kernel.sockets / "k-1").write_text("not even a socket")
        second = subprocess.Popen(kernel.process.args, stdin=subprocess.DEVNULL, start_new_session=True)
        kernel.process = second
        kernel.connect()
        assert kernel.run("print('second')")["status"] == "ok"


# --- children ---------------------------------------------------------------------------------------------------------

DAEMON = """
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open(os.environ["HOME"] + "/daemon", "w").write(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    os.wait()
user = __import__("socket").socketpair()
daemon()
"""
MULTIPROCESSING = """
import multiprocessing
def work():
    os.setsid()
    open(os.environ["HOME"] + "/daemon", "w").write(str(os.getpid()))
    time.sleep(600)
multiprocessing.get_context("fork").Process(target=work).start()
user = __import__("socket").socketpair()
"""


@pytest.mark.parametrize("code", [DAEMON, MULTIPROCESSING], ids=["fork", "multiprocessing"])
def test_a_child_that_outlives_the_kernel_holds_nothing_of_it(home: Path, code: str) -> None:
    with linked_kernel(home) as kernel:
        assert kernel.run(code)["status"] == "ok"
        pid = int(wait_until(lambda: (home / "daemon").exists() and (home / "daemon").read_text()))
        try:
            held = {number: os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
            kernel.process.kill()
            kernel.process.wait()
            for channel in range(1, 6):
                with socket.socket(socket.AF_UNIX) as probe, pytest.raises(ConnectionRefusedError):
                    probe.connect(str(kernel.sockets / f"k-{channel}"))
            ours = [name for name in held.values() if name.startswith(str(kernel.directory))]
            assert {Path(name).name for name in ours} <= {"fd1", "fd2", "log"}, held
            assert (held["1"], held["2"]) == (str(kernel.directory / "fd1"), str(kernel.directory / "fd2"))
            assert not [name for name in held.values() if "eventpoll" in name or "eventfd" in name or "pidfd" in name]
            sockets = [name for name in held.values() if name.startswith("socket:")]
            assert len(sockets) == (2 if code is DAEMON else 0), held  # the user's own stay
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_child_that_comes_back_from_the_cell_ends_and_the_kernel_goes_on(kernel: LinkedKernel) -> None:
    reply = kernel.run("pid = os.fork()\nif pid == 0: print('child')")
    assert reply["status"] == "ok"
    assert kernel.run("assert os.waitpid(pid, 0)[1] == 0")["status"] == "ok"
    kernel.run("pid = os.fork()\nif pid == 0: raise ValueError")
    assert kernel.run("assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1")["status"] == "ok"
    kernel.run("pid = os.fork()\nif pid == 0: sys.exit(3)\nos.waitpid(pid, 0)")
    assert (kernel.directory / "fd1").read_text() == "child\n"
    kernel.connect()
    assert kernel.ask("kernel_info_request")["status"] == "ok"


def test_the_crash_of_a_child_is_not_written_down_as_the_kernel_s(kernel: LinkedKernel) -> None:
    code = "import ctypes\nif (pid := os.fork()) == 0: ctypes.string_at(0)\nassert os.waitpid(pid, 0)[1]"
    assert kernel.run(code)["status"] == "ok"
    assert (kernel.directory / "fault").read_text() == ""
    assert "Segmentation fault" in (kernel.directory / "fd2").read_text()


def test_a_program_that_is_executed_inherits_nothing_though_it_asks_for_everything(kernel: LinkedKernel) -> None:
    kernel.run(
        "print(subprocess.run(['ls', '-l', '/proc/self/fd'], close_fds=False, capture_output=True).stdout.decode())"
    )
    listing = [line.partition("->")[2].strip() for line in kernel.text().splitlines() if "->" in line]
    assert 4 <= len(listing) <= 6, kernel.text()
    assert not [name for name in listing if name.startswith(("socket:", "anon_inode:", str(kernel.directory)))]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
