"""``session.json``: what a session is and how its last supervisor left, for those who look while no supervisor runs.

A plain class and the json of the standard library: the record is read before the kernel is started, and msgspec would hold
that up.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ..paths import Session, write_private
from ..protocol.errors import JournalDamaged, ZmqKernelError

TRANSIENT = ("crashed", "rebooted")


class SessionRecord:
    """The fields of ``session.json``."""

    def __init__(self, session: Session) -> None:
        self.name = session.name
        self.project = str(session.project)
        self.python = ""
        self.kernel = "zmqkernel"
        self.cwd = ""
        self.restart = True
        self.owner = ""
        """Who made the session, when that was a Jupyter kernel manager: a token (see ServeRequest)."""
        self.ephemeral = False
        """Made for one run of a Jupyter kernel manager: nothing of it stays when it ends in order."""
        self.adopted = 0
        self.wanted = True
        """There is a kernel, or there shall be one: not where only the journal is read."""
        self.journal_size = self.journal_age = self.output_cap = 0.0
        """Limits: bytes, days, bytes of one execution; 0: the usual ones."""
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
        self.boot = ""
        """Which start of the machine the last supervisor lived in."""
        self.crashed = self.rebooted = False
        """The last supervisor did not end on purpose; the machine was started anew since. Known at the start: not in the file."""

    @classmethod
    def open(cls, session: Session, settings: dict[str, str]) -> SessionRecord:
        """The record for a new supervisor: settings given now win over those of the last time."""
        record = cls(session)
        record._read(session.settings_file)
        for key in ("python", "kernel", "cwd"):
            if settings.get(key):
                setattr(record, key, settings[key])
        for key in ("journal-size", "journal-age", "output-cap"):
            if settings.get(key):
                setattr(record, key.replace("-", "_"), _number(key, settings[key]))
        record.cwd = record.cwd or (record.project if Path(record.project).is_dir() else str(Path.home()))
        # Whoever only takes over from one that died does not change how the session was started.
        record.restart = "no-restart" not in settings and (record.restart or not record.created or record.closed)
        with_kernel = "no-kernel" not in settings
        if record.created and not record.closed:
            record.unclean, record.reported, record.crashed = True, False, True
        elif with_kernel:
            record.unclean = False
            record.owner = ""  # whoever starts it now: a kernel manager says so when it asks to be served
        record.created = record.created or time.time()
        boot = _boot()
        record.rebooted, record.boot = record.boot not in ("", boot), boot
        record.closed = record.closed and not with_kernel
        return record

    def _read(self, path: Path) -> None:
        try:
            fields = json.loads(path.read_bytes())
            if not isinstance(fields, dict):
                raise ValueError("it is no JSON object")
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
        for key in self.__dict__.keys() & fields.keys() - {"connection_file", *TRANSIENT}:
            setattr(self, key, fields[key])

    def begin_epoch(self, last: int, only_read: bool) -> None:
        """The journal ended at record ``last`` when it was opened. After a crash, and when it had more once, an epoch begins:
        then numbers may come again, and who has seen the lost ones is told. Not for who only reads what is there."""
        if (self.crashed and not only_read) or last < self.seq:
            self.epoch_ends[str(self.epoch)] = last
            self.epoch += 1

    def save(self, session: Session) -> None:
        """Replace the file."""
        write_private(
            session.settings_file,
            json.dumps({key: value for key, value in self.__dict__.items() if key not in TRANSIENT}, indent=1).encode()
            + b"\n",
        )


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ZmqKernelError(f"--{key} wants a number, not {text!r}") from None


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""  # another system: a torn end is then taken for that of a killed process
