"""``python -m zmqkernel.hosted -f FILE``: what a Jupyter kernel manager starts to get a kernel that outlives it.

This process is no kernel. It finds the session (and starts it when it does not run), asks its supervisor to serve the
manager's endpoints as a second door, and then only stands for the kernel in the manager's process table: SIGINT interrupts
the running cell, SIGTERM lets go, SIGKILL of its whole group harms nothing. It ends with the manager. When somebody kills the
supervisor it brings it back and has the endpoints served again.

Which session: the project of the working directory, and as name ``$ZMQKERNEL_NAME``, else one made from the notebook's path.
A manager that names neither (nbclient, papermill) gets a session of its own that ends with it.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from .client import discovery
from .client.blocking import Client
from .paths import Session
from .protocol.errors import RemoteProtocolError, Unreachable, ZmqKernelError
from .protocol.messages import ServeRequest

USAGE = "usage: python -m zmqkernel.hosted -f CONNECTION_FILE [--Class.name=value ...]"
OPTIONS = "ZMQKERNEL_OPTIONS"
"""How what a manager wants set in IPython gets to the kernel of a session that is new: a JSON list in the environment."""
FEATURE = "zmqkernel.serve"
SENDER = "jupyter"

MANAGERS = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "ZMQKERNEL_NAME")
"""Environment of this process and of nothing below it: a kernel that a cell starts with Jupyter would believe that it is of
this manager and of this notebook."""

AGAIN_SECONDS = 1.0
LONGEST_SECONDS = 30.0
"""The time between attempts to bring a supervisor back: the first, and what doubling it ends at."""

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


# --- which session --------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """The session of a manager's kernel, a token for whose kernel it is, and whether it ends with its manager."""

    session: Session
    owner: str
    ephemeral: bool


def place_of(file: Path, connection: dict[str, Any], cwd: Path, environment: dict[str, str]) -> Place:
    """Decide for the manager that wrote the connection file ``file``."""
    notebook = notebook_of(session_name(connection, environment), cwd)
    owner = str(notebook or file)
    if name := environment.get("ZMQKERNEL_NAME"):
        return Place(Session.at(cwd, name), owner, False)
    if notebook:
        project = Session.at(cwd, "any").project
        return Place(Session(project, name_for(notebook, project)), owner, False)
    stem = file.stem.removeprefix("kernel-")
    return Place(Session.at(cwd, f"jupyter-{stem}"), owner, True)


def session_name(connection: dict[str, Any], environment: dict[str, str]) -> str:
    """What the manager calls its session; empty when it has no name for it.

    jupyter_client writes into the connection file what a Jupyter server put into the environment. Without that the
    environment counts, unless the manager has the same in its own: then it is of the notebook in which the manager runs.
    """
    if "jupyter_session" in connection:
        return str(connection["jupyter_session"])
    name = environment.get("JPY_SESSION_NAME", "")
    if name and f"JPY_SESSION_NAME={name}".encode() in _environment_of(os.getppid()):
        return ""
    return name


def notebook_of(name: str, cwd: Path) -> Path | None:
    """The path of the document that a Jupyter server's session name stands for, None when it is no document.

    The name is the notebook's path, or relative to the server's root, which we do not know; then the notebook is in the
    working directory, where a server starts its kernel. Consoles are called ``Console 1``, and VS Code gives each of its
    sessions a file name of its own with a uuid in it: those are nobody's to come back to.
    """
    path = Path(name.rpartition(":")[2] if ":" in name and not name.startswith("/") else name)  # "RTC:a.ipynb": a drive
    if not path.suffix or _UUID.search(path.name):
        return None
    return Path(os.path.realpath(path if path.is_absolute() else cwd / path.name))


def name_for(notebook: Path, project: Path) -> str:
    """The session's name: the notebook's, with a checksum where another document could have the same one."""
    stem = re.sub(r"[^\w.+]+", "-", notebook.stem).strip("-.") or "notebook"
    alone = notebook == project / f"{stem}.ipynb" and stem != project.name and not stem.endswith(".json")
    if alone:
        return stem
    try:
        place = notebook.relative_to(project)
    except ValueError:
        place = notebook  # a project that only the working directory belongs to
    return f"{stem}-{zlib.crc32(str(place).encode()):08x}"


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it is gone, or another user's: then what we were given was given on purpose


