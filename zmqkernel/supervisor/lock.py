"""The lock of a session: whoever holds the flock is its supervisor.

The flock decides; the text in the file only explains, and tells whether the door is open. In one case it decides as well: a
flock may not reach another machine that has the same directory, so a text of another machine that did not leave is refused.
It is taken before any bind or unlink: a second bind on a live ipc path would succeed and steal it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from ..protocol.errors import LockHeld, NotAllowed, ZmqKernelError
from .death import start_time
from .log import log

STARTING_SECONDS = 60.0
"""A supervisor of another machine that has not opened its door within this time has died while it started."""


class Lock:
    """Held from :meth:`take` until the process ends; children do not inherit it.

    The text is JSON: ``pid``, ``process_started`` (clock ticks since the machine started), ``pid_ns``, ``boot_id``,
    ``machine_id``, ``hostname``, ``started`` (Unix time), ``ready``: the door is open, and ``left`` (Unix time; 0: not): the
    supervisor has left on purpose.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._started = 0.0
        self._was_ready = False

    def take(self) -> None:
        """Take the lock. LockHeld when another supervisor has it, on this machine or another; NotAllowed or ZmqKernelError when
        the file cannot be a lock."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _refuse_other_machine(_decode(os.read(descriptor, 4096)), self._path)
        except BlockingIOError:
            os.close(descriptor)
            raise LockHeld("another supervisor has this session") from None
        except OSError as error:
            os.close(descriptor)
            raise _no_lock(self._path, error) from None
        except ZmqKernelError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._started = time.time()
        try:
            self._write(ready=False, left=0.0)
        except OSError as error:
            raise _no_lock(self._path, error) from None

    def note(self, ready: bool) -> None:
        """Write who we are. Not ready after having been ready: we are leaving."""
        self._was_ready = self._was_ready or ready
        self._write_if_possible(ready, left=self._was_ready and not ready)

    def leave(self) -> None:
        """Write that the session is free, also for other machines, though its door never opened."""
        self._write_if_possible(ready=False, left=True)

    def is_in_place(self) -> bool:
        """Is the file that we hold still the one that others look at? False: somebody has removed it or the state directory, and
        another supervisor may start. Costs two looks at a file."""
        try:
            there, ours = os.stat(self._path), os.fstat(self._descriptor)
        except OSError:
            return False  # removed, or the disk is gone
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _write_if_possible(self, ready: bool, left: bool) -> None:
        try:
            self._write(ready, time.time() if left else 0.0)
        except OSError as error:
            # The flock is what holds the session; the disk may be full or gone just now.
            log(f"lock: cannot write {self._path}: {error}")

    def _write(self, ready: bool, left: float) -> None:
        holder = {**_who(), "started": self._started, "ready": ready, "left": left}
        text = json.dumps(holder).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def take_or_find_ready(self, seconds: float) -> bool:
        """True: taken. False: another supervisor has it and its door is open. LockHeld after ``seconds`` of neither
        (one that starts or leaves holds the lock without being ready), and at once when another machine has it."""
        deadline = time.monotonic() + seconds
        seen = 0
        while True:
            try:
                self.take()
            except LockHeld as error:
                if error.hint:
                    raise  # another machine's: waiting does not help
                holder = self._holder()
                seen = seen + 1 if holder.get("ready") else 0
                if seen and (_lives(holder) or seen > 2):
                    return False
                if time.monotonic() > deadline:
                    raise LockHeld(
                        f"another supervisor has this session and does not open its door{_process(holder)}",
                        hint=f"See supervisor.log beside {self._path}.",
                    ) from None
                time.sleep(0.005)
            else:
                return True

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise _no_lock(self._path, error) from None
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            os.close(descriptor)
            raise NotAllowed(f"{self._path} is not a file", hint=f"Move it away: mv {self._path} {self._path}.old")
        if info.st_uid != os.geteuid():
            os.close(descriptor)
            raise NotAllowed(
                f"{self._path} belongs to another user (uid {info.st_uid})",
                hint="Set XDG_STATE_HOME to a directory of your own.",
            )
        return descriptor

    def _holder(self) -> dict[str, Any]:
        try:
            return _decode(self._path.read_bytes())
        except OSError:
            return {}  # it is gone just now: the caller asks again


def _who() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "process_started": start_time(os.getpid()),
        "pid_ns": _inode("/proc/self/ns/pid"),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "machine_id": _text("/etc/machine-id"),
        "hostname": os.uname().nodename,
    }


def _decode(text: bytes) -> dict[str, Any]:
    """Who signed; empty for a new file and for one that is torn: then nobody who lives has it."""
    try:
        holder = json.loads(text)
    except ValueError:
        return {}  # it is being written just now, or a power failure tore it
    return holder if isinstance(holder, dict) else {}


def _lives(holder: dict[str, Any]) -> bool:
    """Is the process that signed certainly there? False also when nobody can tell: its pid is one of another namespace.

    Without it a flock that somebody tries for a moment, just to see whether it is free, would pass for a supervisor's.
    """
    me = _who()
    same = all(holder.get(key) == me[key] for key in ("boot_id", "pid_ns"))
    return same and bool(started := holder.get("process_started")) and start_time(_number(holder, "pid")) == started


def _refuse_other_machine(holder: dict[str, Any], path: Path) -> None:
    """Raise LockHeld when the text is another machine's, and that has not left."""
    if holder.get("left") or not holder.get("pid") or not (holder.get("boot_id") or holder.get("hostname")):
        return  # nobody has it
    me = _who()
    if holder.get("boot_id") == me["boot_id"]:
        return  # the same Linux, perhaps another container: its flock would have reached us
    if holder.get("machine_id") or me["machine_id"]:
        if holder.get("machine_id") == me["machine_id"]:
            return  # this machine, before it was started again
    elif holder.get("hostname") == me["hostname"]:
        return
    age = time.time() - _number(holder, "started")
    if not holder.get("ready") and abs(age) > STARTING_SECONDS:
        return
    host = holder.get("hostname") or f"the machine {holder.get('machine_id') or holder.get('boot_id')}"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(_number(holder, "started")))
    raise LockHeld(
        f"the session is open on {host}{_process(holder)}, since {since}",
        hint=f"Shut it down there: zmqkernel shutdown. If that machine is gone for good, remove {path}",
    )


def _process(holder: dict[str, Any]) -> str:
    return f" (process {holder['pid']})" if holder.get("pid") else ""


def _number(holder: dict[str, Any], key: str) -> int:
    value = holder.get(key)
    return int(value) if isinstance(value, int | float) else 0


def _no_lock(path: Path, error: OSError) -> ZmqKernelError:
    """What a person can do about a file that cannot be opened, locked or written."""
    if error.errno == errno.ELOOP:
        return NotAllowed(f"{path} is a symbolic link", hint=f"Remove it: rm {path}")
    if error.errno in (errno.EISDIR, errno.ENXIO):
        return NotAllowed(f"{path} is not a file", hint=f"Move it away: mv {path} {path}.old")
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowed(f"{path} may not be opened: {error.strerror}", hint=f"Whose is it? ls -l {path}")
    if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
        return ZmqKernelError(
            f"the file system of {path} has no locks: {error.strerror}", hint="Set XDG_STATE_HOME to a local disk."
        )
    return ZmqKernelError(
        f"{path} cannot be written: {error.strerror}",
        hint="The session keeps its journal there: make room, or set XDG_STATE_HOME to a disk that can be written.",
    )


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""  # only an explanation: without it the lock works as well


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0  # as above
