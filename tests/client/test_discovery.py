"""Which sessions there are: names, places, and whether a lock is held."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zmqkernel.client import discovery
from zmqkernel.paths import Session, private_dir
from zmqkernel.protocol.errors import NoSuchSession, Unreachable, ZmqKernelError
from zmqkernel.protocol.layout import connection_text

Make = Callable[..., Session]


@pytest.fixture
def make(home: Path) -> Iterator[Make]:
    """Writes what a supervisor writes; ``held`` takes the lock as well."""
    locks: list[int] = []

    def make(project: Path, name: str, *, held: bool = False, pid: int = os.getpid(), **facts: object) -> Session:
        project.mkdir(exist_ok=True, parents=True)
        session = Session(project, name)
        private_dir(session.directory.parent)
        private_dir(session.directory)
        session.settings_file.write_text(json.dumps({"name": name, "project": str(project), "python": "", **facts}))
        session.connection_file.write_bytes(connection_text("/nowhere", "k", "zmqkernel"))
        session.lock_file.write_text(json.dumps({"pid": pid, "ready": True}))
        if held:
            locks.append(os.open(session.lock_file, os.O_RDWR))
            fcntl.flock(locks[-1], fcntl.LOCK_EX)
        return session

    yield make
    for lock in locks:
        os.close(lock)


def test_alive_is_a_lock_that_is_held(make: Make, tmp_path: Path) -> None:
    held, free = make(tmp_path / "a", "held", held=True), make(tmp_path / "a", "free")
    assert discovery.is_alive(held)
    assert not discovery.is_alive(free)
    assert not discovery.is_alive(Session(tmp_path, "never"))
    taken = os.open(free.lock_file, os.O_RDWR)
    fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)  # asking has left no lock behind
    os.close(taken)


def test_the_lock_of_a_process_that_is_gone_is_not_even_tried(make: Make, tmp_path: Path) -> None:
    session = make(tmp_path / "a", "x", held=True, pid=2**22 + 1)
    assert not discovery.is_alive(session)


@pytest.mark.parametrize(
    ("facts", "unclean"),
    [({"closed": True}, False), ({"closed": False}, True), ({"closed": False, "reported": True}, False)],
)
def test_unclean_is_an_end_that_nobody_has_seen(
    make: Make, tmp_path: Path, facts: dict[str, bool], unclean: bool
) -> None:
    make(tmp_path / "a", "x", kernel_pid=5, epoch=2, seq=9, **facts)
    (found,) = discovery.sessions()
    state = found.state()
    assert (state.state, state.unclean, state.kernel_pid, state.epoch, state.seq) == ("dead", unclean, 0, 2, 9)


def test_strange_files_are_no_sessions(make: Make, tmp_path: Path) -> None:
    session = make(tmp_path / "a", "x")
    copy = session.directory.parent / "copy"
    copy.mkdir()
    (copy / "session.json").write_bytes(session.settings_file.read_bytes())
    broken = session.directory.parent / "broken"
    broken.mkdir()
    (broken / "session.json").write_text("{}")
    assert [one.file.name for one in discovery.sessions()] == ["x"]


def test_names_are_looked_up_here_then_anywhere(make: Make, tmp_path: Path) -> None:
    here, there, third = tmp_path / "here", tmp_path / "there", tmp_path / "third"
    for project in (here, there, third):
        project.mkdir()
        (project / "pyproject.toml").touch()
    for project, name in ((here, "here"), (here, "work"), (there, "work"), (there, "gpu")):
        make(project, name)
    (here / "sub").mkdir()
    assert discovery.find(None, here / "sub").session.project == here
    assert discovery.find("work", here).session.project == here
    assert discovery.find("gpu", here).session.project == there
    with pytest.raises(ZmqKernelError, match="2 sessions are called 'work'"):
        discovery.find("work", third)
    with pytest.raises(NoSuchSession, match="no session 'nix'") as caught:
        discovery.find("nix", here)
    assert caught.value.hint == "This project has: here, work"
    assert discovery.find_or_new("nix", here)[0].project == here


def test_home_needs_a_name(make: Make, home: Path) -> None:
    with pytest.raises(ZmqKernelError, match="needs a name"):
        discovery.find(None, home)
    assert discovery.find_or_new("x", home)[0].project == home


def test_what_a_client_may_be_given(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = make(tmp_path / "a", "x", held=True)
    info = discovery.locate(session).info
    monkeypatch.chdir(tmp_path / "a")
    session.jupyter_file.write_bytes(session.connection_file.read_bytes())
    foreign = tmp_path / session.connection_file.name
    foreign.write_bytes(session.connection_file.read_bytes())
    for target in (session, "x", session.connection_file, str(session.connection_file), session.jupyter_file):
        located = discovery.locate(target, start=False)
        assert located.info == info
        assert located.session
        assert located.session.id == session.id
    for target in (info, foreign):
        assert discovery.locate(target) == (info, None)
    with pytest.raises(Unreachable, match="cannot read"):
        discovery.locate("./nothing.json")
    with pytest.raises(NoSuchSession, match="does not run"):
        discovery.locate(make(tmp_path / "a", "dead"), start=False)


def test_a_killed_supervisor_is_not_alive_whatever_it_wrote(make: Make, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now: init may be slow, or not there
    session = make(tmp_path / "a", "x", held=True, pid=ended.pid)
    assert not discovery.is_alive(session)
    ended.wait()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What discovery.start was called with; nothing is started."""
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(discovery, "start", lambda session, **how: calls.append(how))
    return calls


