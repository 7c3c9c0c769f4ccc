"""For all tests of the supervisor's parts."""

from __future__ import annotations

import pytest

from zmqkernel.supervisor import writer


@pytest.fixture(autouse=True)
def no_disk_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits are written at once, however busy this machine is; the tests of a disk that hangs set it back."""
    monkeypatch.setattr(writer, "SLOW", 60.0)
