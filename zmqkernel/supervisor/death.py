"""Why a kernel process ended, in words; and its exit status, also when somebody else is its parent."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import sys
import time

SIGNAL_WORDS = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "abort",
    "SIGKILL": "killed",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error in native code",
    "SIGILL": "illegal instruction",
    "SIGTERM": "terminated",
    "SIGXFSZ": "a file grew over the limit for files",
    "SIGXCPU": "it used up the limit of processor time",
}
FATAL = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Floating-point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
"""What faulthandler calls a fatal signal. Any other ``Fatal Python error`` ends in an abort."""

UNKNOWN = "the kernel ended; its exit status is not known, because its supervisor had died and another took over"

NOT_USERS = ("/site-packages/", "/dist-packages/", "/lib/python3", "/zmqkernel/kernel/", "<frozen")
"""Parts of file names that are not the user's own code."""

STATUS_SECONDS = 0.2
"""How long a process that has ended may take to tell its status."""

_CELL = re.compile(r"^<ipython-input-(\d+)-\w+>$")
_FRAME = re.compile(r'^  File "(.*)", line (\d+)', re.MULTILINE)
_FATAL = "Fatal Python error: "

# linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), whose first version has 64 bytes, the exit status in the last four.
_GET_INFO = 3 << 30 | 64 << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3


class Death:
    """How a kernel process ended. ``reason`` is one sentence without a full stop.

    ``status`` is what :func:`os.waitstatus_to_exitcode` gives, None when nobody could tell. ``oom`` is the evidence of
    Linux's OOM killer: a text, an empty one when there is none, None when there was nowhere to look. ``ours``: the SIGKILL
    was the supervisor's own.
    """

    def __init__(self, status: int | None, fault: str, log: str, oom: str | None = None, ours: bool = False) -> None:
        self.known = status is not None
        self.signal = _signal_name(-status) if status is not None and status < 0 else ""
        self.exit_code = status if status is not None and status >= 0 else None
        # A child that user code forked writes its fault into the same file: it says nothing of a kernel that exited.
        self.fault = fault[max(0, fault.rfind(_FATAL)) :] if not self.known or self.signal in FATAL.values() else ""
        self.log = log
        self.oom = "" if ours or not (self.signal == "SIGKILL" or not self.known) else oom
        self.ours = ours
        self.early = False
        """It never got as far as serving a request."""

    @property
    def reason(self) -> str:
        if not self.known:
            return self._guess()
        if self.signal:
            return f"the kernel died: {self._words()}"
        said = self.log.splitlines()[-1][:300] if self.early and self.log else ""
        return f"the kernel ended with exit code {self.exit_code}" + (f" while it started: {said}" if said else "")

    def _words(self) -> str:
        if self.oom:
            return f"out of memory (SIGKILL by the OOM killer of Linux; {self.oom})"
        words = SIGNAL_WORDS.get(self.signal, "ended by a signal")
        if self.signal == "SIGKILL":
            if self.ours:
                words = "killed by its supervisor"
            elif self.oom is None:
                words = "killed, perhaps for want of memory"
        return f"{words} ({self.signal})"

    def _guess(self) -> str:
        """In the order of how sure it is; ``signal`` stays empty, for nobody has seen it."""
        if self.ours:
            return "the kernel died: killed by its supervisor (SIGKILL)"
        if self.fault.startswith(_FATAL):
            what = self.fault.splitlines()[0].removeprefix(_FATAL).strip()
            name = FATAL.get(what, "SIGABRT")
            words = SIGNAL_WORDS[name] if what in FATAL else what
            return f"the kernel died: {words} ({name}, as its fault handler wrote)"
        if self.oom:
            return f"the kernel died: out of memory, it seems (the OOM killer of Linux; {self.oom})"
        return UNKNOWN

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


def exit_status(pidfd: int, pid: int, seconds: float = STATUS_SECONDS) -> int | None:
    """The status of a process that has ended and is not our child, as :func:`os.waitstatus_to_exitcode` gives it.

    Until its parent has taken its status it is a zombie, whose status the last field of ``/proc/PID/stat`` tells its own
    user; afterwards the pidfd tells (Linux 6.15). None: neither did within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        status = _info_status(pidfd)
        if status is None:
            status = _zombie_status(pid)
        if status is not None:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)


def _info_status(pidfd: int) -> int | None:
    asked = bytearray(_INFO_EXIT.to_bytes(8, sys.byteorder) + bytes(56))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, asked)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):
            raise
        return None  # a Linux before 6.15: after the zombie is gone nobody knows
    told = int.from_bytes(asked[:8], sys.byteorder) & _INFO_EXIT
    return int.from_bytes(asked[60:], sys.byteorder) if told else None


def _zombie_status(pid: int) -> int | None:
    fields = stat_fields(pid)
    # To those who may not know it, Linux says 0.
    if not fields or fields[0] not in ("Z", "X") or not _is_ours(pid):
        return None
    return int(fields[-1])


def _is_ours(pid: int) -> bool:
    try:
        return os.geteuid() in (0, os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        return False  # it is gone just now


def stat_fields(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the state (the third) on; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()  # the name before it may hold anything


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since the machine did; 0 when there is no such process.

    The pair (pid, start time) is never used again while the machine runs.
    """
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal between SIGRTMIN and SIGRTMAX has no name