def read_connection(file: Path) -> dict[str, Any]:
    """The manager's connection file. ZmqKernelError when it is none, or asks for what we cannot do."""
    try:
        connection = json.loads(file.read_bytes())
    except OSError as error:
        raise Unreachable(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise RemoteProtocolError(f"{file} is not a Jupyter connection file: {error}") from None
    if "curve_secretkey" in connection:
        raise RemoteProtocolError(
            "this manager wants encrypted channels (CurveZMQ), and the kernel zmqkernel-session has none",
            hint="Set transport_encryption of the kernel manager to 'disabled' or 'auto'.",
        )
    return connection


# --- the process ----------------------------------------------------------------------------------------------------


class Watch:
    """Signals and the ends of processes, as something to wait for without waking up."""

    def __init__(self) -> None:
        self.leaving = False
        """Somebody told us to end, or the manager has."""
        self.interrupted = False
        self._wake, writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(writer, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._manager = self._watch_parent()

    def wait(self, supervisor: int | None = None, seconds: float | None = None) -> bool:
        """Wait until there is a signal, the manager ends, ``seconds`` pass or the process behind the pidfd ``supervisor``
        ends; True for the last of these."""
        poll = select.poll()
        for source in (self._wake, self._manager, supervisor):
            if source is not None:
                poll.register(source, select.POLLIN)
        ready = {source for source, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self._wake in ready:
            os.read(self._wake, 4096)
        self.leaving = self.leaving or self._manager in ready
        return supervisor in ready

    def _signalled(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            self.interrupted = True
        else:
            self.leaving = True

    def _watch_parent(self) -> int | None:
        """A pidfd of whoever started us, if it wants its kernels to end with it (jupyter_client says so in this way)."""
        wanted = os.environ.get("JPY_PARENT_PID")
        if not wanted:
            return None
        parent = os.getppid()
        if parent == 1 and wanted != "1":
            self.leaving = True  # it has ended already
            return None
        try:
            return os.pidfd_open(parent)
        except OSError:
            self.leaving = os.getppid() != parent
            return None  # no pidfd here: then a manager that was killed leaves this process behind


class Host:
    """One manager's kernel: a session, and its second door."""

    def __init__(self, file: Path, options: list[str], watch: Watch) -> None:
        self._file = file
        self._options = options
        self._watch = watch
        self._connection = read_connection(file)
        self._place = place_of(file, self._connection, Path.cwd(), dict(os.environ))
        for name in MANAGERS:
            os.environ.pop(name, None)

    def run(self) -> None:
        """Until the manager, a signal or the end of the session says so."""
        created = self._start()
        try:
            supervisor = None if self._watch.leaving else self._serve(created)
        except ZmqKernelError:
            if created:
                self._end()
            raise
        if supervisor is None and created:
            self._end()
        while supervisor is not None and not self._watch.leaving:
            ended = self._watch.wait(supervisor)
            interrupted, self._watch.interrupted = self._watch.interrupted, False
            if interrupted and not ended:
                self._interrupt()
            if ended:
                os.close(supervisor)
                supervisor = self._serve_again()

    def _start(self) -> bool:
        """Let the session run; True when it is new, or begins anew after a shutdown."""
        session = self._place.session
        if discovery.is_alive(session):
            return False
        found = [one for one in discovery.sessions() if one.session.id == session.id]
        os.environ[OPTIONS] = json.dumps(self._options)
        discovery.start(session, cwd=os.getcwd())
        return not found or found[0].file.closed

    def _serve(self, created: bool) -> int:
        """Have the manager's endpoints served; a pidfd of the supervisor that does."""
        place = self._place
        with Client.connect(place.session, sender=SENDER) as client:
            if FEATURE not in client.kernel_info().supported_features:
                raise RemoteProtocolError(
                    f"the session {place.session.name!r} was started by an older zmqkernel",
                    hint=f"End it, then start this kernel again: zmqkernel shutdown {place.session.name}",
                )
            supervisor = os.pidfd_open(client.info().supervisor_pid)
            try:
                client.serve(
                    ServeRequest(
                        connection={
                            key: value for key, value in self._connection.items() if isinstance(value, str | int)
                        },
                        owner=place.owner,
                        created=created,
                        pid=os.getpid(),
                        ephemeral=place.ephemeral,
                        file=str(self._file),
                    )
                )
            except ZmqKernelError:
                os.close(supervisor)
                raise
        return supervisor

    def _serve_again(self) -> int | None:
        """The supervisor has ended. None when the session was shut down, or when we are to leave."""
        pause, said = AGAIN_SECONDS, False
        while not self._watch.leaving:
            if discovery.revive(self._place.session) == "closed":
                return None
            try:
                return self._serve(False)
            except (ZmqKernelError, OSError) as error:
                # It is being started by somebody else, died again, or cannot start now: the manager's clients wait for it.
                if not said and pause > AGAIN_SECONDS:
                    _say(f"the session {self._place.session.name!r} does not come back yet: {error}")
                    said = True
            self._watch.wait(seconds=pause)
            pause = min(2 * pause, LONGEST_SECONDS)
        return None

    def _interrupt(self) -> None:
        try:
            with Client.connect(self._place.session, start=False, sender=SENDER) as client:
                client.interrupt()
        except ZmqKernelError as error:
            _say(f"cannot interrupt: {error}")

    def _end(self) -> None:
        """End the session that was started for nothing."""
        try:
            with Client.connect(self._place.session, start=False, sender=SENDER) as client:
                client.shutdown()
        except ZmqKernelError:
            pass  # what went wrong before this is what the manager must be told


def _say(text: str) -> None:
    print(f"zmqkernel: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Host one kernel; the exit code."""
    if len(arguments) < 2 or arguments[0] != "-f":
        _say(USAGE)
        return 2
    try:
        watch = Watch()
        Host(Path(os.path.abspath(arguments[1])), arguments[2:], watch).run()
    except ZmqKernelError as error:
        _say(f"{error}. {error.hint}".rstrip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
