"""Was it the OOM killer? Control groups and the log of Linux as files; and a real one where a group may be made."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zmqkernel.supervisor import oom
from zmqkernel.supervisor.oom import OomEvidence

REAL = """
import os, select, sys
from pathlib import Path
from zmqkernel.supervisor import oom
from zmqkernel.supervisor.process import KernelProcess
oom.KMSG = sys.argv[3]
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
eat = "x = []\\nwhile True: x.append(bytearray(b'1' * 1_000_000))"
process = KernelProcess([sys.executable, "-c", eat], "/", dict(os.environ), Path(sys.argv[2]))
select.select([process.pidfd], [], [])
print(process.poll().reason)
"""


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of control groups as this process would see it; the log of Linux cannot be read."""
    monkeypatch.setattr(oom, "ROOT", str(tmp_path))
    monkeypatch.setattr(oom, "KMSG", str(tmp_path / "none"))
    real = oom._read
    monkeypatch.setattr(oom, "_read", lambda p: (tmp_path / "self").read_bytes() if p.startswith("/proc/") else real(p))
    return tmp_path


def v2(group: Path, local: int, total: int, place: str = "user/a") -> None:
    (group / "self").write_text("0::/user/a\n")
    (group / place).mkdir(parents=True, exist_ok=True)
    for name, count in (("memory.events.local", local), ("memory.events", total)):
        (group / place / name).write_text(f"low 0\nhigh 0\nmax 31\noom 9\noom_kill {count}\noom_group_kill 5\n")


def test_the_counter_of_the_own_group_has_grown(group: Path) -> None:
    v2(group, local=2, total=7)
    evidence = OomEvidence(os.getpid())
    assert evidence.of_a_kill() == ""
    v2(group, local=2, total=8)  # in a group below: another's
    assert evidence.of_a_kill() == ""
    v2(group, local=3, total=9)
    assert evidence.of_a_kill() == "cgroup /user/a"


def test_old_linux_has_only_the_counter_with_children(group: Path) -> None:
    v2(group, 0, 1)
    (group / "user/a/memory.events.local").unlink()
    evidence = OomEvidence(os.getpid())
    v2(group, 0, 2)
    assert evidence.of_a_kill() == "cgroup /user/a"


def test_in_a_container_the_group_is_the_root(group: Path) -> None:
    v2(group, 0, 0, place=".")
    evidence = OomEvidence(os.getpid())
    v2(group, 1, 1, place=".")
    assert evidence.of_a_kill() == "cgroup /user/a"


def test_version_one(group: Path) -> None:
    (group / "self").write_text("9:name=systemd:/\n4:memory,hugetlb:/jobs/12\n0::/\n")
    file = group / "memory/jobs/12/memory.oom_control"
    file.parent.mkdir(parents=True)
    file.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    evidence = OomEvidence(os.getpid())
    assert evidence.of_a_kill() == ""
    file.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert evidence.of_a_kill() == "cgroup /jobs/12"


def test_what_was_killed_long_ago_is_not_taken_for_the_kernel(group: Path) -> None:
    v2(group, 0, 0)
    evidence = OomEvidence(os.getpid())
    v2(group, 1, 1)  # a worker of the same group
    evidence.look()
    assert evidence.of_a_kill() != ""
    evidence.look()
    assert evidence.of_a_kill() == ""


def test_nowhere_to_look(group: Path) -> None:
    (group / "self").write_text("0::/gone\n")
    assert OomEvidence(os.getpid()).of_a_kill() is None


def test_a_group_that_is_removed_tells_nothing(group: Path) -> None:
    v2(group, 0, 0)
    evidence = OomEvidence(os.getpid())
    (group / "user/a/memory.events.local").unlink()
    assert evidence.of_a_kill() is None


def log(tmp_path: Path, *records: tuple[float, int]) -> None:
    """A log of Linux: (seconds since the machine started, pid killed)."""
    lines = [
        f"3,{number},{int(seconds * 1e6)},-;Memory cgroup out of memory: Killed process {pid} (python) "
        f"total-vm:99kB, anon-rss:204800kB, file-rss:0kB\n SUBSYSTEM=x\n"
        for number, (seconds, pid) in enumerate(records)
    ]
    (tmp_path / "kmsg").write_text("".join(lines))


def test_the_log_of_linux_names_the_process(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v2(group, 0, 0)
    monkeypatch.setattr(oom, "KMSG", str(group / "kmsg"))
    monkeypatch.setattr(oom, "_INITIAL_PID_NAMESPACE", os.stat("/proc/self/ns/pid").st_ino)
    now = time.monotonic()
    log(group, (now - 500, os.getpid()))
    evidence = OomEvidence(os.getpid())
    assert evidence.of_a_kill() == ""  # somebody who had this pid before
    log(group, (now + 1, os.getpid() * 10))
    assert evidence.of_a_kill() == ""
    log(group, (now + 1, os.getpid()))
    assert evidence.of_a_kill() == "the log of Linux names it, it held 200 MB"
    monkeypatch.setattr(oom, "_INITIAL_PID_NAMESPACE", 1)
    assert evidence.of_a_kill() == ""  # in a container the log has other pids


@pytest.mark.parametrize("log_of_linux", [oom.KMSG, "/nowhere"], ids=["the log, if it may be read", "the counter"])
def test_a_real_one(tmp_path: Path, log_of_linux: str) -> None:
    """Where this user may make a control group with a limit of memory: not in most containers."""
    _, counter = oom._find_counter(os.getpid())
    limit = "memory.max" if "memory.events" in counter else "memory.limit_in_bytes"
    group = Path(counter).parent / f"zmqkernel-test-{os.getpid()}"
    try:
        if not counter:
            raise OSError("no control groups")
        group.mkdir()
        (group / limit).write_text("100000000")
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no control group can be made: {error}")
    try:
        argv = [sys.executable, "-c", REAL, str(group), str(tmp_path), log_of_linux]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.startswith("the kernel died: out of memory (SIGKILL by the OOM killer of Linux; "), done
    finally:
        group.rmdir()
