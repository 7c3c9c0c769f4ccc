"""Which sessions there are, whether they live, and starting one. No zmq in here: whoever asks a door brings a client."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from .. import paths
from ..paths import Session
from ..protocol.connection import ConnectionInfo
from ..protocol.errors import NoSuchSession, Unreachable, ZmqKernelError

Target = str | Path | Session | ConnectionInfo | None
"""How a caller may name a session: its name, a connection file, a Session; None: the one of the working directory."""

START_SECONDS = 60.0
"""How long a supervisor may take to open its door."""


class SessionFile(msgspec.Struct):
    """``session.json``: what the supervisor wrote down about a session."""

    name: str
    project: str
    python: str = ""
    kernel: str = ""
    cwd: str = ""
    connection_file: str = ""
    supervisor_pid: int = 0
    kernel_pid: int = 0
    epoch: int = 0
    seq: int = 0
    closed: bool = False
    reported: bool = False
    created: float = 0.0


class SessionState(msgspec.Struct):
    """How a session is. The fields are the keys of ``zmqkernel list --json``.

    ``state``: starting, idle, busy, restarting, dead; unknown when its supervisor lives and does not answer.
    ``unclean``: its last end was no shutdown, and nobody has seen the report yet.
    """

    name: str
    path: str
    state: str
    kernel_pid: int
    supervisor_pid: int
    connection_file: str
    epoch: int
    seq: int
    unclean: bool


class Found(msgspec.Struct):
    """A session on disk."""

    session: Session
    file: SessionFile
    alive: bool

    def state(self) -> SessionState:
        """What the disk says: right for a dead session, and what a live one said when it last wrote."""
        file = self.file
        return SessionState(
            name=file.name,
            path=file.project,
            state="unknown" if self.alive else "dead",
            kernel_pid=file.kernel_pid if self.alive else 0,
            supervisor_pid=file.supervisor_pid if self.alive else 0,
            connection_file=file.connection_file or str(self.session.connection_file),
            epoch=file.epoch,
            seq=file.seq,
            unclean=not self.alive and not file.closed and not file.reported,
        )


def sessions() -> list[Found]:
    """Every session of this user, dead or alive, sorted by path and name."""
    found: list[Found] = []
    for settings in paths.state_dir().glob("*/session.json"):
        try:
            file = msgspec.json.decode(settings.read_bytes(), type=SessionFile)
        except (OSError, msgspec.MsgspecError):
            continue  # being removed, or another version's: a list that fails helps nobody
        session = Session(Path(file.project), file.name)
        if session.directory == settings.parent:  # else: a copy of somebody's session
            found.append(Found(session, file, is_alive(session)))
    return sorted(found, key=lambda one: (one.file.project, one.file.name))


def is_alive(session: Session) -> bool:
    """Does a supervisor hold the session's lock, with its door open?

    The lock is tried only when the process that wrote its name into the file exists: trying it for a moment could make
    a supervisor that starts right now believe that the session is taken.
    """
    try:
        descriptor = os.open(session.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        pid = _holder(os.read(descriptor, 4096))
        if not pid or not _exists(pid):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def find(name: str | None = None, where: Path | None = None) -> Found:
    """The session ``name`` of the project around ``where`` (default: the working directory), else the only one of that name
    anywhere. Raises NoSuchSession, or ZmqKernelError when several have that name or the place needs a name."""
    session = Session.at(where or Path.cwd(), name)
    known = sessions()
    for one in known:
        if one.session.id == session.id:
            return one
    elsewhere = [one for one in known if name and one.file.name == name]
    if len(elsewhere) == 1:
        return elsewhere[0]
    if elsewhere:
        places = ", ".join(one.file.project for one in elsewhere)
        raise ZmqKernelError(
            f"{len(elsewhere)} sessions are called {name!r}: in {places}",
            hint="Go into that project, or give its connection file.",
        )
    here = [one.file.name for one in known if one.session.project == session.project]
    hint = f"This project has: {', '.join(here)}" if here else f"Start it: zmqkernel start{f' {name}' if name else ''}"
    raise NoSuchSession(f"there is no session {session.name!r} in {session.project}", hint=hint)


def find_or_new(name: str | None = None, where: Path | None = None) -> tuple[Session, bool]:
    """As :func:`find`, but a session that is not there yet is no error: (session, does it run)."""
    try:
        found = find(name, where)
    except NoSuchSession:
        return Session.at(where or Path.cwd(), name), False
    return found.session, found.alive


def start(
    session: Session,
    *,
    python: str = "",
    kernel: str = "",
    cwd: str = "",
    restart: bool = True,
    with_kernel: bool = True,
) -> Path:
    """Start the session (or find it up already) and return its connection file.

    ``python`` and ``kernel`` choose the interpreter or the Jupyter kernelspec, ``cwd`` the kernel's working directory;
    empty: as last time. ``restart=False``: a kernel that dies stays dead. ``with_kernel=False`` only opens the journal.
    """
    argv = [sys.executable, "-P", "-m", "zmqkernel.supervisor"]  # -P: no module from the working directory
    argv += ["--project", str(session.project), "--name", session.name]
    for option, value in (("--python", python), ("--kernel", kernel), ("--cwd", cwd)):
        argv += [option, value] if value else []
    argv += [] if restart else ["--no-restart"]
    argv += [] if with_kernel else ["--no-kernel"]
    answer = _answer_of(argv)
    if answer.get("status") != "ok":
        error = ZmqKernelError(str(answer.get("message", "unknown error")), hint=str(answer.get("hint", "")))
        error.code = str(answer.get("code", "error"))
        raise error
    return Path(answer["connection_file"])


def locate(target: Target, *, start: bool = True) -> ConnectionInfo:
    """The connection of a session, started when it does not run and ``start`` says so. Raises NoSuchSession or Unreachable."""
    if isinstance(target, ConnectionInfo):
        return target
    if isinstance(target, Path) or (isinstance(target, str) and is_connection_file(target)):
        return read_connection(Path(target))
    if isinstance(target, Session):
        session, alive = target, is_alive(target)
    elif start:
        session, alive = find_or_new(target)
    else:
        found = find(target)
        session, alive = found.session, found.alive
    if not alive and not start:
        raise NoSuchSession(
            f"the session {session.name!r} does not run", hint=f"Start it: zmqkernel start {session.name}"
        )
    if not alive:
        return read_connection(start_session(session))
    return read_connection(session.connection_file)


start_session = start
"""The same under a name that an argument called ``start`` does not hide."""


def is_connection_file(text: str) -> bool:
    """A name with a slash or ``.json`` at its end is a file."""
    return "/" in text or text.endswith(".json")


def read_connection(path: Path) -> ConnectionInfo:
    """Read a connection file."""
    try:
        return ConnectionInfo.decode(path.read_bytes(), str(path))
    except OSError as error:
        raise Unreachable(
            f"cannot read {path}: {error.strerror}", hint="zmqkernel list shows the sessions there are."
        ) from None


def _answer_of(argv: list[str]) -> dict[str, Any]:
    """Run a command that detaches and prints one line of JSON; its error output goes into the message."""
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process:
            try:
                output, _ = process.communicate(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Unreachable(
                    f"the supervisor did not open its door within {START_SECONDS:.0f} s", hint="See its supervisor.log."
                ) from None
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    try:
        return json.loads(output.splitlines()[0])
    except (IndexError, ValueError):
        raise ZmqKernelError(
            f"the supervisor did not start: {said or f'exit code {process.returncode}'}",
            hint="Is zmqkernel whole? Try: python -m zmqkernel.supervisor",
        ) from None


def _holder(text: bytes) -> int:
    try:
        signed = json.loads(text)
        return (
            int(signed["pid"]) if signed["ready"] else 0
        )  # one that leaves, or has not opened its door yet, is no session
    except (ValueError, KeyError, TypeError):
        return 0  # nobody has signed yet: then nobody has the door open either


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's: it exists
    return True
