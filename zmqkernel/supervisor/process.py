"""The kernel process: starting it, signalling it, and saying why it ended."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

from ..protocol.errors import ZmqKernelError

OWN = "zmqkernel"
"""The kernel spec that means our own kernel."""

SIGNAL_WORDS = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "abort",
    "SIGKILL": "killed, perhaps for want of memory",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error in native code",
    "SIGILL": "illegal instruction",
    "SIGTERM": "terminated",
}


NOT_USERS = ("/site-packages/", "/dist-packages/", "/lib/python3", "/zmqkernel/kernel/", "<frozen")
"""Parts of file names that are not the user's own code."""

_CELL = re.compile(r"^<ipython-input-(\d+)-\w+>$")
_FRAME = re.compile(r'^  File "(.*)", line (\d+)', re.MULTILINE)


class Death:
    """How a kernel process ended. ``reason`` is one sentence without a full stop."""

    def __init__(self, status: int, fault: str, log: str) -> None:
        self.signal = signal.Signals(-status).name if status < 0 else ""
        self.exit_code = status if status >= 0 else None
        self.fault = fault
        self.log = log
        self.early = False
        """It never got as far as serving a request."""

    @property
    def reason(self) -> str:
        if self.signal:
            words = SIGNAL_WORDS.get(self.signal, "ended by a signal")
            return f"the kernel died: {words} ({self.signal})"
        said = self.log.splitlines()[-1][:300] if self.early and self.log else ""
        return f"the kernel ended with exit code {self.exit_code}" + (f" while it started: {said}" if said else "")

    @property
    def frames(self) -> list[tuple[str, str]]:
        """(file, line) of the user's frames in faulthandler's text, innermost first."""
        _, _, text = self.fault.partition("Current thread")
        found: list[tuple[str, str]] = _FRAME.findall(text.partition("\n\n")[0])
        users = [frame for frame in found if not any(part in frame[0] for part in NOT_USERS)]
        return [(_CELL.sub(r"In [\1]", name), line) for name, line in users]

    @property
    def line(self) -> str:
        """The innermost line of user code in faulthandler's text, as ``file:line``, or an empty string."""
        return ":".join(self.frames[0]) if self.frames else ""

    @property
    def traceback(self) -> list[str]:
        """What a person wants to see of the fault: the user's own lines, outermost first."""
        if not self.frames:
            return []
        head = "Where the kernel died (most recent call last):"
        return [head, *(f"  {name}, line {number}" for name, number in reversed(self.frames))]


class KernelProcess:
    """One kernel process, leader of its own process group and session."""

    def __init__(self, argv: list[str], cwd: str, environment: dict[str, str], directory: Path) -> None:
        """Start ``argv``; its standard output and error append to ``fd1`` and ``fd2`` in ``directory``."""
        self._directory = directory
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
            self.pid = os.posix_spawnp(
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
        self.pidfd = os.pidfd_open(self.pid)

    def interrupt(self) -> None:
        """SIGINT to the whole group: a child that runs for the cell gets it as in a terminal."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended just now: the pidfd tells

    def poll(self) -> Death | None:
        """How it ended, or None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        return Death(
            os.waitstatus_to_exitcode(status), _tail(self._directory / "fault"), _tail(self._directory / "fd2")
        )

    def close(self) -> None:
        os.close(self.pidfd)


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

    The process is known by its command line, which names this session's link directory.
    """
    wanted = str(link / "kernel.json").encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "cmdline").read_bytes().split(b"\0"):
                os.killpg(int(entry.name), signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile, or is another user's


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


def _tail(path: Path, size: int = 4096) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""  # no such file: nothing was written there
