"""The kernel process: starting it, signalling it, and saying why it ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from ..protocol.errors import ZmqKernelError
from .death import Death, exit_status, start_time, stat_fields
from .oom import OomEvidence

OWN = "zmqkernel"
"""The kernel spec that means our own kernel."""

_WHOLE_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h


class KernelSettings:
    """How the kernels of this session are started."""

    def __init__(self, python: str, kernel: str, cwd: str, restart: bool) -> None:
        self.python, self.kernel, self.cwd, self.restart = python, kernel, cwd, restart


class KernelProcess:
    """One kernel process, leader of its own process group and session."""

    def __init__(self, argv: list[str], cwd: str, environment: dict[str, str], directory: Path) -> None:
        """Start ``argv``; its standard output and error append to ``fd1`` and ``fd2`` in ``directory``."""
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(directory / "fd1"), append, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(directory / "fd2"), append, 0o600),
        ]
        back = os.getcwd()
        try:
            # subprocess takes as long to import as the supervisor has to lose; nobody else looks at our directory.
            os.chdir(cwd)
            pid = os.posix_spawnp(
                argv[0],
                argv,
                environment,
                file_actions=actions,
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        except OSError as error:
            raise ZmqKernelError(
                f"the kernel cannot be started: {error}", hint=f"Is {argv[0]} there, and {cwd} a directory?"
            ) from None
        finally:
            os.chdir(back)
        self._watch(pid, os.pidfd_open(pid), directory)

    def _watch(self, pid: int, pidfd: int, directory: Path) -> None:
        self.pid, self.pidfd = pid, pidfd
        self.started = start_time(pid)
        """In clock ticks since the machine started: with ``pid`` it names the process, whatever pids come again."""
        self._directory = directory
        self._killed = False
        self._oom = OomEvidence(pid)

    def interrupt(self) -> None:
        """SIGINT to the whole group: a child that runs for the cell gets it as in a terminal."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        self._killed = True
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def look(self) -> None:
        """Call it every few seconds: what the OOM killer did to others until now is not taken for the kernel's end."""
        self._oom.look()

    def _signal(self, number: signal.Signals) -> None:
        if self.pidfd < 0:
            return  # it has been let go
        try:
            try:
                # Not by number: when the whole group has ended, that may be somebody else's by now.
                signal.pidfd_send_signal(self.pidfd, number, None, _WHOLE_GROUP)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                os.killpg(self.pid, number)  # Linux before 6.9
        except ProcessLookupError:
            pass  # it has ended just now: the pidfd tells

    def poll(self) -> Death | None:
        """How it ended, or None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return self._death(os.waitstatus_to_exitcode(status)) if pid else None

    def _death(self, status: int | None) -> Death:
        fault, log = tail(self._directory / "fault"), tail(self._directory / "fd2")
        # Nobody is asked about an end that needs no explaining: the log of Linux may be long.
        asked = not self._killed and status in (None, -signal.SIGKILL)
        return Death(status, fault, log, self._oom.of_a_kill() if asked else None, self._killed)

    def close(self) -> None:
        """Let go of the process; what is left of its group has to be killed before."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class AdoptedProcess(KernelProcess):
    """The kernel of a supervisor that died: the same face, though we are not its parent. :func:`adopt` finds it."""

    def __init__(self, pid: int, directory: Path, started: int = 0) -> None:
        """ProcessLookupError unless ``pid`` is a living kernel whose command line names ``directory / "kernel.json"``, and
        which started at ``started`` (clock ticks, as in :attr:`started`; 0: any time)."""
        pidfd = os.pidfd_open(pid)  # first: what is found out below is then of this process, or it has ended
        if not _is_kernel(pid, str(directory / "kernel.json").encode(), started) or _has_ended(pidfd):
            os.close(pidfd)
            raise ProcessLookupError(f"process {pid} is not the kernel of {directory}")
        self._watch(pid, pidfd, directory)

    def poll(self) -> Death | None:
        """How it ended, or None while it lives. Takes up to 0.2 s when nobody tells the status."""
        return self._death(exit_status(self.pidfd, self.pid)) if _has_ended(self.pidfd) else None


