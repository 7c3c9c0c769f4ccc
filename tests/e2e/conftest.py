"""A running session in a project of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zmqkernel.client import Client
from zmqkernel.client.discovery import start
from zmqkernel.paths import Session


@pytest.fixture
def project(home: Path) -> Path:
    """An empty project directory."""
    directory = home / "analysis"
    directory.mkdir()
    (directory / "pyproject.toml").write_text("")
    return directory


@pytest.fixture
def session(project: Path) -> Session:
    """A session that runs; ``home`` ends it."""
    made = Session.at(project)
    start(made)
    return made


@pytest.fixture
def client(session: Session) -> Iterator[Client]:
    """A client of the session."""
    with Client.connect(session, sender="tester 1") as connected:
        yield connected


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until ``condition()`` is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.01)


def text_of(client: Client, code: str) -> str:
    """Run code and return all of its stream text."""
    return "".join(o.content["text"] for o in client.execute(code) if o.msg_type == "stream")
