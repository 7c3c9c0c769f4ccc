"""Was it the OOM killer of Linux? The counters of the kernel's control group, and the log of Linux where it is readable.

Two small files are read when a kernel starts, and nothing is imported for it.
"""

from __future__ import annotations

import os
import re
import time

ROOT = "/sys/fs/cgroup"
KMSG = "/dev/kmsg"

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Linux's own number for the namespace of the machine itself: only its process ids are those of the log."""
_SLACK = 60.0
"""Seconds that the clock of the log may be off; a process id does not come again within them."""
_LOG_LIMIT = 20_000
"""Records of the log that are read at most."""


class OomEvidence:
    """Looks for the OOM killer's traces of one process from now on.

    ``counter`` is the file that counts for its control group ('' when there is none), ``cgroup`` that group's path.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._since = time.monotonic()
        self.cgroup, self.counter = _find_counter(pid)
        self._counts = [_count(self.counter)] * 2

    def look(self) -> None:
        """Forget what has happened until the last look: call it every few seconds, and an OOM kill of another process of the
        group, long ago, is not taken for the kernel's. Costs reading one small file."""
        # Two looks back, for the kill is counted a moment before the process is seen to have ended.
        self._counts = [self._counts[1], _count(self.counter)]

    def of_a_kill(self) -> str | None:
        """Call it when the process was killed: what speaks for the OOM killer, '' when nothing does, None when nothing is
        readable."""
        logged = _logged(self._pid, self._since)
        if logged:
            return logged
        before, now = self._counts[0], _count(self.counter)
        if before is None or now is None:
            return logged
        return f"cgroup {self.cgroup}" if now > before else ""


def _find_counter(pid: int) -> tuple[str, str]:
    """(the control group, its file with the counter); a group's own counter before one that counts its children too."""
    v2, v1 = "", ""
    for line in _read(f"/proc/{pid}/cgroup").decode("utf-8", "replace").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            v2 = path
        elif "memory" in controllers.split(","):
            v1 = path
    if v1:
        tries = [(v1, f"/memory{v1}/memory.oom_control"), (v1, "/memory/memory.oom_control")]
    else:
        # In a container the path may be the host's, while the container's group is mounted as the root.
        tries = [(v2, f"{place}/{name}") for place in (v2, "") for name in ("memory.events.local", "memory.events")]
    for path, file in tries:
        if _count(ROOT + file) is not None:
            return path, ROOT + file
    return "", ""


def _count(file: str) -> int | None:
    # By hand: a regular expression would be compiled before every kernel.
    _, found, rest = (b"\n" + _read(file)).partition(b"\noom_kill ") if file else (b"", b"", b"")
    return int(rest.partition(b"\n")[0]) if found else None


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""  # not there: another way of counting, or none
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""  # the control group has been removed
    finally:
        os.close(descriptor)


def _logged(pid: int, since: float) -> str | None:
    """What the log of Linux says of the killing of ``pid`` after the monotonic time ``since``; None: it is not readable."""
    try:
        if os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PID_NAMESPACE:
            return None
        descriptor = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None  # only root may read it on many machines
    try:
        return _search(descriptor, re.compile(rb"Killed process %d \((.*?)\)(?:.*anon-rss:(\d+)kB)?" % pid), since)
    finally:
        os.close(descriptor)


def _search(descriptor: int, killed: re.Pattern[bytes], since: float) -> str:
    for _ in range(_LOG_LIMIT):
        try:
            record = os.read(descriptor, 8192)  # one record: "priority,number,microseconds,flags;text"
        except BrokenPipeError:
            continue  # overwritten while we read: the next one follows
        except OSError:
            break  # the end
        head, _, text = record.partition(b";")
        found = killed.search(text)
        if found and int(head.split(b",")[2]) / 1e6 > since - _SLACK:
            held = f", it held {int(found[2]) / 1024:.0f} MB" if found[2] else ""
            return f"the log of Linux names it{held}"
        if not record:
            break
    return ""
