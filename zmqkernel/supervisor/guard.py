"""What clients look for on disk: the connection files and the sockets. Somebody may clean them up while the session lives."""

from __future__ import annotations

from ..paths import Session, private_dir, write_private
from ..protocol.connection import ConnectionInfo
from ..protocol.errors import RemoteProtocolError, ZmqKernelError
from .doors import Doors
from .log import log


def guard(session: Session, doors: Doors, info: ConnectionInfo) -> None:
    """Make again what has gone."""
    try:
        private_dir(session.sockets.parent)
        private_dir(session.sockets)
        for door in doors.all:
            if door.rebind():
                log("door: somebody had removed its sockets; they are there again")
        if not (session.connection_file.exists() and session.jupyter_file.exists()):
            publish_connection_file(session, info)
    except (OSError, ZmqKernelError) as error:
        log(f"door: cannot be made again: {error}")  # tried again in five seconds


def key_of(session: Session) -> str:
    """The key of a supervisor that died: clients that are still there reconnect with it. A shutdown removes its file."""
    try:
        return ConnectionInfo.decode(session.connection_file.read_bytes()).key
    except (OSError, RemoteProtocolError):
        return ""  # there is none, or it was torn by a power failure: then nobody has the key either


def publish_connection_file(session: Session, info: ConnectionInfo) -> None:
    """Write the connection file, and its copy where Jupyter looks."""
    text = info.encode()
    write_private(session.connection_file, text)
    try:
        session.jupyter_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(session.jupyter_file, text)
    except OSError as error:
        # Only `jupyter console --existing` without a path looks there: the session works without it.
        log(f"no connection file for Jupyter at {session.jupyter_file}: {error}")
