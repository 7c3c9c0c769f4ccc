"""What strangers and broken peers send does no harm."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import zmq

from zmqkernel.client import Client
from zmqkernel.client.discovery import is_alive, start
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.messages import FollowRequest, Position
from zmqkernel.protocol.wire import Wire

from .conftest import text_of, wait_for
from .raw import Raw

GARBAGE = [
    [b""],
    [b"hello"],
    [b"<IDS|MSG>"],
    [b"<IDS|MSG>", b"0" * 64, b"{}", b"{}", b"{}", b"{}"],
    [b"<IDS|MSG>", b"", b"\xff\xfe", b"[", b"nul", b"\x00"],
    [b"x"] * 300,
]


@pytest.mark.parametrize("channel", ["control", "shell", "stdin", "hb"])
def test_garbage_leaves_the_session_unharmed(session: Session, client: Client, channel: str) -> None:
    with Raw(session, channel) as raw:
        for frames in GARBAGE:
            raw.socket.send_multipart(frames)
        assert text_of(client, "print('unharmed')") == "unharmed\n"


def test_a_wrong_key_is_refused_in_silence(session: Session, client: Client) -> None:
    with Raw(session) as raw:
        wire = Wire("not the key", "stranger")
        raw.socket.send_multipart(wire.pack(wire.message("execute_request", {"code": "stolen = 1"})))
        assert raw.socket.poll(500) == 0
    assert client.execute("stolen").wait(20).ename == "NameError"


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [("execute_request", {"code": 5}), ("follow_request", {"credit": "much"}), ("answer_request", {})],
)
def test_a_wrong_content_gets_an_error_reply(session: Session, msg_type: str, content: dict[str, object]) -> None:
    with Raw(session) as raw:
        wire = Wire(raw.info.key, "wrong")
        reply = raw.exchange(wire, wire.message(msg_type, content))
        assert reply.content["status"] == "error"
        assert reply.content["evalue"]


def test_a_position_that_does_not_exist_is_sent_back(session: Session) -> None:
    with Raw(session) as raw:
        wire = Wire(raw.info.key, "lost")
        reply = raw.exchange(wire, wire.message("follow_request", FollowRequest(Position(1, 10_000))))
        assert reply.content["rewind"]["seq"] < 10_000


def test_every_subscriber_is_welcomed(session: Session, client: Client) -> None:
    client.execute("1").wait(20)  # a kernel that starts has something to say as well
    with Raw(session) as raw:
        wire = Wire(raw.info.key, "sub")
        for _ in range(3):
            socket = zmq.Context.instance().socket(zmq.SUB)
            socket.linger = 0
            socket.connect(raw.info.endpoint("iopub"))
            socket.subscribe(b"")
            try:
                assert socket.poll(5000)
                assert wire.unpack(socket.recv_multipart()).msg_type == "iopub_welcome"
            finally:
                socket.close()


def test_other_users_get_nothing(session: Session) -> None:
    """Story 8. As root another user is tried for real, else the modes are looked at."""
    private = [session.directory, session.directory.parent, session.sockets, session.sockets.parent]
    for path in private:
        assert path.stat().st_mode & 0o777 == 0o700, path
    for path in session.directory.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert session.jupyter_file.stat().st_mode & 0o077 == 0
    if os.getuid() == 0:
        assert _as_nobody(session.connection_file, session.sockets / "door-1") == 0


def _as_nobody(file: Path, socket: Path) -> int:
    """In a child: become nobody and try. 0 when both were refused."""
    import socket as sockets

    pid = os.fork()
    if pid == 0:
        status = 3
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            status = 0
            try:
                file.read_bytes()
                status |= 1
            except PermissionError:
                pass  # what we want
            try:
                sockets.socket(sockets.AF_UNIX).connect(str(socket))
                status |= 2
            except PermissionError:
                pass  # what we want
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_interpreter_without_zmqkernel_is_refused_at_the_start(project: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o700)
    with pytest.raises(ZmqKernelError) as caught:
        start(Session.at(project), python=str(python))
    assert "cannot run the kernel" in str(caught.value)
    assert "pip install zmqkernel" in caught.value.hint
    assert not is_alive(Session.at(project))


def test_a_kernel_that_cannot_start_is_not_tried_for_ever_and_says_why(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "import no_such_module", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "x"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    start(Session.at(project), kernel="broken")
    with Client.connect(Session.at(project), start=False) as client:
        wait_for(lambda: client.info().state == "dead")
        reasons = [r.data["reason"] for r in client.follow(until_end=True) if r.msg_type == "kernel_died"]
        assert len(reasons) == 2
        assert "No module named 'no_such_module'" in reasons[0]
        assert client.execute("1").wait(20).ename == "KernelDied"
