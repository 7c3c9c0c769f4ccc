"""Saying why a kernel ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.supervisor import death as deaths
from zmqkernel.supervisor.death import Death, start_time
from zmqkernel.supervisor.process import AdoptedProcess, KernelProcess, adopt, end_orphan, spec_argv

FAULT = """Fatal Python error: Segmentation fault

Thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007e (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/home/me/analysis.py", line 12 in crash
  File "/home/me/analysis.py", line 14 in <module>
  File "/venv/lib/python3.11/site-packages/IPython/core/interactiveshell.py", line 3 in run_code

Extension modules: zmq.backend
"""


def test_the_reason_names_the_signal_and_the_line_is_the_users() -> None:
    death = Death(-11, FAULT, "")
    assert death.reason == "the kernel died: segmentation fault (SIGSEGV)"
    assert death.line == "/home/me/analysis.py:12"
    assert death.traceback[1:] == ["  /home/me/analysis.py, line 14", "  /home/me/analysis.py, line 12"]


def test_a_cell_without_a_document_is_named_by_its_number() -> None:
    death = Death(
        -6, 'Current thread 0x1 (most recent call first):\n  File "<ipython-input-9-90cf>", line 3 in f\n\n', ""
    )
    assert death.line == "In [9]:3"


def test_an_exit_code() -> None:
    death = Death(3, "", "")
    assert death.reason == "the kernel ended with exit code 3"
    assert death.line == ""
    assert death.traceback == []


def test_an_unknown_kernelspec_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "kernels" / "mine").mkdir(parents=True)
    (tmp_path / "kernels" / "mine" / "kernel.json").write_text(
        '{"argv": ["prog", "-f", "{connection_file}"], "display_name": "x", "language": "y"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    argv, _, mode = spec_argv("mine", tmp_path / "c.json")
    assert argv == ["prog", "-f", str(tmp_path / "c.json")]
    assert mode == "signal"
    with pytest.raises(ZmqKernelError) as caught:
        spec_argv("nowhere", tmp_path / "c.json")
    assert "mine" in caught.value.hint
    assert "zmqkernel" in caught.value.hint


def test_a_killed_kernel_says_as_much_as_is_known() -> None:
    assert "perhaps for want of memory" in Death(-9, "", "").reason
    assert Death(-9, "", "", oom="").reason == "the kernel died: killed (SIGKILL)"
    text = Death(-9, "", "", oom="cgroup /user/a").reason
    assert text == "the kernel died: out of memory (SIGKILL by the OOM killer of Linux; cgroup /user/a)"
    assert Death(-9, "", "", oom="cgroup /a", ours=True).reason == "the kernel died: killed by its supervisor (SIGKILL)"
    assert Death(-11, "", "", oom="cgroup /a").reason == "the kernel died: segmentation fault (SIGSEGV)"
    assert Death(-40, "", "").reason == "the kernel died: ended by a signal (signal 40)"


def test_an_unknown_status_is_told_by_what_there_is() -> None:
    assert Death(None, FAULT, "").reason == "the kernel died: segmentation fault (SIGSEGV, as its fault handler wrote)"
    assert Death(None, FAULT, "").line == "/home/me/analysis.py:12"
    text = Death(None, "Fatal Python error: deallocating None: ...\n", "").reason
    assert text == "the kernel died: deallocating None: ... (SIGABRT, as its fault handler wrote)"
    assert "out of memory, it seems" in Death(None, "", "", oom="cgroup /a").reason
    assert Death(None, "", "", oom="").reason == deaths.UNKNOWN
    assert (Death(None, "", "").signal, Death(None, "", "").exit_code) == ("", None)


def test_the_fault_of_a_forked_child_is_not_the_kernels() -> None:
    assert Death(-9, FAULT, "").line == ""
    assert Death(0, FAULT, "").fault == ""
    assert Death(-11, FAULT.replace("analysis", "child") + FAULT, "").line == "/home/me/analysis.py:12"


# --- adoption ---------------------------------------------------------------------------------------------------------

SPAWN = """
import os, sys
from pathlib import Path
from zmqkernel.supervisor.process import KernelProcess
directory = Path(sys.argv[1])
argv = [sys.executable, "-c", sys.argv[2], "-f", str(directory / "kernel.json")]
process = KernelProcess(argv, "/", dict(os.environ), directory)
print(process.pid, process.started, flush=True)
sys.stdin.read()
os._exit(0)
"""
WAIT = "print(1, flush=True); import time; time.sleep(600)"


class Orphan:
    """A process that stands for a kernel; its parent, which stands for the supervisor, has died."""

    def __init__(self, directory: Path, code: str) -> None:
        argv = [sys.executable, "-c", SPAWN, str(directory), code]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout
            self.pid, self.started = map(int, parent.stdout.readline().split())
            self.wait_for((directory / "fd1").read_bytes)
            parent.kill()

    @staticmethod
    def wait_for(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[Callable[[str], Orphan]]:
    made: list[Orphan] = []

    def make(code: str) -> Orphan:
        made.append(Orphan(tmp_path, code))
        return made[-1]

    yield make
    for one in made:
        if start_time(one.pid) == one.started:
            os.killpg(one.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print(1, flush=True); import os, time; time.sleep(0.2); os._exit(7)", "the kernel ended with exit code 7"),
        (f"import faulthandler, sys; faulthandler.enable(); {WAIT}", "the kernel died: segmentation fault (SIGSEGV)"),
        (WAIT, "the kernel died: terminated (SIGTERM)"),
    ],
)
def test_the_end_of_an_adopted_kernel_is_known(
    orphan: Callable[[str], Orphan], tmp_path: Path, code: str, reason: str
) -> None:
    one = orphan(code)
    process = adopt(tmp_path, one.pid, one.started)
    assert process is not None
    assert (process.pid, process.started) == (one.pid, one.started)
    if code.endswith(WAIT):
        assert process.poll() is None
        if "SIGSEGV" in reason:
            signal.pidfd_send_signal(process.pidfd, signal.SIGSEGV)
        else:
            process.terminate()
    select.select([process.pidfd], [], [], 20)
    death = process.poll()
    assert death is not None
    assert death.reason == reason
    process.close()
    process.close()


def test_without_any_status_it_is_said_honestly(
    orphan: Callable[[str], Orphan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 6.15, and init has taken the status."""
    monkeypatch.setattr(deaths, "_info_status", lambda _: None)
    monkeypatch.setattr(deaths, "_zombie_status", lambda _: None)
    one = orphan(WAIT)
    process = adopt(tmp_path)
    assert process is not None
    os.kill(one.pid, signal.SIGHUP)
    select.select([process.pidfd], [], [], 20)
    death = process.poll()
    assert death is not None
    assert death.reason == deaths.UNKNOWN
    process.close()


def test_both_ways_tell_the_same(orphan: Callable[[str], Orphan], tmp_path: Path) -> None:
    one = orphan(WAIT)
    process = adopt(tmp_path, one.pid)
    assert process is not None
    os.kill(one.pid, signal.SIGBUS)
    select.select([process.pidfd], [], [], 20)
    first = deaths._info_status(process.pidfd)
    if first is None:  # still a zombie, or an old Linux
        assert os.waitstatus_to_exitcode(deaths._zombie_status(one.pid) or 0) in (-signal.SIGBUS, 0)
    else:
        assert os.waitstatus_to_exitcode(first) == -signal.SIGBUS
    process.close()


def test_a_pid_that_came_again_is_not_adopted(orphan: Callable[[str], Orphan], tmp_path: Path) -> None:
    one = orphan(WAIT)
    assert adopt(tmp_path / "other", one.pid, one.started) is None  # another session's
    with pytest.raises(ProcessLookupError):
        AdoptedProcess(one.pid, tmp_path, one.started + 1)
    found = adopt(
        tmp_path, os.getpid(), start_time(os.getpid())
    )  # somebody has the pid: the kernel is found all the same
    assert found is not None
    assert found.pid == one.pid
    found.close()


FORKS = """
import os, sys, time
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(600)
"""


def test_a_forked_child_is_not_the_kernel_and_ends_with_it(orphan: Callable[[str], Orphan], tmp_path: Path) -> None:
    one = orphan(FORKS)
    child = int((tmp_path / "fd1").read_text())
    found = adopt(tmp_path, child)
    assert found is not None
    assert found.pid == one.pid
    found.close()
    os.kill(one.pid, signal.SIGKILL)
    Orphan.wait_for(lambda: start_time(one.pid) != one.started or adopt(tmp_path) is None)
    end_orphan(tmp_path)
    Orphan.wait_for(lambda: deaths.stat_fields(child)[:1] in ([], ["Z"]))


def test_our_own_kill_is_no_want_of_memory(tmp_path: Path) -> None:
    process = KernelProcess(["sleep", "600"], "/", dict(os.environ), tmp_path)
    assert process.poll() is None
    assert process.started == start_time(process.pid)
    process.kill()
    select.select([process.pidfd], [], [], 20)
    death = process.poll()
    assert death is not None
    assert death.reason == "the kernel died: killed by its supervisor (SIGKILL)"
    process.kill()  # nobody is left: no error
    process.close()
    process.kill()
