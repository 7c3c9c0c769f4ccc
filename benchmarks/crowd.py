"""``python -m benchmarks.crowd``: many clients read one session that says much; two stall, two are plain Jupyter clients.

Everybody must have read everything, in order; the memory of the supervisor may grow by at most 32 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zmqkernel.client import Client
from zmqkernel.paths import Session

from .batches import Batch, add_options, table
from .place import Memory, Place, kill
from .readers import Sum
from .subjects import processor_seconds, rss_megabytes

GROWTH_MEGABYTES = 32.0
IMAGE = 4096
"""Characters of an image: its number, eight digits, again and again."""
END_SECONDS = 600.0


def codes(lines: int, images: int) -> list[str]:
    """The cells."""
    display = f"display({{'image/png': f'{{i:08d}}' * {IMAGE // 8}}}, raw=True)"
    return [
        f"for i in range({lines}):\n    print(i)",
        f"from IPython.display import display\nfor i in range({images}):\n    {display}",
    ]


def expected(lines: int, images: int) -> Sum:
    """What everybody must have read."""
    text = "".join(f"{i}\n" for i in range(lines)).encode()
    found = Sum(text=len(text), text_sum=zlib.crc32(text), images=images)
    for i in range(images):
        found.images_sum = zlib.crc32(f"{i:08d}".encode() * (IMAGE // 8), found.images_sum)
    return found


class Reader:
    """A process of readers. ``kind``: ours, stalled, plain, or stopped, which is ours and gets SIGSTOP."""

    def __init__(self, kind: str, count: int, session: Session, cells: int) -> None:
        self.kind = kind
        self.count = count
        module = "ours" if kind == "stopped" else kind
        command = [sys.executable, "-m", "benchmarks.readers", module, str(count)]
        command += [str(session.project), session.name, str(cells)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_ready(self) -> None:
        """All of them follow; now the stopped one is stopped."""
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the readers {self.kind} did not begin")
        if self.kind == "stopped":
            kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Now the stalled ones read."""
        assert self.process.stdin is not None
        kill(self.process.pid, signal.SIGCONT)
        if self.kind == "stalled":
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def result(self, seconds: float) -> list[Sum]:
        """What each of them has read; none when they did not come to the end in time."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
            return [Sum(**one) for one in json.loads(output)]
        except (subprocess.TimeoutExpired, ValueError):
            return []  # the judge says that they did not end

    def end(self) -> None:
        """Whatever it does."""
        self.process.kill()
        self.process.wait()


class Watch:
    """The largest memory of a process, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._end = threading.Event()
        self.died = False
        self.rss = 0.0
        self._others = [0.0, 0.0, 0.0]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while not self._end.wait(0.05):
            try:
                self.rss = max(self.rss, rss_megabytes(self._pid))
                memory = Memory.of(self._pid) if turn % 20 == 0 else None
            except (OSError, KeyError, StopIteration):  # its files are gone, or empty: it has died
                self.died = True
                return
            if memory:
                now = (memory.pss, memory.uss, memory.anonymous)
                self._others = [max(pair) for pair in zip(self._others, now, strict=True)]
            turn += 1

    def stop(self) -> dict[str, float]:
        """The peaks."""
        self._end.set()
        self._thread.join()
        return Memory(self.rss, *self._others).rounded()


def judge(results: list[tuple[str, int, list[Sum]]], wanted: Sum, growth: float) -> list[str]:
    """Sentences about every promise that was broken. ``results``: kind, number of readers, what they have read."""
    broken: list[str] = []
    for kind, count, sums in results:
        if len(sums) != count:
            broken.append(f"{kind}: {count - len(sums)} of {count} did not come to the end")
        for one in sums:
            if one != wanted:
                broken.append(f"{kind}: {asdict(one)} instead of {asdict(wanted)}")
    if growth > GROWTH_MEGABYTES:
        broken.append(f"the supervisor's memory grew by {growth:.1f} MB")
    return broken


