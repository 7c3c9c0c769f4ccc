"""Life around a session: what terminals, editors, systems, disks and clocks do to it. The table is in docs/explanation.

Real processes. What needs rights that this user does not have is simulated in another way, which its test names.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqkernel.client import Client
from zmqkernel.client.discovery import is_alive, start
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError

from .conftest import text_of, wait_for
from .processes import has_ended, info_of, kill, shut_down

START = """
import sys, time
from pathlib import Path
from zmqkernel.client.discovery import start
from zmqkernel.paths import Session
start(Session.at(Path(sys.argv[1])))
print("up", flush=True)
time.sleep(600)
"""
"""Whoever starts a session, and stays: a shell, an editor."""


@pytest.fixture
def idle(project: Path) -> Session:
    """A session that was not started yet."""
    return Session.at(project)


def caller_until_up(project: Path, **options: object) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", START, str(project)]
    return subprocess.Popen(argv, start_new_session=True, **options)  # type: ignore[call-overload]


# --- terminals and editors --------------------------------------------------------------------------------------------


def test_closing_the_terminal_hurts_nobody(idle: Session, project: Path) -> None:
    """The session was started in a terminal whose window is then closed: SIGHUP to all that belongs to it."""
    ours, theirs = os.openpty()
    control = lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)  # noqa: E731
    caller = caller_until_up(project, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=control)
    os.close(theirs)
    with caller:
        said = b""
        while b"up" not in said:
            said += os.read(ours, 1000)
        before = info_of(idle)
        os.close(ours)
        assert caller.wait(20) == -signal.SIGHUP
    with Client.connect(idle) as client:
        assert text_of(client, "print('here')") == "here\n"
    assert info_of(idle) == before


def descendants(root: int) -> list[int]:
    """Everything below a process, as a process manager finds it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
        except OSError:
            continue  # it has ended meanwhile
    found, below = [], [root]
    while below:
        below = [pid for pid, parent in parents.items() if parent in below]
        found += below
    return found


def test_the_editors_process_tree_is_killed(idle: Session, project: Path) -> None:
    """By process group, by login session and by ancestry."""
    with caller_until_up(project, stdout=subprocess.PIPE) as caller:
        assert caller.stdout and caller.stdout.readline() == b"up\n"
        before = info_of(idle)
        for pid in before:
            assert os.getpgid(pid) != caller.pid
            assert os.getsid(pid) != caller.pid
        below = descendants(caller.pid)
        assert not set(below) & set(before)
        for pid in below:
            os.kill(pid, signal.SIGKILL)
        os.killpg(caller.pid, signal.SIGKILL)
    assert info_of(idle) == before


FOLLOWER = """
import sys
from pathlib import Path
from zmqkernel.client import Client
from zmqkernel.paths import Session
code = "import time\\nfor i in range(40):\\n    print(i, flush=True)\\n    time.sleep(0.05)"
with Client.connect(Session.at(Path(sys.argv[1]))) as client:
    print("connected", flush=True)
    execution = client.execute(code)
    for output in execution:
        print(output.content["text"], end="", flush=True)
    print(execution.wait(20).status, flush=True)
"""


