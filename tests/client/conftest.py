"""The fake session, and each face of the client on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .faces import Async, Blocking
from .fake_session import FakeSession


@pytest.fixture
def session() -> Iterator[FakeSession]:
    directory = Path(tempfile.mkdtemp(prefix="zk-", dir="/tmp"))
    with FakeSession(directory) as fake:
        yield fake
    shutil.rmtree(directory)


@pytest.fixture(params=[Blocking, Async], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest, session: FakeSession) -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def connect(**options: Any) -> Any:
        opened.append(request.param(session.info, **options))
        return opened[-1]

    yield connect
    for face in opened:
        face.close()


@pytest.fixture
def face(connect: Callable[..., Any]) -> Any:
    return connect()
