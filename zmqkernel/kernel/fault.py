"""Where faulthandler writes when this process crashes: into the link directory, so that the supervisor can say what happened."""

from __future__ import annotations

import faulthandler
from pathlib import Path

from .forks import watch_forks


class Fault:
    """The file ``fault`` of a link directory."""

    def __init__(self, directory: Path) -> None:
        self._file = open(directory / "fault", "a")  # noqa: SIM115 - stays open as long as the process
        faulthandler.enable(self._file)
        watch_forks(self)

    def before_fork(self) -> None:
        """Nothing to prepare."""

    def forked(self) -> None:
        """In a child process: its crash is not the kernel's. What there is to say goes to its standard error."""
        faulthandler.enable(2)
        self._file.close()