def play(session: Session, options: argparse.Namespace) -> dict[str, Any]:
    """Everything once."""
    cells = codes(options.lines, options.images)
    each = max(1, options.clients // options.processes)
    counts = [each] * (options.processes - 1) + [options.clients - each * (options.processes - 1)]
    with Client.connect(session, sender="benchmark", timeout=120.0) as client:
        supervisor = client.info().supervisor_pid
        time.sleep(1.0)
        before = Memory.of(supervisor)
        readers: list[Reader] = []
        watch = Watch(supervisor)
        try:
            readers += [Reader("ours", count, session, len(cells)) for count in counts]
            readers += [Reader(kind, 1, session, len(cells)) for kind in ("stalled", "stopped", "plain", "plain")]
            for reader in readers:
                reader.wait_ready()
            print("all follow", file=sys.stderr)
            attached, used, begun = Memory.of(supervisor), processor_seconds(supervisor), time.monotonic()
            for code in cells:
                run = client.execute(code)
                run.close()  # the other clients read it
                _wait_idle(client, watch)
            executed = time.monotonic() - begun
            print(f"executed: {executed:.1f} s", file=sys.stderr)
            # Those that do not stall end first: they must not wait for the others.
            results = [
                (one.kind, one.count, one.result(END_SECONDS)) for one in readers if one.kind in ("ours", "plain")
            ]
            read = time.monotonic() - begun
            print(f"read: {read:.1f} s", file=sys.stderr)
            late = [reader for reader in readers if reader.kind in ("stalled", "stopped")]
            for reader in late:
                reader.go_on()
            results += [(reader.kind, reader.count, reader.result(END_SECONDS)) for reader in late]
            caught_up = time.monotonic() - begun - read
            used = processor_seconds(supervisor) - used
        finally:
            for reader in readers:
                reader.end()
            peak = watch.stop()
        if watch.died:
            raise RuntimeError(f"the supervisor died; its log: {session.log_file.read_text()[-2000:]!r}")
        time.sleep(1.0)
        after = Memory.of(supervisor)
    return {
        "clients": options.clients,
        "lines": options.lines,
        "images": options.images,
        "before": before.rounded(),
        "attached": attached.rounded(),
        "peak": peak,
        "after": after.rounded(),
        "executed": round(executed, 2),
        "read": round(read, 2),
        "caught_up": round(caught_up, 2),
        "processor": round(used, 2),
        "load": round(os.getloadavg()[0], 1),
        "broken": judge(results, expected(options.lines, options.images), peak["rss"] - before.rss),
    }


def _wait_idle(client: Client, watch: Watch) -> None:
    deadline = time.monotonic() + END_SECONDS
    while (info := client.info()).running or info.queued or info.state != "idle":
        if watch.died or time.monotonic() > deadline:
            raise RuntimeError(f"a cell did not end: {info}")
        time.sleep(0.1)


def summary(results: list[dict[str, Any]]) -> str:
    """One line for each run."""
    rows: list[list[object]] = []
    for one in results:
        memory = ["/".join(f"{one[when][key]:.0f}" for key in ("rss", "pss", "uss", "anonymous")) for when in MOMENTS]
        what = f"{one['clients']} + 2 stalled + 2 plain: {one['lines']} lines, {one['images']} images"
        times = [one["executed"], one["read"], one["caught_up"], one["processor"]]
        growth = f"{one['peak']['rss'] - one['before']['rss']:.1f}"
        rows.append([what, *memory, growth, *times, "; ".join(one["broken"])[:200] or "nothing"])
    moments = [f"{when}: RSS/PSS/USS/anonymous, MB" for when in MOMENTS]
    times = ["cells, s", "all have read, s", "stalled caught up in, s", "supervisor's processor, s"]
    return table(["clients", *moments, f"growth, limit {GROWTH_MEGABYTES:g} MB", *times, "broken"], rows)


MOMENTS = ("before", "attached", "peak", "after")


def main() -> int:
    """Parse the command line, play, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--clients", type=int, default=50, help="clients of ours that read")
    parser.add_argument("--processes", type=int, default=4, help="processes that they live in")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=20_000)
    add_options(parser)
    options = parser.parse_args()
    batch = Batch("crowd", options.record)
    with Place() as place:
        result = play(place.session("crowd"), options)
        batch.add(result)
        if result["broken"]:
            log = Path(place.home).glob("state/zmqkernel/*/supervisor.log")
            path = batch.evidence("crowd", result | {"log": [one.read_text()[-4000:] for one in log]})
            print(f"evidence: {path}", file=sys.stderr)
    print(summary(batch.all))
    return 1 if batch.is_broken else 0


if __name__ == "__main__":
    sys.exit(main())
