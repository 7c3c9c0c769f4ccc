"""A kernel that has lost its supervisor starts the next one; no other kernel does, and user code does not get in the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zmqkernel.kernel.revival import Revival, Supervisor, began, start

from .linked import LinkedKernel, linked_kernel, wait_until

RECORD = """
import json, os, signal, time
link = os.environ["LINK"]
fds = {n: os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")}
blocked = sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
ignored = signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
with open(link + "/runs", "a") as file:
    print(json.dumps({"env": dict(os.environ), "fds": fds, "blocked": blocked, "ignored": ignored,
        "leader": os.getsid(0) == os.getpid(), "parent": os.getppid()}), file=file)
"""
OPEN = RECORD + """print('{"status": "ok"}')\n"""
THIRD = (
    RECORD
    + """
if len(open(link + "/runs").readlines()) < 3:
    print('{"status": "error", "message": "no luck"}')
    raise SystemExit(1)
print('{"status": "ok"}')
"""
)


def runs(directory: Path) -> list[dict]:
    """What the fake supervisors noted."""
    try:
        return [json.loads(line) for line in (directory / "runs").read_text().splitlines(True) if line.endswith("\n")]
    except FileNotFoundError:
        return []


def children(pid: int) -> str:
    return "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))


def no_zombie(kernel: LinkedKernel) -> None:
    wait_until(lambda: not children(kernel.process.pid), "the start is reaped")


def test_a_supervisor_that_is_killed_is_started_again_with_its_own_environment_and_nothing_else(home: Path) -> None:
    with linked_kernel(home, OPEN, MARK="1") as kernel:
        kernel.run("signal.signal(signal.SIGUSR2, signal.SIG_IGN)\nkept = os.dup(0)\nos.set_inheritable(kept, True)")
        kernel.run("os.environ['MINE'] = 'x'\nos.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')")
        assert runs(kernel.directory) == []
        kernel.supervisor.kill()
        (run,) = wait_until(lambda: runs(kernel.directory))
        assert run["env"].pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own
        assert run["env"] == {"LINK": str(kernel.directory), "MARK": "1"}
        assert run["parent"] == kernel.process.pid
        assert (run["blocked"], run["ignored"], run["leader"]) == ([], False, True)
        assert run["fds"].pop("1").startswith("pipe:")
        assert [run["fds"].pop(number) for number in ("0", "2")] == ["/dev/null", "/dev/null"]
        assert not [name for name in run["fds"].values() if not name.startswith("/proc/")], run
        no_zombie(kernel)
        assert kernel.run("print('goes on')")["status"] == "ok"
        assert kernel.text() == "goes on\n"
        assert "zmqkernel" not in (kernel.directory / "log").read_text()


def test_it_tries_again_until_one_starts_and_watches_the_one_that_adopts_it(home: Path) -> None:
    with linked_kernel(home, THIRD) as kernel:
        kernel.supervisor.kill()
        wait_until(lambda: len(runs(kernel.directory)) == 3)  # after 0, 1 and 6 seconds
        no_zombie(kernel)
        log = (kernel.directory / "log").read_text()
        assert log.count("no luck") == 1
        next_one = subprocess.Popen(["sleep", "600"])
        try:
            assert kernel.ask("adopt_request", {"pid": next_one.pid})["status"] == "ok"
            assert len(runs(kernel.directory)) == 3
        finally:
            next_one.kill()
            next_one.wait()
        # It has lived for a moment only, so the next delay is that of a fourth try.
        assert kernel.run("time.sleep(1)")["status"] == "ok"
        assert len(runs(kernel.directory)) == 3


def test_the_adopted_process_is_watched_and_the_old_one_no_longer(home: Path) -> None:
    with linked_kernel(home, OPEN) as kernel:
        next_one = subprocess.Popen(["sleep", "600"])
        try:
            kernel.ask("adopt_request", {"pid": next_one.pid})
            before = len(os.listdir(f"/proc/{kernel.process.pid}/fd"))
            kernel.supervisor.kill()
            for _ in range(20):
                assert kernel.ask("adopt_request", {"pid": next_one.pid})["status"] == "ok"
            assert len(os.listdir(f"/proc/{kernel.process.pid}/fd")) == before
            assert runs(kernel.directory) == []
        finally:
            next_one.kill()
            next_one.wait()
        wait_until(lambda: len(runs(kernel.directory)) == 1)


def test_a_kernel_that_was_told_to_shut_down_starts_nobody(home: Path) -> None:
    with linked_kernel(home, OPEN) as kernel:
        kernel.execute("try:\n    print('in')\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    time.sleep(1)")
        wait_until(lambda: "in\n" in kernel.text())
        kernel.ask("shutdown_request", {"restart": False})
        kernel.supervisor.kill()
        kernel.process.wait(timeout=60)
        assert runs(kernel.directory) == []


def test_a_supervisor_that_died_before_the_kernel_looked_is_started_again(home: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with linked_kernel(home, OPEN, pid=gone.pid) as kernel:
        wait_until(lambda: runs(kernel.directory))


def test_without_a_pid_in_the_file_the_parent_is_watched(home: Path) -> None:
    # The parent: a shell that starts the kernel and waits.
    script = '"$@" & echo $! > "$HOME/kernel.pid"; echo $$ > "$HOME/parent.pid"; wait'
    with linked_kernel(home, OPEN, ["sh", "-c", script, "sh"], pid=None) as kernel:
        parent, pid = (int((home / f"{name}.pid").read_text()) for name in ("parent", "kernel"))
        try:
            assert runs(kernel.directory) == []
            os.kill(parent, signal.SIGKILL)
            wait_until(lambda: runs(kernel.directory))
        finally:
            os.kill(pid, signal.SIGKILL)


HOSTILE = {
    "handler": """
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, reap)""",
    "ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "reaper": """
