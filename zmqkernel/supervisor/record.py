"""``session.json``: what a session is and how its last supervisor left, for those who look while no supervisor runs."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from ..paths import Session, write_private
from ..protocol.errors import JournalDamaged


class SessionRecord(msgspec.Struct, kw_only=True):
    """The fields of ``session.json``. ``epoch_ends`` maps an ended epoch to the number of its last record."""

    name: str
    project: str
    python: str = ""
    kernel: str = "zmqkernel"
    cwd: str = ""
    restart: bool = True
    connection_file: str = ""
    supervisor_pid: int = 0
    kernel_pid: int = 0
    epoch: int = 1
    epoch_ends: dict[int, int] = {}
    seq: int = 0
    closed: bool = False
    reported: bool = False
    unclean: bool = False
    created: float = 0.0
    supervised: bool = False
    """A kernel was ended on purpose by this supervisor."""

    @classmethod
    def open(cls, session: Session, settings: dict[str, str]) -> SessionRecord:
        """The record for a new supervisor: settings given now win over those of the last time."""
        record = cls._read(session)
        for key in ("python", "kernel", "cwd"):
            if settings.get(key):
                setattr(record, key, settings[key])
        record.cwd = record.cwd or (record.project if Path(record.project).is_dir() else str(Path.home()))
        record.restart = "no-restart" not in settings
        record.connection_file = str(session.connection_file)
        if record.created and not record.closed:
            record.unclean, record.reported = True, False
            record.epoch_ends[record.epoch] = _last_number(session)
            record.epoch += 1
        elif record.closed and "no-kernel" not in settings:
            record.unclean = False
        record.created = record.created or time.time()
        record.supervised = False
        if "no-kernel" not in settings:
            record.closed = False
        return record

    @classmethod
    def _read(cls, session: Session) -> SessionRecord:
        try:
            return msgspec.json.decode(session.settings_file.read_bytes(), type=cls)
        except FileNotFoundError:
            return cls(name=session.name, project=str(session.project))
        except msgspec.MsgspecError as error:
            raise JournalDamaged(
                f"{session.settings_file} cannot be read: {error}",
                hint="Move it away; the journal beside it holds everything that ran.",
            ) from None

    def save(self, session: Session) -> None:
        """Replace the file."""
        write_private(session.settings_file, msgspec.json.format(msgspec.json.encode(self), indent=1))


def _last_number(session: Session) -> int:
    from .journal import Journal

    journal = Journal(session.directory)
    journal.close()
    return journal.last
