"""A place of its own for a benchmark that starts sessions: home, state, sockets, runtime directory; removed at its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn, Self

from zmqkernel.client import discovery
from zmqkernel.paths import Session

from .subjects import environment

END_SECONDS = 20.0


class Place:
    """While it is open, ``os.environ`` points into it, so that everything started here lives in it.

    At the end every process that was started with this home is killed, by its id, and the directory is removed.
    """

    def __init__(self) -> None:
        # A path below /tmp, because a unix socket path ends at 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="zkl-", dir="/tmp"))
        self.project = self.home / "project"
        self.project.mkdir()
        self._before = dict(os.environ)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.update(environment(self.home))

    def __enter__(self) -> Self:
        """A SIGTERM (somebody's time limit) must leave nothing behind either, whatever threads do just now."""
        signal.signal(signal.SIGTERM, self._leave)
        return self

    def _leave(self, *_: object) -> NoReturn:
        self.close()
        os._exit(128 + signal.SIGTERM)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.close()

    def session(self, name: str) -> Session:
        """Start a session of this place."""
        session = Session(self.project, name)
        discovery.start(session, cwd=str(self.project))
        return session

    def owns(self, pid: int) -> bool:
        """Was this process started with this home? OSError when it is gone: a number that was read from a file may be
        another's by now."""
        return f"HOME={self.home}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")

    def kill(self, pid: int) -> bool:
        """SIGKILL, if it is one of ours and still there."""
        try:
            return self.owns(pid) and kill(pid)
        except OSError:
            return False

    def processes(self) -> dict[int, str]:
        """Process id and command line of everything that was started with this home, but not us."""
        found: dict[int, str] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):  # gone since the listing, or another user's
                if self.owns(int(folder.name)):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = command
        return found

    def files(self) -> tuple[int, int]:
        """Number and total size in bytes of the files in the state and socket directories."""
        count = size = 0
        for path in self.listing():
            with contextlib.suppress(OSError):  # removed since the listing
                size += os.lstat(path).st_size
                count += 1
        return count, size

    def listing(self) -> list[str]:
        """The paths of those files."""
        roots = (self.home / "state", self.home / "s")
        return sorted(
            os.path.join(folder, name) for root in roots for folder, _, names in os.walk(root) for name in names
        )

    def close(self) -> None:
        """End what runs here and remove everything. Kernels and supervisors start each other: again until none is left."""
        deadline = time.monotonic() + END_SECONDS
        while left := self.processes():
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes that cannot be ended: {left}")
            for pid in left:
                kill(pid)
            time.sleep(0.05)
        os.environ.clear()
        os.environ.update(self._before)
        shutil.rmtree(self.home, ignore_errors=True)


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to one process; False when it is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Memory:
    """Of one process, in units of 2**20 bytes: resident, resident with shared pages shared out, its own alone, and of
    that what is not a file (the journal is read through a mapping)."""

    rss: float
    pss: float
    uss: float
    anonymous: float

    @classmethod
    def of(cls, pid: int) -> Memory:
        """Now. OSError when the process is gone."""
        values: dict[str, int] = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0])
        own = values["Private_Clean"] + values["Private_Dirty"]
        return cls(values["Rss"] / 1024, values["Pss"] / 1024, own / 1024, values["Anonymous"] / 1024)

    def rounded(self) -> dict[str, float]:
        """For a record."""
        return {name: round(value, 1) for name, value in asdict(self).items()}


def descriptors(pid: int) -> int:
    """Number of open file descriptors. OSError when the process is gone."""
    return len(os.listdir(f"/proc/{pid}/fd"))