def reap():
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.001)
threading.Thread(target=reap, daemon=True).start()""",
    "patched": """
def refuse(*args, **keys):
    raise RuntimeError("patched")
subprocess.Popen = threading.Thread = threading.Event = os.posix_spawn = os.posix_spawnp = os.fork = os.waitpid = refuse
os.pipe = time.sleep = refuse""",
    "closed": "os.close(0)",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_user_code_does_not_get_in_the_way(home: Path, code: str) -> None:
    with linked_kernel(home, THIRD) as kernel:
        assert kernel.run(code)["status"] == "ok"
        kernel.supervisor.kill()
        wait_until(lambda: len(runs(kernel.directory)) == 3)
        no_zombie(kernel)
        assert (kernel.directory / "log").read_text().count("no luck") == 1
        assert kernel.run("1")["status"] == "ok"


def test_a_signal_handler_that_raises_while_no_cell_runs_does_not_end_the_kernel(home: Path) -> None:
    with linked_kernel(home) as kernel:
        kernel.run("signal.signal(signal.SIGCHLD, lambda *_: os.waitpid(-1, os.WNOHANG))")
        log = kernel.directory / "log"
        for count in (1, 2):
            os.kill(kernel.process.pid, signal.SIGCHLD)
            wait_until(lambda count=count: log.read_text().count("ChildProcessError") == count)
        assert kernel.run("1")["status"] == "ok"


def test_the_user_s_wait_for_its_own_child_is_not_confused(home: Path) -> None:
    with linked_kernel(home, OPEN) as kernel:
        cell = kernel.execute(
            "p = subprocess.Popen(['sleep', '1'])\nprint('started')\nprint(os.waitpid(p.pid, 0)[0] == p.pid)"
        )
        wait_until(lambda: "started" in kernel.text())
        kernel.supervisor.kill()
        wait_until(lambda: runs(kernel.directory))
        kernel.reply(cell)
        assert kernel.text() == "started\nTrue\n"


# --- its parts --------------------------------------------------------------------------------------------------------


def python(code: str) -> Supervisor:
    return Supervisor([sys.executable, "-S", "-c", code], {})


def test_start_says_why_not() -> None:
    assert start(python('print(\'{"status": "ok"}\')')) == ""
    assert start(Supervisor()) == "supervisor.json has no argv"
    assert start(python('print(\'{"status": "error", "message": "full"}\')')) == "full"
    assert start(python('print(\'{"status": "ok"}\', flush=True)\nimport os; os._exit(3)')).startswith("exit status")
    assert "nonsense" in start(python("print('nonsense')"))
    assert start(python("raise SystemExit(1)")).startswith("it says")
    with pytest.raises(OSError):
        start(Supervisor(["/nowhere/python"], {}))


def test_a_start_that_hangs_is_ended() -> None:
    before = set(os.listdir("/proc/self/fd"))
    assert "it says" in start(python("import time; time.sleep(600)"), 0.5)
    assert children(os.getpid()) == "" or "sleep" not in children(os.getpid())
    assert set(os.listdir("/proc/self/fd")) == before


def test_it_does_not_wait_for_a_grandchild_that_keeps_the_pipe() -> None:
    code = 'import os, time\nif os.fork() == 0:\n    time.sleep(5); os._exit(0)\nprint(\'{"status": "ok"}\')'
    begin = time.monotonic()
    assert start(python(code)) == ""
    assert time.monotonic() - begin < 5


def test_a_pid_that_belongs_to_somebody_else_now_is_not_taken_for_the_supervisor(tmp_path: Path) -> None:
    revival = Revival(tmp_path)
    assert revival.supervisor() == os.getppid()
    file = tmp_path / "supervisor.json"
    file.write_text("{torn")
    assert revival.supervisor() == os.getppid()
    younger = subprocess.Popen(["sleep", "600"])
    try:
        wait_until(lambda: began(younger.pid) > began(os.getpid()))
        file.write_text(json.dumps({"argv": [], "env": {}, "pid": younger.pid}))
        assert revival.supervisor() == 0
        file.write_text(json.dumps({"argv": [], "env": {}, "pid": os.getpid()}))
        assert revival.supervisor() == os.getpid()
    finally:
        younger.kill()
        younger.wait()


def test_what_it_cannot_read_is_a_failure_like_others(tmp_path: Path) -> None:
    revival = Revival(tmp_path, delays=(0.0, 0.05))
    (tmp_path / "supervisor.json").write_text("{torn")
    revival.begin()
    revival.begin()  # told twice: one thread
    code = f"open({str(tmp_path / 'ran')!r}, 'a').write('x'); print('{{\"status\": \"ok\"}}')"
    (tmp_path / "supervisor.json").write_text(json.dumps({"argv": python(code).argv, "env": {}}))
    wait_until((tmp_path / "ran").exists)
    revival.end()
    time.sleep(0.3)
    assert (tmp_path / "ran").read_text() == "x"
    revival.begin()
    time.sleep(0.3)
    assert (tmp_path / "ran").read_text() == "x"
