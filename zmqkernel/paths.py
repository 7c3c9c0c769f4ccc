"""Where things live, and that nobody else can touch them.

* state:   ``$XDG_STATE_HOME/zmqkernel/<session id>/`` (journal, lock, connection file, ring): survives everything.
* sockets: ``$ZMQKERNEL_SOCKET_DIR`` or ``/tmp/zmqkernel-<uid>``: short, because a unix socket path ends at 107 bytes, and not
  in ``$XDG_RUNTIME_DIR``, which is removed at logout.
* Jupyter's runtime directory, where ``jupyter console --existing`` looks.

Directories are made 0700 and refused when somebody else owns them or others may enter.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from pathlib import Path

from .protocol.errors import NotAllowed, ZmqKernelError

PROJECT_MARKS = ("pyproject.toml", ".git")


def state_dir() -> Path:
    """The directory of all sessions of this user (not made here)."""
    root = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(root) / "zmqkernel"


def socket_root() -> Path:
    """The directory of all sockets of this user (not made here)."""
    return Path(os.environ.get("ZMQKERNEL_SOCKET_DIR") or f"/tmp/zmqkernel-{os.getuid()}")


def jupyter_runtime_dir() -> Path:
    """Where Jupyter keeps connection files (the rules of jupyter_core.paths on Linux and macOS)."""
    explicit = os.environ.get("JUPYTER_RUNTIME_DIR")
    if explicit:
        return Path(explicit)
    data = os.environ.get("JUPYTER_DATA_DIR")
    if not data:
        home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        data = os.path.join(home, "jupyter")
    return Path(data) / "runtime"


def private_dir(path: Path) -> Path:
    """Make ``path`` (and its parents) with mode 0700, or check that it is ours and closed. NotAllowed says why not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        check_private(path)
    return path


def check_private(path: Path) -> None:
    """Raise NotAllowed unless ``path`` is a directory of this user, without a link, that nobody else can enter."""
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode):
        raise NotAllowed(f"{path} is not a directory", hint=f"Remove it: rm {path}")
    if info.st_uid != os.getuid():
        raise NotAllowed(
            f"{path} belongs to another user (uid {info.st_uid})",
            hint="Set ZMQKERNEL_SOCKET_DIR and XDG_STATE_HOME to directories of your own.",
        )
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise NotAllowed(f"others may enter {path}", hint=f"Close it: chmod 700 {path}")


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, with mode 0600; a reader sees the old or the new text, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def remove_tree(path: Path) -> None:
    """Remove a directory of ours and what is in it, if it is there."""
    if path.is_dir():
        import shutil  # late: it is rarely needed where start-up counts

        shutil.rmtree(path, ignore_errors=True)


def punch(file: int, start: int, end: int) -> None:
    """Give the blocks between two offsets of an open file back to the file system, where it can; the offsets stay as they are."""
    import ctypes  # late: it is needed only where much was written

    keep_size, punch_hole = 1, 2
    try:
        fallocate = ctypes.CDLL(None).fallocate64
    except AttributeError:
        return  # no glibc on Linux: the file only grows
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    fallocate(file, keep_size | punch_hole, start, end - start)


def project_of(path: Path) -> Path:
    """The nearest folder with ``pyproject.toml`` or ``.git`` at or above ``path``, else ``path`` (a file's folder)."""
    folder = path if path.is_dir() else path.parent
    folder = Path(os.path.realpath(folder))
    for candidate in (folder, *folder.parents):
        if candidate != Path.home() and any((candidate / mark).exists() for mark in PROJECT_MARKS):
            return candidate
    return folder


class Session:
    """The identity of a session, (project path, name), and the places that belong to it."""

    def __init__(self, project: Path, name: str) -> None:
        self.project = project
        self.name = name
        # A checksum tells sessions apart well enough (the record in the directory is compared), and hashlib costs 8 ms.
        digest = format(zlib.crc32(f"{project}\0{name}".encode()), "08x")
        self.id = f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:40]}-{digest}"
        self.directory = state_dir() / self.id
        self.sockets = socket_root() / digest
        self.lock_file = self.directory / "lock"
        self.connection_file = self.directory / f"kernel-{self.id}.json"
        self.settings_file = self.directory / "session.json"
        self.log_file = self.directory / "supervisor.log"
        self.link_dir = self.directory / "link"
        self.jupyter_file = jupyter_runtime_dir() / f"kernel-zmqkernel-{self.id}.json"

    @classmethod
    def at(cls, path: Path, name: str | None = None) -> Session:
        """The session for a file or directory: (its project, ``name`` or the project folder's name)."""
        project = project_of(path)
        if not name and (project == Path.home() or project == Path(project.anchor)):
            raise ZmqKernelError(
                f"a session in {project} needs a name",
                hint="Give a NAME: zmqkernel list shows them, zmqkernel start NAME makes one. Or cd into a project.",
            )
        return cls(project, name or project.name)

    def __repr__(self) -> str:
        return f"Session({str(self.project)!r}, {self.name!r})"
