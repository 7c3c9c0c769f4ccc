"""Both faces when their session's supervisor dies: another is started, and what waited goes on; or it was shut down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.client import revival
from zmqkernel.client.discovery import Revived
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ReplyTimeout, Unreachable

from .faces import Blocking
from .fake_session import FakeSession
from .test_faces import texts, wait_for

pytestmark = pytest.mark.timeout(60)


class Starter:
    """Takes the place of discovery.revive: starts the fake session again, in as long as that takes."""

    def __init__(self, session: FakeSession) -> None:
        self.session = session
        self.outcomes: list[Revived] = []
        self.seconds = 0.0
        self.count = 0

    def __call__(self, _session: Session) -> Revived:
        self.count += 1
        outcome: Revived = self.outcomes.pop(0) if self.outcomes else "started"
        threading.Event().wait(self.seconds)
        if outcome == "started":
            self.session.come_back()
        return outcome


@pytest.fixture
def starter(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> Starter:
    starter = Starter(session)
    defaults = revival.Reviver.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "attempt", starter)
    return starter


@pytest.fixture
def face(connect: Callable[..., Any], starter: Starter, tmp_path: Path) -> Any:
    return connect(session=Session(tmp_path, "fake"))


def test_a_running_cell_and_a_follow_go_on(session: FakeSession, face: Any, starter: Starter) -> None:
    following = face.start_following()

    def kill() -> None:
        wait_for(lambda: bool(session._waiting))
        session.die()
        wait_for(lambda: starter.count == 1)
        execution = next(iter(session._waiting))
        session.say("still here", execution)
        session.do(lambda: session._end(execution, {"status": "ok", "execution_count": 1}))

    thread = threading.Thread(target=kill)
    thread.start()
    outputs, reply = face.run("print before\nwait")
    thread.join()
    assert texts(outputs) == "before\nstill here"
    assert reply.status == "ok"
    assert len(session.executed) == 1
    numbers = [record.seq for record in face.take(following, len(session.records))]
    assert numbers == list(range(1, len(session.records) + 1))


def test_a_request_waits_for_the_start_however_long_it_takes(
    session: FakeSession, connect: Callable[..., Any], starter: Starter, tmp_path: Path
) -> None:
    starter.seconds = 1.5
    face = connect(session=Session(tmp_path, "fake"), timeout=1.0)
    session.die()
    assert face.call("complete", "a").matches == ["ax"]
    assert starter.count == 1


def test_a_start_that_fails_is_tried_again(
    session: FakeSession, face: Any, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "AGAIN_SECONDS", 0.1)
    starter.outcomes = ["failed", "up"]
    session.die()
    assert face.call("complete", "a").matches == ["ax"]
    assert starter.count == 3


def test_a_session_that_was_shut_down_is_over(session: FakeSession, face: Any, starter: Starter) -> None:
    following = face.start_following()
    session.say("last words")
    assert face.take(following, 1)[0].data["text"] == "last words"
    starter.outcomes = ["closed"]
    threading.Timer(0.2, session.die).start()
    with pytest.raises(Unreachable, match="was shut down"):
        face.run("wait")
    with pytest.raises(Unreachable, match="was shut down"):
        face.call("complete", "a")
    assert face.client.ended
    rest = [record.msg_type for record in face.drain(following)]
    assert rest == ["execute_request", "status", "execute_input"]
    assert following.finished
    assert face.drain(face.start_following()) == []
    assert starter.count == 1


def test_without_a_session_nothing_is_started(
    session: FakeSession, connect: Callable[..., Any], starter: Starter
) -> None:
    face = connect(timeout=0.8)
    session.die()
    with pytest.raises(ReplyTimeout):
        face.call("complete", "a")
    assert starter.count == 0
    session.come_back()


def test_trouble_is_known(session: FakeSession, face: Any) -> None:
    told: list[str] = []
    if not isinstance(face, Blocking):
        face.client.on_trouble = told.append
    assert face.client.trouble == ""
    session.trouble = "the disk is full: output waits (3.1 MB) until there is room"
    face.run("print a")
    assert face.client.trouble == session.trouble
    session.trouble = ""
    face.call("info")
    assert face.client.trouble == ""
    assert isinstance(face, Blocking) or told == ["the disk is full: output waits (3.1 MB) until there is room", ""]


def test_what_was_kept_is_resumed(face: Any) -> None:
    assert face.call("resume", ["a", "b"]).executions == {"a": "new", "b": "new"}
