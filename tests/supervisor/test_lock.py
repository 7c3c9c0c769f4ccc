"""The lock of a session."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.protocol.errors import LockHeld, NotAllowed, ZmqKernelError
from zmqkernel.supervisor import lock as locks
from zmqkernel.supervisor.lock import Lock

HOLD = """
import sys, pathlib
from zmqkernel.supervisor.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1])); lock.take(); lock.note(ready=True)
print("held", flush=True); sys.stdin.read()
"""

Holder = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def elsewhere(path: Path) -> Callable[..., Holder]:
    """Writes the text of a supervisor of another machine, whose flock is not seen here."""

    def write(**changes: Any) -> Holder:
        holder = {
            "pid": 4711,
            "process_started": 12345,
            "pid_ns": 4026531836,
            "boot_id": "5d0c2a3e-0000-0000-0000-000000000000",
            "machine_id": "ffffffffffffffffffffffffffffffff",
            "hostname": "compute-7",
            "started": 1_700_000_000.0,
            "ready": True,
            "left": 0.0,
        } | changes
        path.write_text(json.dumps(holder))
        return holder

    return write


def test_one_holder_and_free_again_after_its_death(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout and child.stdout.readline() == "held\n"
        with pytest.raises(LockHeld):
            Lock(path).take()
        assert not Lock(path).take_or_find_ready(5)
        assert json.loads(path.read_bytes())["pid"] == child.pid
    finally:
        child.kill()
        child.communicate()
    assert Lock(path).take_or_find_ready(5)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_says_who_holds_it(path: Path) -> None:
    lock = Lock(path)
    lock.take()
    holder = json.loads(path.read_bytes())
    assert (holder["pid"], holder["hostname"]) == (os.getpid(), os.uname().nodename)
    assert holder["pid_ns"] == os.stat("/proc/self/ns/pid").st_ino
    assert holder["process_started"] > 0
    assert (holder["ready"], holder["left"]) == (False, 0.0)
    lock.note(ready=True)
    assert json.loads(path.read_bytes())["ready"]
    lock.note(ready=False)
    assert json.loads(path.read_bytes())["left"] > 0


def test_another_machines_session_is_refused_with_what_to_do(path: Path, elsewhere: Callable[..., Holder]) -> None:
    elsewhere()
    before = path.read_bytes()
    begun = time.monotonic()
    with pytest.raises(LockHeld, match=r"open on compute-7 \(process 4711\), since 2023-11-1\d") as caught:
        Lock(path).take_or_find_ready(600)
    assert time.monotonic() - begun < 300  # it does not wait for what cannot come
    assert "Shut it down there" in caught.value.hint
    assert str(path) in caught.value.hint
    assert path.read_bytes() == before
    path.unlink()  # what the hint says
    Lock(path).take()


@pytest.mark.parametrize(
    "changes",
    [
        {"left": 1_700_000_100.0, "ready": False},
        {"boot_id": locks._text("/proc/sys/kernel/random/boot_id"), "hostname": "a-container"},
        {"ready": False},
    ],
    ids=["it left", "another container of this Linux: the flock decides", "died long ago while it started"],
)
def test_texts_of_others_that_are_accepted(
    path: Path, elsewhere: Callable[..., Holder], changes: dict[str, Any]
) -> None:
    elsewhere(**changes)
    Lock(path).take()


def test_this_machine_before_it_was_started_again_is_no_other(
    path: Path, elsewhere: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    me = locks._who()
    for machine_id, hostname in (("abc", "another-name"), ("", me["hostname"])):
        monkeypatch.setattr(locks, "_who", lambda id=machine_id: me | {"machine_id": id})
        elsewhere(machine_id=machine_id, hostname=hostname)
        locks._refuse_other_machine(json.loads(path.read_bytes()), path)
    monkeypatch.setattr(locks, "_who", lambda: me | {"machine_id": ""})
    elsewhere(machine_id="")
    with pytest.raises(LockHeld, match="compute-7"):
        Lock(path).take()


def test_a_supervisor_that_is_just_starting_elsewhere_is_refused(path: Path, elsewhere: Callable[..., Holder]) -> None:
    elsewhere(ready=False, started=time.time() - 5)
    with pytest.raises(LockHeld, match="compute-7"):
        Lock(path).take()


@pytest.mark.parametrize(
    "text", [b"", b'{"pid": 4711, "read', b"\0" * 300, b"[1]", b"nul", b'{"pid": "x", "started": {}}']
)
def test_a_torn_text_is_nobodys(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    Lock(path).take()
    assert json.loads(path.read_bytes())["pid"] == os.getpid()


def test_a_pid_that_came_again_is_not_taken_for_the_holder(path: Path, elsewhere: Callable[..., Holder]) -> None:
    """A stale text says that the door is open, its pid lives again, and somebody tries the flock for a moment."""
    holder = elsewhere(**(locks._who() | {"process_started": 1}))
    assert not locks._lives(holder)
    assert locks._lives(holder | {"process_started": locks._who()["process_started"]})
    assert not locks._lives(holder | {"pid_ns": 5, "process_started": locks._who()["process_started"]})
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with pytest.raises(LockHeld):
            Lock(path).take()
    assert Lock(path).take_or_find_ready(5)


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotAllowed, match="symbolic link"):
        Lock(path).take()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a directory", "a pipe"])
def test_what_is_no_file_is_refused(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(NotAllowed, match="is not a file") as caught:
        Lock(path).take()
    assert f"mv {path}" in caught.value.hint


def test_another_users_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)  # the other way round is the same
    with pytest.raises(NotAllowed, match=r"another user \(uid \d+\)") as caught:
        Lock(path).take()
    assert "XDG_STATE_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("number", "words"),
    [(30, "cannot be written"), (28, "cannot be written"), (37, "has no locks"), (13, "may not be")],
)
def test_a_directory_that_refuses(path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    """Read-only, full, a network disk without locks, no permission."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ZmqKernelError, match=words) as caught:
        Lock(path).take()
    assert caught.value.hint


def test_a_full_disk_does_not_stop_who_holds_it(path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    lock = Lock(path)
    lock.take()

    def refuse(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", refuse)
    lock.note(ready=True)
    assert "No space left" in capfd.readouterr().err


def test_a_lock_file_that_was_removed_is_noticed(path: Path) -> None:
    lock = Lock(path)
    lock.take()
    assert lock.is_in_place()
    path.unlink()
    assert not lock.is_in_place()
    path.touch()
    assert not lock.is_in_place()
