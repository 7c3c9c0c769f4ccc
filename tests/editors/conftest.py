"""A real Neovim on a project of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.editors.install_neovim import install
from tests.editors.neovim import Neovim


@pytest.fixture(scope="session")
def neovim_program() -> Path:
    """The program; found or installed with the real home directory, before a test gets one of its own."""
    return install()


@pytest.fixture
def project(tmp_path: Path, neovim_program: Path, home: Path) -> Path:
    """An empty project of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


@pytest.fixture
def neovim(project: Path, neovim_program: Path) -> Iterator[Callable[[], Neovim]]:
    """Starts Neovims on the project; they are killed at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Neovim(neovim_program, project))
