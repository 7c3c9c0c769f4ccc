"""What comes before anything heavy is imported: the lock, the directories, and starting the kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..paths import Session, private_dir, remove_tree, socket_root
from .lifeline import Kernel
from .lock import Lock
from .log import log
from .process import KernelSettings, check_python
from .record import SessionRecord

READY_SECONDS = 20.0
"""How long another supervisor of this session may take to open its door, or to leave."""


def run(session: Session, settings: dict[str, str], writer: int, notice: str) -> None:
    """Be the supervisor of ``session``; ``writer`` is the pipe on which whoever called waits for one line of JSON.

    ``notice`` is for the log: what logging out will do.
    """
    private_dir(session.directory.parent)
    private_dir(session.directory)
    lock = Lock(session.lock_file)
    if not lock.take_or_find_ready(READY_SECONDS):
        answer(writer, session)
        return
    try:
        detach_output(session.log_file)
        if notice:
            log(notice)
        os.chdir("/")  # the caller's directory may be on a disk that somebody wants to unmount
        record, kernel = _with_kernel(session, settings)
        from .app import start  # only now: msgspec and zmq take as long as the kernel's first steps

        supervisor = start(session, record, kernel, lock)
    except BaseException:
        lock.leave()
        raise
    answer(writer, session)
    supervisor.run()


def _with_kernel(session: Session, settings: dict[str, str]) -> tuple[SessionRecord, Kernel]:
    """The kernel that a dead supervisor has left, or a new one that was just started, or none where none is wanted."""
    private_dir(socket_root())
    record = SessionRecord.open(session, settings)
    kernel = Kernel(session, KernelSettings(record.python, record.kernel, record.cwd, record.restart))
    if not kernel.take_over():
        remove_tree(session.sockets)  # the lock says that nobody lives there
        if "no-kernel" not in settings:
            if record.python:
                check_python(record.python)
            kernel.spawn()
    private_dir(session.sockets)
    return record, kernel


def answer(writer: int, session: Session) -> None:
    """Tell whoever called that the door is open."""
    text = json.dumps({"status": "ok", "connection_file": str(session.connection_file)})
    os.write(writer, text.encode())
    os.close(writer)


def detach_output(log_file: Path) -> None:
    """Let go of the caller's terminal: standard input is empty, what is said goes into the log."""
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