def test_sleep_of_the_machine(session: Session, project: Path) -> None:
    """All processes stop for a while in the middle of a cell, and go on in any order. The clocks do not stop, as they would."""
    supervisor, kernel = info_of(session)
    argv = [sys.executable, "-c", FOLLOWER, str(project)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout
        lines = iter(follower.stdout.readline, "")
        assert [next(lines) for _ in range(4)] == ["connected\n", "0\n", "1\n", "2\n"]
        processes = (follower.pid, supervisor, kernel)
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        assert list(lines) == [*(f"{i}\n" for i in range(3, 40)), "ok\n"]
    assert info_of(session) == (supervisor, kernel)


# --- who holds it -----------------------------------------------------------------------------------------------------


def test_two_hosts_with_one_home(session: Session) -> None:
    """The other host is a text in the lock file; that its flock does not reach us is what the text is for."""
    shut_down(session)
    left = json.loads(session.lock_file.read_bytes())
    assert left["left"] > 0  # another host may have it now
    other = left | {"hostname": "compute-7", "machine_id": "f" * 32, "boot_id": "b", "ready": True, "left": 0}
    session.lock_file.write_text(json.dumps(other))
    with pytest.raises(ZmqKernelError, match="compute-7") as caught:
        start(session)
    assert caught.value.code == "lock-held"
    assert str(session.lock_file) in caught.value.hint
    session.lock_file.unlink()
    start(session)


def test_pids_that_came_again_belong_to_others(session: Session) -> None:
    """Both were killed; their pids are somebody else's now. That one is neither taken for the session nor killed."""
    kill(*info_of(session))
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        try:
            for file in (session.lock_file, session.settings_file):
                fields = json.loads(file.read_bytes())
                known = {key: stranger.pid for key in ("pid", "supervisor_pid", "kernel_pid") if key in fields}
                file.write_text(json.dumps(fields | known))
            assert not is_alive(session)
            start(session)
            assert stranger.pid not in info_of(session)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_container_with_the_same_home(idle: Session, project: Path) -> None:
    """Another pid namespace: its pids say nothing here, the lock and the sockets work."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-current-user"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespace can be made here")
    argv = [*unshare, sys.executable, "-c", START, str(project)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as container:
        try:
            assert container.stdout and container.stdout.readline() == b"up\n"
            before = info_of(idle)
            start(idle)  # from outside: it is up already
            with Client.connect(idle) as client:
                assert text_of(client, "print('through the wall')") == "through the wall\n"
            assert info_of(idle) == before
        finally:
            container.kill()
    wait_for(lambda: not is_alive(idle))
    start(idle)  # the container was killed with all that was in it
    with Client.connect(idle) as client:
        assert text_of(client, "print('outside')") == "outside\n"


# --- who dies ---------------------------------------------------------------------------------------------------------


def test_sigterm_ends_the_session_in_order_and_is_no_shutdown(session: Session, client: Client) -> None:
    text_of(client, "print('before')")
    supervisor, kernel = info_of(session)
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: has_ended(supervisor) and has_ended(kernel))
    assert not is_alive(session)
    start(session)
    with Client.connect(session) as again:
        records = list(again.follow(until_end=True))
        assert "before\n" in [r.data["text"] for r in records if r.msg_type == "stream"]


def test_the_supervisor_is_killed_and_the_kernel_goes_on(session: Session) -> None:
    with Client.connect(session) as client:
        assert client.execute("x = 6 * 7").wait(20).status == "ok"
    supervisor, kernel = info_of(session)
    kill(supervisor)
    start(session)
    with Client.connect(session) as client:
        assert text_of(client, "print(x)") == "42\n"
    assert info_of(session)[1] == kernel


def test_an_adopted_kernels_end_is_explained(session: Session) -> None:
    supervisor, kernel = info_of(session)
    kill(supervisor)
    start(session)
    with Client.connect(session) as client:
        assert info_of(session)[1] == kernel
        reply = client.execute("import os, signal; os.kill(os.getpid(), signal.SIGBUS)").wait(30)
        assert "SIGBUS" in (reply.evalue or "")


def test_both_are_killed(session: Session) -> None:
    with Client.connect(session) as client:
        text_of(client, "print('before')")
    kill(*info_of(session))
    start(session)
    with Client.connect(session) as client:
        records = list(client.follow(until_end=True))
        assert "before\n" in [r.data["text"] for r in records if r.msg_type == "stream"]
        assert text_of(client, "print('after')") == "after\n"


# --- clocks -----------------------------------------------------------------------------------------------------------

CLOCK = """
import os, time
_time = time.time
def _jumped():
    try:
        return _time() + float(open(os.environ["CLOCK"]).read() or 0)
    except (OSError, ValueError):
        return _time()
time.time = _jumped
"""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with the seconds by which the wall clock of every Python process started from here is wrong."""
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "sitecustomize.py").write_text(CLOCK)
    file = tmp_path / "clock"
    file.write_text("0")
    monkeypatch.setenv("CLOCK", str(file))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path / "shim"), *filter(None, [os.environ.get("PYTHONPATH")])])
    )
    yield file


def test_the_clock_jumps(idle: Session, clock: Path) -> None:
    """A month forth, a year back, in the middle of a cell: nothing waits for it, nothing is lost, the order stays."""
    start(idle)
    code = "import time\nfor i in range(30):\n    print(i, flush=True)\n    time.sleep(0.05)"
    with Client.connect(idle) as client:
        wrong = float(text_of(client, f"import time; print(time.time() - {time.time()})"))
        assert abs(wrong) < 600
        execution = client.execute(code)
        text = ""
        for output in execution:
            text += output.content["text"]
            jump = {"5\n": 30 * 86400, "15\n": -365 * 86400}.get(output.content["text"].splitlines()[-1] + "\n")
            if jump:
                clock.write_text(str(jump))
        assert text == "".join(f"{i}\n" for i in range(30))
        assert execution.wait(20).status == "ok"
        assert float(text_of(client, f"print(time.time() - {time.time()})")) < -300 * 86400
        records = list(client.follow(until_end=True))
        assert [r.seq for r in records] == sorted({r.seq for r in records})
    assert is_alive(idle)
    shut_down(idle)
    clock.write_text("0")
    start(idle)
