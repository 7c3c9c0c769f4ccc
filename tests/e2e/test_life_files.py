"""Life around a session: files and disks. The table is in docs/explanation.

Real processes. What needs rights that this user does not have is simulated in another way, which its test names.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zmqkernel.client import Client
from zmqkernel.client.discovery import is_alive, sessions, start
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError

from .conftest import text_of, wait_for
from .processes import info_of, kill


@pytest.fixture
def idle(project: Path) -> Session:
    """A session that was not started yet."""
    return Session.at(project)


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_socket_directory_is_wiped(session: Session, client: Client) -> None:
    """As tmpfiles or a reboot script does it. Who is connected stays so; the supervisor makes the sockets again."""
    assert text_of(client, "print('before')") == "before\n"
    before = info_of(session)
    shutil.rmtree(session.sockets.parent)
    assert text_of(client, "print('connected stays connected')") == "connected stays connected\n"
    wait_for(lambda: list(session.sockets.glob("door*")), 20)
    assert session.sockets.stat().st_mode & 0o777 == 0o700
    with Client.connect(session) as late:
        assert text_of(late, "print('back')") == "back\n"
    assert info_of(session) == before


def test_the_socket_directory_is_wiped_while_the_kernel_starts(session: Session, client: Client) -> None:
    shutil.rmtree(session.sockets.parent)
    wait_for(lambda: client.execute("1").wait(60).status == "ok", 60)


def test_sockets_of_the_dead_and_litter_are_in_nobodys_way(session: Session) -> None:
    """Both were killed, so their sockets stay; somebody has put a file where a socket will be."""
    kill(*info_of(session))
    assert list(session.sockets.glob("door*"))
    for path in list(session.sockets.iterdir()):
        path.unlink()
        path.write_text("litter")
    start(session)
    with Client.connect(session) as client:
        assert text_of(client, "print('up')") == "up\n"


def test_another_users_socket_directory_is_refused(idle: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rights to make one: a directory that others may enter, and a link to one."""
    root = idle.sockets.parent
    root.chmod(0o755)
    with pytest.raises(ZmqKernelError, match="others may enter") as caught:
        start(idle)
    assert caught.value.code == "not-allowed"
    shutil.rmtree(root)
    root.symlink_to(idle.directory.parent)
    with pytest.raises(ZmqKernelError, match="not a directory"):
        start(idle)
    root.unlink()
    if os.geteuid() == 0:
        root.mkdir(0o700)
        os.chown(root, 65534, 65534)
        with pytest.raises(ZmqKernelError, match="belongs to another user"):
            start(idle)


def test_a_state_directory_that_cannot_be_written_is_a_clear_error(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path below a file: for root too, whom permissions do not bind."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "state"))
    with pytest.raises(ZmqKernelError, match=str(tmp_path / "file")) as caught:
        start(Session.at(project))
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["", '{"name": "analysis", "proj', "\0" * 200, "[]"], ids=["empty", "torn", "zeros", "list"]
)
def test_a_torn_record_is_a_clear_error(idle: Session, text: str) -> None:
    idle.directory.mkdir(mode=0o700, parents=True)
    idle.directory.parent.chmod(0o700)
    idle.settings_file.write_text(text)
    try:
        with pytest.raises(ZmqKernelError, match=r"session\.json") as caught:
            start(idle)
        assert caught.value.code == "journal-damaged"
        assert caught.value.hint
        assert not sessions()
    finally:
        idle.settings_file.unlink()
    start(idle)


@pytest.mark.parametrize("name", ["session.json", "lock", "supervisor.log", "link"])
def test_a_directory_where_a_file_should_be_is_a_clear_error(idle: Session, name: str) -> None:
    idle.directory.mkdir(mode=0o700, parents=True)
    idle.directory.parent.chmod(0o700)
    wrong = idle.directory / name
    if name == "link":
        wrong.write_text("a file where a directory should be")
    else:
        wrong.mkdir()
    try:
        with pytest.raises(ZmqKernelError, match=name) as caught:
            start(idle)
        assert caught.value.hint
        assert not is_alive(idle)
        assert name == "link" or not sessions()
    finally:
        wrong.unlink() if wrong.is_file() else wrong.rmdir()
    start(idle)


# --- disks ------------------------------------------------------------------------------------------------------------


def test_no_file_may_grow_and_it_is_waited_for_like_a_full_disk(session: Session, client: Client) -> None:
    """A full disk without rights to make one: a limit of the supervisor's file size, set and lifted while it runs. It hits its
    log as well."""
    supervisor, _ = info_of(session)
    assert text_of(client, "print('room')") == "room\n"
    limit = resource.prlimit(supervisor, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (0, limit[1]))
    execution = client.execute("for i in range(20_000): print(i)")
    try:
        wait_for(lambda: client.info().trouble)  # the door answers meanwhile, and says why
    finally:
        resource.prlimit(supervisor, resource.RLIMIT_FSIZE, limit)
    text = "".join(o.content["text"] for o in execution if o.msg_type == "stream")
    assert text == "".join(f"{i}\n" for i in range(20_000))
    assert execution.wait(20).status == "ok"
    wait_for(lambda: not client.info().trouble)


FULL = """
import subprocess, sys, time
from pathlib import Path
from zmqkernel.client import Client
from zmqkernel.client.discovery import start
from zmqkernel.paths import Session, state_dir
state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "none", str(state_dir())], check=True)
session = Session.at(Path(sys.argv[1]))
start(session)
def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
with Client.connect(session) as client:
    print(client.execute("1").wait(20).status)
    ballast = state_dir() / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"1" * 4096)
        except OSError:
            pass
    execution = client.execute("for i in range(300_000): print(i, 'x' * 20)")
    wait_for(lambda: client.info().trouble)
    print(client.info().trouble)
    ballast.unlink()
    text = "".join(o.content["text"] for o in execution if o.msg_type == "stream")
    print(text == "".join(f"{i} {'x' * 20}\\n" for i in range(300_000)), execution.wait(30).status)
    client.shutdown()
wait_for(lambda: not session.connection_file.exists())
time.sleep(0.5)
"""


def test_a_disk_that_is_full(project: Path) -> None:
    """A small file system in memory, where this user may mount one; the limit above is for where not."""
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    probe = [*own, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    argv = [*own, sys.executable, "-c", FULL, str(project)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=150)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["ok"], done.stderr
    assert "full" in "".join(lines[1:2]), done.stderr
    assert lines[2:] == ["True ok"], done.stderr


def test_looking_at_a_session_leaves_no_trace_in_it(session: Session) -> None:
    with Client.connect(session) as client:
        client.execute("1").wait(20)
        client.shutdown()
    wait_for(lambda: not session.sockets.exists())
    before = session.settings_file.read_bytes()
    for _ in range(2):
        start(session, with_kernel=False)
        with Client.connect(session, start=False) as reader:
            events = [r.msg_type for r in reader.follow(until_end=True) if r.kind == "event"]
            assert events[-1] == "close"
            assert not reader.info().unclean
            reader.shutdown()
        wait_for(lambda: not session.sockets.exists())
        assert session.settings_file.read_bytes() == before
