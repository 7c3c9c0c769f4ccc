"""``session.json``: what a session is and how its last supervisor left, for those who look while no supervisor runs.

A plain class and the json of the standard library: the record is read before the kernel is started, and msgspec would hold
that up.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ..paths import Session, write_private
from ..protocol.errors import JournalDamaged


class SessionRecord:
    """The fields of ``session.json``."""

    def __init__(self, session: Session) -> None:
        self.name = session.name
        self.project = str(session.project)
        self.python = ""
        self.kernel = "zmqkernel"
        self.cwd = ""
        self.restart = True
        self.connection_file = str(session.connection_file)
        self.supervisor_pid = 0
        self.kernel_pid = 0
        self.epoch = 1
        self.epoch_ends: dict[str, int] = {}
        """An ended epoch (JSON has only text for keys) to the number of its last record."""
        self.seq = 0
        self.closed = False
        """The last supervisor ended on purpose."""
        self.reported = False
        self.unclean = False
        """The last end was no shutdown."""
        self.created = 0.0

    @classmethod
    def open(cls, session: Session, settings: dict[str, str]) -> SessionRecord:
        """The record for a new supervisor: settings given now win over those of the last time."""
        record = cls(session)
        record._read(session.settings_file)
        for key in ("python", "kernel", "cwd"):
            if settings.get(key):
                setattr(record, key, settings[key])
        record.cwd = record.cwd or (record.project if Path(record.project).is_dir() else str(Path.home()))
        record.restart = "no-restart" not in settings
        with_kernel = "no-kernel" not in settings
        if record.created and not record.closed:
            record.unclean, record.reported = True, False
            record.epoch_ends[str(record.epoch)] = _last_number(session)
            record.epoch += 1
        elif with_kernel:
            record.unclean = False
        record.created = record.created or time.time()
        record.closed = record.closed and not with_kernel
        return record

    def _read(self, path: Path) -> None:
        try:
            fields = json.loads(path.read_bytes())
        except FileNotFoundError:
            return  # a new session
        except ValueError as error:
            raise JournalDamaged(
                f"{path} cannot be read: {error}",
                hint="Move it away; the journal beside it holds everything that ran.",
            ) from None
        if (fields.get("project"), fields.get("name")) != (self.project, self.name):
            raise JournalDamaged(
                f"{path} belongs to the session {fields.get('name')!r} of {fields.get('project')}",
                hint="Move its directory away.",
            )
        for key in self.__dict__.keys() & fields.keys() - {"connection_file"}:
            setattr(self, key, fields[key])

    def save(self, session: Session) -> None:
        """Replace the file."""
        write_private(session.settings_file, json.dumps(self.__dict__, indent=1).encode() + b"\n")


def _last_number(session: Session) -> int:
    from .journal import Journal

    journal = Journal(session.directory)
    journal.close()
    return journal.last
