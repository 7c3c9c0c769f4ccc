"""Which sessions there are, whether they live, and starting one. No zmq in here: whoever asks a door brings a client."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from .. import config, paths
from ..paths import Session
from ..protocol.connection import ConnectionInfo
from ..protocol.errors import NoSuchSession, RemoteProtocolError, Unreachable, ZmqKernelError

Target = str | Path | Session | ConnectionInfo | None
"""How a caller may name a session: its name, a connection file, a Session; None: the one of the working directory."""

Revived = Literal["up", "started", "closed", "failed"]
"""What came of a revival. up: somebody has the session, and was faster; closed: it was shut down and stays so."""

START_SECONDS = 60.0
"""How long a supervisor may take to open its door."""


class Located(NamedTuple):
    """Where to connect, and to which session of this user the door belongs (None: to none that we know)."""

    info: ConnectionInfo
    session: Session | None


class SessionFile(msgspec.Struct):
    """``session.json``: what the supervisor wrote down about a session."""

    name: str
    project: str
    python: str = ""
    kernel: str = ""
    cwd: str = ""
    restart: bool = True
    wanted: bool = True
    """It had a kernel, or would have got one again."""
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
    held: list[str] = []
    trouble: str = ""


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
        one = _session_in(settings.parent)
        if one:
            found.append(Found(*one, is_alive(one[0])))
    return sorted(found, key=lambda one: (one.file.project, one.file.name))


def is_alive(session: Session) -> bool:
    """Does a supervisor hold the session's lock, with its door open?"""
    held, ready = _lock(session)
    return held and ready


def session_of(path: Path) -> Session | None:
    """The session whose connection file this is (its own, or the copy for Jupyter); None for anybody else's."""
    real = Path(os.path.realpath(path))
    own = _session_in(real.parent)
    if own and real.name == own[0].connection_file.name:
        return own[0]
    copy = _session_in(paths.state_dir() / real.stem.removeprefix("kernel-zmqkernel-"))
    return copy[0] if copy and real.name == copy[0].jupyter_file.name else None


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
    What the settings say about the journal's size is handed on.
    """
    argv = [sys.executable, "-P", "-m", "zmqkernel.supervisor"]  # -P: no module from the working directory
    argv += ["--project", str(session.project), "--name", session.name]
    for option, value in (("--python", python), ("--kernel", kernel), ("--cwd", cwd)):
        argv += [option, value] if value else []
    for option, number in config.load().limits.items():
        argv += [f"--{option}", str(number)]
    argv += [] if restart else ["--no-restart"]
    argv += [] if with_kernel else ["--no-kernel"]
    answer = _answer_of(argv)
    if answer.get("status") != "ok":
        error = ZmqKernelError(str(answer.get("message", "unknown error")), hint=str(answer.get("hint", "")))
        error.code = str(answer.get("code", "error"))
        raise error
    return Path(answer["connection_file"])


def revive(session: Session) -> Revived:
    """Start the supervisor of a session whose last one ended without a shutdown, with the settings of last time."""
    if _lock(session)[0]:
        return "up"  # or it will be in a moment, or leaves: what it writes down then is what counts
    try:
        file = msgspec.json.decode(session.settings_file.read_bytes(), type=SessionFile)
        if file.closed or not session.connection_file.exists():
            return "closed"  # without the file it left in order, told by somebody to end, and took its key along
        start(session, restart=file.restart, with_kernel=file.wanted)
    except FileNotFoundError:
        return "closed"  # somebody has removed the session
    except (OSError, msgspec.MsgspecError, ZmqKernelError):
        return "failed"  # the caller tries again; supervisor.log says why
    return "started"


def open_journal(session: Session) -> None:
    """Make a session that does not run readable. One that was shut down gets a supervisor without a kernel; where the
    supervisor died and its kernel lives, that kernel gets its supervisor back."""
    held, _ = _lock(session)  # before the file is read: one that leaves writes into it until the end
    found = _session_in(session.directory)
    if not held and found and not found[1].closed and found[1].kernel_pid and _exists(found[1].kernel_pid):
        start(session, restart=found[1].restart)
    else:
        start(session, with_kernel=False)


def was_shut_down(connection_file: Path) -> bool:
    """Is this the door of a session that was shut down, and only its journal was opened since?"""
    session = session_of(connection_file)
    found = _session_in(session.directory) if session else None
    return found is not None and found[1].closed


def is_door_of(session: Session, info: ConnectionInfo) -> bool:
    """Is this still the connection of the session, as far as its connection file says?"""
    try:
        return ConnectionInfo.decode(session.connection_file.read_bytes()).key == info.key
    except (OSError, RemoteProtocolError):
        return True  # somebody removed or tore it: the door that we know is all there is


def locate(target: Target, *, start: bool = True) -> Located:
    """The connection of a session, started when it does not run and ``start`` says so. Raises NoSuchSession or Unreachable."""
    if isinstance(target, ConnectionInfo):
        return Located(target, None)
    if isinstance(target, Path) or (isinstance(target, str) and is_connection_file(target)):
        return Located(read_connection(Path(target)), session_of(Path(target)))
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
        start_session(session)
    return Located(read_connection(session.connection_file), session)


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


def _session_in(directory: Path) -> tuple[Session, SessionFile] | None:
    """The session whose state directory this is."""
    try:
        file = msgspec.json.decode((directory / "session.json").read_bytes(), type=SessionFile)
    except (OSError, msgspec.MsgspecError):
        return None  # none there, being removed, or another version's: a list that fails helps nobody
    session = Session(Path(file.project), file.name)
    its_own = os.path.realpath(session.directory) == os.path.realpath(directory)
    return (session, file) if its_own else None  # else: a copy of somebody's session


def _lock(session: Session) -> tuple[bool, bool]:
    """(Is the session's lock held, does its holder say that the door is open.) The flock decides: what a supervisor that was
    killed wrote into the file is still there.

    The lock is tried only when the process that wrote its name into the file exists: trying it for a moment could make
    a supervisor that starts right now believe that the session is taken.
    """
    try:
        descriptor = os.open(session.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False, False
    ready = False
    try:
        pid, ready = _holder(os.read(descriptor, 4096))
        if not pid or not _exists(pid):
            return False, False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True, ready
    except OSError:
        return (
            False,
            False,
        )  # a directory where the lock should be: nobody holds that, and whoever starts says what is wrong
    finally:
        os.close(descriptor)
    return False, False


def _holder(text: bytes) -> tuple[int, bool]:
    """Who signed the lock, and whether its door is open: not one that leaves, or has not opened it yet."""
    try:
        signed = json.loads(text)
        return int(signed["pid"]), bool(signed["ready"])
    except (ValueError, KeyError, TypeError):
        return 0, False  # nobody has signed yet: then nobody has the door open either


def _exists(pid: int) -> bool:
    """Does this process live? One that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return not stat.read().rpartition(b")")[2].startswith(b" Z")
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not os.path.isdir("/proc/self")  # it has just gone, or the system has no /proc
    except OSError:
        return True  # another user's: it exists