def adopt(directory: Path, pid: int = 0, started: int = 0) -> AdoptedProcess | None:
    """The living kernel of a link directory: ``pid`` if that is it, else whoever is found in ``/proc``; None: there is none.

    A process id alone decides nothing. A kernel in another pid namespace is not seen.
    """
    if pid and (known := _try(pid, directory, started)) is not None:
        return known
    found = (_try(candidate, directory, 0) for candidate in _named(directory))
    return next((process for process in found if process is not None), None)


def _try(pid: int, directory: Path, started: int) -> AdoptedProcess | None:
    try:
        return AdoptedProcess(pid, directory, started)
    except OSError:
        return None  # it has ended, or was never it


def _is_kernel(pid: int, connection_file: bytes, started: int) -> bool:
    fields = stat_fields(pid)
    # The leader of a session: a child that user code forked has the same command line.
    if not fields or fields[0] in ("Z", "X") or fields[3] != str(pid) or (started and int(fields[19]) != started):
        return False
    return _names(pid, connection_file)


def _has_ended(pidfd: int) -> bool:
    import select  # late: no kernel that we start waits for it

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _named(directory: Path) -> Iterator[int]:
    """Processes whose command line names this link directory: the kernel, and children that user code forked."""
    wanted = str(directory / "kernel.json").encode()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _names(int(name), wanted):
            yield int(name)


def _names(pid: int, argument: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return argument in file.read().split(b"\0")
    except OSError:
        return False  # it has ended meanwhile


def check_python(python: str) -> None:
    """Raise ZmqKernelError unless this interpreter can run our kernel."""
    import subprocess  # late: only a session with an interpreter of its own needs it

    try:
        asked = subprocess.run(
            [python, "-P", "-c", "import zmqkernel.kernel, IPython, zmq"], capture_output=True, check=False
        )
    except OSError as error:
        raise ZmqKernelError(
            f"{python} cannot be run: {error.strerror}", hint="--python wants an interpreter."
        ) from None
    if asked.returncode:
        said = asked.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise ZmqKernelError(
            f"{python} cannot run the kernel: {said[-1]}", hint=f"Install it there: {python} -m pip install zmqkernel"
        )


def end_orphan(link: Path) -> None:
    """Kill the kernel that a supervisor which died has left: two kernels of one session would both think they are it.

    Children that user code forked go with it, also when they are all that is left.
    """
    for pid in _named(link):
        fields = stat_fields(pid)
        try:
            # The kernel leads a session and a group; what has moved to a group of its own is not ours to kill.
            if fields and fields[2] == fields[3]:
                os.killpg(int(fields[2]), signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile


def own_argv(python: str, connection_file: Path, link: Path) -> list[str]:
    """How our own kernel is started."""
    # -P: no module from the working directory may shadow ours; user code gets the directory back as "".
    return [python or sys.executable, "-P", "-m", "zmqkernel.kernel", "-f", str(connection_file), "--link", str(link)]


def spec_argv(name: str, connection_file: Path) -> tuple[list[str], dict[str, str], str]:
    """How the kernel of a Jupyter kernelspec is started: (argv, environment, interrupt mode)."""
    for folder in _kernel_dirs():
        spec_file = folder / name.lower() / "kernel.json"
        if spec_file.is_file():
            spec = json.loads(spec_file.read_bytes())
            resources = str(spec_file.parent)
            names = {"connection_file": str(connection_file), "prefix": sys.prefix, "resource_dir": resources}
            argv = [_fill(argument, names) for argument in spec["argv"]]
            if argv[0] in ("python", "python3"):
                argv[0] = sys.executable
            return argv, spec.get("env", {}), spec.get("interrupt_mode", "signal")
    found = sorted({p.parent.name for folder in _kernel_dirs() for p in folder.glob("*/kernel.json")})
    raise ZmqKernelError(
        f"there is no Jupyter kernelspec {name!r}",
        hint=f"Found: {', '.join([OWN, *found])} (see: jupyter kernelspec list).",
    )


def _fill(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def _kernel_dirs() -> list[Path]:
    explicit = [Path(p) for p in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if p]
    data = os.environ.get("JUPYTER_DATA_DIR") or os.path.join(
        os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "jupyter"
    )
    shared = [Path(sys.prefix, "share/jupyter"), Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    return [folder / "kernels" for folder in (*explicit, Path(data), *shared)]


def tail(path: Path, size: int = 4096) -> str:
    """The end of a file of text, at most ``size`` bytes of it; empty when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""  # no such file: nothing was written there
