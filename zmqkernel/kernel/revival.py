"""A session's kernel that has lost its supervisor starts the next one.

The kernel goes on without a supervisor, but nobody can reach it: so it runs the command that the last supervisor has left in
``supervisor.json`` of the link directory. The new one takes the kernel over (``adopt_request``). A client that notices may
be faster; the session's lock decides, and who comes second hears that the door is open.

User code lives in this process, so nothing here relies on what it may have changed by then: ``subprocess``, ``threading``
and ``os`` may be patched (gevent does), SIGCHLD ignored, and our child reaped by the user's ``os.waitpid(-1)``.
"""

from __future__ import annotations

import os
import signal
import time

# As they are now, before user code can replace them.
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Sequence
from fcntl import F_DUPFD_CLOEXEC, fcntl
from os import WNOHANG, close, get_inheritable, listdir, pidfd_open, pipe, posix_spawnp, read, waitpid
from pathlib import Path
from select import POLLIN, poll

import msgspec

from . import log

DELAYS = (0.0, 1.0, 5.0, 30.0, 120.0, 300.0)
"""Seconds before the first try, the second, ...; the last for all that follow."""
ADOPTION = 60.0
"""Seconds after which a door that is open, but whose supervisor has not come for this kernel, is asked for again."""
STEADY = 60.0
"""Seconds: when a supervisor that lived shorter dies, the delays go on where they were."""
START = 120.0
"""Seconds that a start may take."""
LINE = 64 * 1024
"""Most bytes of an answer that are read."""

# All of them: the child must not inherit that the io thread blocks SIGINT, or what user code ignores.
_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class Supervisor(msgspec.Struct):
    """``supervisor.json``: how to start the next one, with exactly this environment; ``pid`` is the one that wrote it, or 0."""

    argv: list[str] = []
    env: dict[str, str] = {}
    pid: int = 0


class Answer(msgspec.Struct):
    """The line that a supervisor's start prints."""

    status: str = ""
    message: str = ""


class Revival:
    """Starts supervisors of one link directory while there is none. Every method returns at once."""

    def __init__(self, directory: Path, delays: Sequence[float] = DELAYS) -> None:
        self._file = directory / "supervisor.json"
        self._delays = delays
        self._tries = 0
        self._adopted_at = float("-inf")
        self._ended = False
        self._over: LockType | None = None
        """Held while the thread runs; whoever releases it ends the thread."""

    def supervisor(self) -> int:
        """The process that watches over this kernel now, while it starts: 0 when that has ended already.

        Without ``supervisor.json`` it is the parent. With it, the parent may be a program that wraps the interpreter, or, after
        the supervisor's death, whoever takes in orphans; and the number may have been given to another process meanwhile.
        """
        try:
            pid = read_file(self._file).pid
        except (OSError, ValueError):
            pid = 0  # not written yet: then the supervisor lives
        if not pid:
            return os.getppid()
        try:
            return pid if began(pid) <= began(os.getpid()) else 0
        except OSError:
            return 0

    def begin(self) -> None:
        """The supervisor has ended: start the next, unless the session ends."""
        if self._ended or self._over is not None:
            return
        if time.monotonic() - self._adopted_at >= STEADY:
            self._tries = 0
        self._over = allocate_lock()
        self._over.acquire()
        start_new_thread(self._run, (self._over,))

    def adopted(self) -> None:
        """A supervisor has come."""
        self._adopted_at = time.monotonic()
        self._stop()

    def end(self) -> None:
        """This kernel was told to leave: nobody is started from now on."""
        self._ended = True
        self._stop()

    def _stop(self) -> None:
        over, self._over = self._over, None
        if over is not None:
            over.release()

    def _run(self, over: LockType) -> None:
        told = ""
        wait = self._next_delay()
        while not over.acquire(timeout=wait):
            try:
                trouble = start(read_file(self._file))
            except Exception as error:  # noqa: BLE001 - the boundary of this thread: whatever it was, the next try may do better
                trouble = f"{type(error).__name__}: {error}"
            if trouble and trouble != told:
                log.say(f"the session's supervisor has ended, and starting the next one failed: {trouble}")
            told = trouble
            wait = self._next_delay() if trouble else ADOPTION

    def _next_delay(self) -> float:
        delay = self._delays[min(self._tries, len(self._delays) - 1)]
        self._tries += 1
        return delay


def read_file(path: Path) -> Supervisor:
    """Read ``supervisor.json``. Raises OSError, or ValueError when it is something else."""
    return msgspec.json.decode(path.read_bytes(), type=Supervisor)


def start(supervisor: Supervisor, seconds: float = START) -> str:
    """Run the command until it has said that the door is open; an empty string, or why it is not.

    It runs in a session of its own and inherits nothing: no descriptor, no signal mask, no environment.
    """
    if not supervisor.argv:
        return "supervisor.json has no argv"
    reader, low = pipe()
    # Above 2: user code may have closed one of the three that are replaced below.
    writer = fcntl(low, F_DUPFD_CLOEXEC, 3)
    close(low)
    try:
        try:
            pid = posix_spawnp(
                supervisor.argv[0],
                supervisor.argv,
                supervisor.env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                    *((os.POSIX_SPAWN_CLOSE, number) for number in inheritable()),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=_SIGNALS,
            )
        finally:
            close(writer)
        return _answer(pid, reader, time.monotonic() + seconds)
    finally:
        close(reader)


def inheritable() -> list[int]:
    """Descriptors above 2 that a child would get: C code, or user code that asked for it, has opened them."""
    found: list[int] = []
    for name in listdir("/dev/fd"):
        try:
            if int(name) > 2 and get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # that of the listing itself, or closed by another thread just now
    return found


def began(pid: int) -> int:
    """When a process began, in clock ticks since the machine's start. Raises OSError when there is none."""
    text = Path(f"/proc/{pid}/stat").read_bytes()
    return int(text.rpartition(b")")[2].split()[19])  # the name in parentheses may hold anything


def _answer(pid: int, reader: int, deadline: float) -> str:
    ends = -1
    try:
        ends = pidfd_open(pid)
    except OSError:
        pass  # it has ended, and user code reaped it: what it said is in the pipe
    try:
        text = _text(reader, deadline)
        if ends >= 0 and not _readable(ends, deadline):
            signal.pidfd_send_signal(ends, signal.SIGKILL)
            _readable(ends, deadline + 5.0)
    finally:
        if ends >= 0:
            close(ends)
    status = _status(pid)
    try:
        answer = msgspec.json.decode(text.strip(), type=Answer)
    except ValueError:
        answer = Answer(message=f"it says {text[:200]!r}")
    if answer.status == "ok" and not status:
        return ""
    return answer.message or f"exit status {status}"


def _text(reader: int, deadline: float) -> bytes:
    """What is written up to the end, a whole line or the deadline."""
    text = b""
    while len(text) < LINE and not text.endswith(b"\n") and _readable(reader, deadline):
        data = read(reader, 4096)
        if not data:
            break
        text += data
    return text


def _readable(descriptor: int, deadline: float) -> bool:
    poller = poll()
    poller.register(descriptor, POLLIN)
    return bool(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _status(pid: int) -> int:
    """Its wait status; 0 when somebody else has reaped it, or nobody could."""
    try:
        return waitpid(pid, WNOHANG)[1]
    except ChildProcessError:
        return 0  # user code waits for every child, or ignores SIGCHLD
