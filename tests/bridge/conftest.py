"""A project folder with files, and editors on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.bare_editor import BareEditor


@pytest.fixture
def project(tmp_path: Path, home: Path) -> Path:
    """An empty project of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


@pytest.fixture
def editor(project: Path) -> Iterator[Callable[..., BareEditor]]:
    """Starts bare editors on the project; they are killed at the end."""
    with ExitStack() as stack:

        def start(**settings: Any) -> BareEditor:
            return stack.enter_context(BareEditor(project, **settings))

        yield start
