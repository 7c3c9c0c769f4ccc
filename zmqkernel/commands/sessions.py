"""Finding, starting and asking sessions for the commands."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..client import discovery
from ..client.blocking import Client
from ..client.discovery import Found, SessionState
from ..config import Config
from ..paths import Session
from ..protocol.errors import ZmqKernelError
from ..protocol.messages import SessionInfoReply
from . import listing
from .running import held_in, sender_in, terminal_name

LIST_SECONDS = 1.0
"""How long ``list`` waits for a session that does not answer."""

END_SECONDS = 15.0
"""How long a supervisor may take to be gone after it answered a shutdown."""


def start(
    name: str | None, config: Config, python: str, kernel: str, cwd: str, *, restart: bool
) -> tuple[SessionState, bool]:
    """Start a session in the project of the working directory: (its state, was it up already)."""
    session, alive = discovery.find_or_new(name)
    if not alive:
        _start(session, config, python, kernel, cwd, restart=restart)
    with Client.connect(session, sender=terminal_name(), timeout=config.timeout) as client:
        return state_from(client.info()), alive


def open_client(target: str | None, config: Config, where: Path | None = None) -> Client:
    """A client of a session that can run code: started when it does not run, restarted when it has no kernel.

    ``target`` is a name, a connection file, or None for the session of the project around ``where`` (default: the
    working directory).
    """
    if target and discovery.is_connection_file(target):
        return Client.connect(Path(target), sender=terminal_name(), timeout=config.timeout)
    session, alive = discovery.find_or_new(target, where)
    if not alive:
        before = session.settings_file.exists()
        _start(session, config)
        said = f"started session {session.name} again" if before else f"started a new session {session.name}"
        print(f"{said} in {session.project}", file=sys.stderr)
    return Client.connect(session, sender=terminal_name(), timeout=config.timeout)


def open_running(target: str | None, config: Config) -> Client:
    """A client of a session that runs. NoSuchSession when it does not."""
    known: Path | str | None = target
    if target and discovery.is_connection_file(target):
        known = Path(target)
    return Client.connect(known, start=False, sender=terminal_name(), timeout=config.timeout)


def open_journal(target: str | None, config: Config) -> Client:
    """A client of a session for reading; a session that does not run gets a supervisor without a kernel."""
    if target and discovery.is_connection_file(target):
        return open_running(target, config)
    found = discovery.find(target)
    if not found.alive:
        discovery.open_journal(found.session)
    return Client.connect(found.session, start=False, sender=terminal_name(), timeout=config.timeout)


def interrupt(target: str | None, config: Config) -> None:
    """Interrupt the running cell of a session."""
    with open_running(target, config) as client:
        client.interrupt()


def restart(target: str | None, config: Config) -> SessionState:
    """Give a session a new kernel; one that does not run is started."""
    if target and discovery.is_connection_file(target):
        client = open_running(target, config)
    else:
        found = discovery.find(target)
        if not found.alive:
            _start(found.session, config)
            return state_of(discovery.find(target), config.timeout)
        client = Client.connect(found.session, start=False, sender=terminal_name(), timeout=config.timeout)
    with client:
        client.restart()
        return state_from(client.info())


def resume(target: str | None, config: Config, *, drop: bool) -> dict[str, str]:
    """Run the cells that were kept when a kernel died, or forget them: their old msg_ids and the new ones.

    A session that does not run is started, one without a kernel gets one, but only when there is something to run.
    """
    with open_journal(target, config) as client:
        if drop or not client.info().held:
            return client.resume(drop=True).executions
    with open_client(target, config) as client:
        return client.resume().executions


def shutdown(target: str | None, config: Config) -> None:
    """End a session and wait until its supervisor is gone, so that it can be started again at once."""
    with open_running(target, config) as client:
        pid = client.info().supervisor_pid
        client.shutdown()
    deadline = time.monotonic() + END_SECONDS
    while _exists(pid):
        if time.monotonic() > deadline:
            raise ZmqKernelError(
                f"the supervisor {pid} does not end", hint="See supervisor.log beside its connection file."
            )
        time.sleep(0.01)


def states() -> list[SessionState]:
    """Every session of this user."""
    found = discovery.sessions()
    with ThreadPoolExecutor(max_workers=8) as threads:
        return list(threads.map(lambda one: state_of(one, LIST_SECONDS), found))


def info(target: str | None, config: Config) -> SessionState:
    """How one session is. NoSuchSession when there never was one."""
    if target and discovery.is_connection_file(target):
        with open_running(target, config) as client:
            return state_from(client.info())
    return state_of(discovery.find(target), config.timeout)


def described(target: str | None, config: Config) -> str:
    """How one session is, in words."""
    state = info(target, config)
    if state.state == "unknown" or not state.supervisor_pid:
        return listing.describe(state, None)
    with Client.connect(Path(state.connection_file), start=False, timeout=config.timeout) as client:
        live = client.info()
        sender = sender_in(client, live.running) if live.running else ""
        return listing.describe(state, live, sender, held_in(client, live.held))


def state_of(found: Found, seconds: float) -> SessionState:
    """Ask a live session, look up a dead one."""
    if not found.alive:
        return found.state()
    try:
        with Client(discovery.read_connection(found.session.connection_file), timeout=seconds) as client:
            return state_from(client.info())
    except ZmqKernelError:
        return found.state()  # it lives and does not answer: state "unknown" says so


def state_from(reply: SessionInfoReply) -> SessionState:
    """The fields that ``list --json`` shows."""
    return SessionState(**{name: getattr(reply, name) for name in SessionState.__struct_fields__})


def names() -> list[str]:
    """The names of all sessions, for shell completion."""
    return sorted({found.file.name for found in discovery.sessions()})


def _start(
    session: Session, config: Config, python: str = "", kernel: str = "", cwd: str = "", *, restart: bool = True
) -> None:
    """Start with what is given, else as the last time, else (a new session) as the settings say."""
    new = not session.settings_file.exists()
    discovery.start(
        session,
        python=_place(python or (config.python if new else "")),
        kernel=kernel or (config.kernel if new else ""),
        cwd=os.path.abspath(os.path.expanduser(cwd)) if cwd else "",
        restart=restart and config.restart,
    )


def _place(executable: str) -> str:
    """An interpreter as the supervisor finds it too: a path from here made absolute, a link kept (a venv is one)."""
    return os.path.abspath(os.path.expanduser(executable)) if "/" in executable else executable


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