def test_what_is_revived(make: Make, tmp_path: Path, started: list[dict[str, object]]) -> None:
    assert discovery.revive(make(tmp_path / "a", "shut", closed=True)) == "closed"
    assert discovery.revive(make(tmp_path / "a", "held", held=True)) == "up"
    starting = make(tmp_path / "a", "starting", held=True)
    starting.lock_file.write_text(json.dumps({"pid": os.getpid(), "ready": False}))
    assert discovery.revive(starting) == "up"
    assert discovery.revive(Session(tmp_path, "never")) == "closed"
    terminated = make(tmp_path / "a", "terminated")
    terminated.connection_file.unlink()
    assert discovery.revive(terminated) == "closed"
    broken = make(tmp_path / "a", "broken")
    broken.settings_file.write_text("{}")
    assert discovery.revive(broken) == "failed"
    assert not started
    assert discovery.revive(make(tmp_path / "a", "crashed", restart=False)) == "started"
    assert started == [{"restart": False, "with_kernel": True}]


def test_reading_takes_no_kernel_away(make: Make, tmp_path: Path, started: list[dict[str, object]]) -> None:
    discovery.open_journal(make(tmp_path / "a", "orphan", kernel_pid=os.getpid()))
    discovery.open_journal(make(tmp_path / "a", "crashed", kernel_pid=2**22 + 1))
    discovery.open_journal(make(tmp_path / "a", "shut", kernel_pid=os.getpid(), closed=True))
    assert started == [{"restart": True}, {"with_kernel": False}, {"with_kernel": False}]


def test_limits_are_handed_on(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(
        discovery, "_answer_of", lambda argv: (asked.append(argv), {"status": "ok", "connection_file": "x"})[1]
    )
    monkeypatch.setenv("ZMQKERNEL_JOURNAL_SIZE", "2G")
    monkeypatch.setenv("ZMQKERNEL_OUTPUT_CAP", "500")
    discovery.start(Session(tmp_path, "x"))
    assert asked[0][-4:] == ["--journal-size", str(2 * 1024**3), "--output-cap", "500"]


def test_a_session_that_cannot_start_says_why(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ZmqKernelError, match="no Jupyter kernelspec 'nix'"):
        discovery.start(Session(tmp_path, "x"), kernel="nix")
