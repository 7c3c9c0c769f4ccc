"""``python -m benchmarks.gil``: is the door as fast while one call in C holds the GIL of the kernel as it is when idle?

Idle and held phases take turns. In each the same questions are asked again and again, by a client of ours and by a plain
Jupyter client. The limit: the median while held is at most 1.5 times the median of the idle phases.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from zmqkernel.client import Client, Execution
from zmqkernel.paths import Session
from zmqkernel.protocol.messages import Position

from . import wire
from .batches import Batch, add_options, table
from .place import Place
from .report import p95

LIMIT = 1.5
READY = "held"
WAYS = ("waits", "computes")
"""What the call in C does with the GIL: ``waits`` leaves the processor to others, ``computes`` takes one."""


def hold(way: str, seconds: float) -> None:
    """Runs in the kernel: hold the GIL in one call in C that no signal ends."""
    if way == "computes":
        # ``sum`` of an iterator in C runs no bytecode, so it looks neither at signals nor at who wants the GIL.
        count, took = 1_000_000, 0.0
        while took < 0.2:
            count *= 2
            begun = time.thread_time()  # of the processor: others may be busy, and then it only takes longer
            sum(itertools.repeat(1, count))
            took = time.thread_time() - begun
        print(READY, flush=True)
        sum(itertools.repeat(1, int(count * seconds / took)))
        return
    library = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(64)  # zeros: a mutex that is free
    library.pthread_mutex_lock(mutex)
    until = (ctypes.c_long * 2)(int(time.time() + seconds), 0)
    print(READY, flush=True)
    library.pthread_mutex_timedlock(mutex, until)  # we have it already; unlike sleep(3) a signal does not end this


Question = Callable[[], object]


class Asker:
    """Asks a session, and measures. The name of a question is a row of the table."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.client = Client.connect(session, sender="benchmark")
        self._plain = wire.Client(json.loads(Path(session.connection_file).read_text()), self._context)
        self.questions: dict[str, Question] = {
            "attach": self._attach,
            "kernel_info": self.client.kernel_info,
            "kernel_info, plain client": self._plain_info,
            "follow": self._follow,
            "info": self.client.info,
            "interrupt": self.client.interrupt,
        }

    def _attach(self) -> None:
        with Client.connect(self._session, start=False, sender="another") as another:
            another.info()

    def _plain_info(self) -> None:
        self._plain.request(self._plain.shell, "kernel_info_request")

    def _follow(self) -> None:
        """Read the last records again, to the end."""
        info = self.client.info()
        following = self.client.follow(Position(info.epoch, max(0, info.seq - 20)), until_end=True)
        for _ in following:
            pass

    def ask(self, into: dict[str, list[float]]) -> None:
        """Every question once; milliseconds."""
        for name, question in self.questions.items():
            begun = time.perf_counter()
            question()
            into[name].append((time.perf_counter() - begun) * 1000)

    def close(self) -> None:
        """Leave."""
        self._plain.close()
        self._context.destroy(linger=0)
        self.client.close()


def begin_hold(asker: Asker, way: str, seconds: float) -> Execution:
    """Submit the cell and wait until it says that it begins."""
    run = asker.client.execute(f"import benchmarks.gil\nbenchmarks.gil.hold({way!r}, {seconds})")
    while (output := run.next(60.0)) is not None:
        if output.msg_type == "stream" and READY in output.content["text"]:
            time.sleep(0.1)  # until the long call has begun
            return run
    raise RuntimeError(f"the cell did not begin: {run.reply}")


def play(asker: Asker, way: str, seconds: float, samples: dict[str, dict[str, list[float]]]) -> float:
    """An idle phase and a held one of the same length; returns how long the GIL was held."""
    end = time.monotonic() + seconds / 2
    while time.monotonic() < end:
        asker.ask(samples["idle"])
        time.sleep(0.05)
    run = begin_hold(asker, way, seconds)
    begun = time.monotonic()
    end = begun + seconds * 0.7  # well before the call is over
    while time.monotonic() < end:
        asked: dict[str, list[float]] = defaultdict(list)
        asker.ask(asked)
        if run.done:  # asked too late, perhaps: these do not count
            break
        for name, values in asked.items():
            samples[way][name] += values
        time.sleep(0.05)
    if time.monotonic() - begun < seconds / 3:
        raise RuntimeError(f"the call in C was over too soon: {run.wait(10.0)}")
    run.wait(300.0)
    return time.monotonic() - begun


def judge(samples: dict[str, dict[str, list[float]]], limit: float = LIMIT) -> list[dict[str, Any]]:
    """One result for each way and question."""
    results: list[dict[str, Any]] = []
    for way in WAYS:
        for name, values in samples.get(way, {}).items():
            idle = samples["idle"][name]
            ratio = statistics.median(values) / statistics.median(idle)
            broken = [f"{name}: {ratio:.2f} times as long while held"] if ratio > limit else []
            results.append(
                {
                    "way": way,
                    "question": name,
                    "idle": [round(statistics.median(idle), 3), round(p95(idle), 3), len(idle)],
                    "held": [round(statistics.median(values), 3), round(p95(values), 3), len(values)],
                    "ratio": round(ratio, 3),
                    "broken": broken,
                }
            )
    return results


def summary(results: list[dict[str, Any]]) -> str:
    """Milliseconds: median, 95th percentile in brackets, number."""
    rows: list[list[object]] = []
    for one in results:
        idle, held = (f"{median:.2f} ({high:.2f}), {n}" for median, high, n in (one["idle"], one["held"]))
        verdict = "MISSED" if one["broken"] else "ok"
        rows.append([one["question"], one["way"], idle, held, f"{one['ratio']:.2f} {verdict}"])
    return table(["question", "the call", "idle, ms (p95), n", "held, ms (p95), n", f"ratio, limit {LIMIT}"], rows)


def main() -> int:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gil", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="idle and held phases of each way")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the GIL is held in each")
    add_options(parser)
    options = parser.parse_args()
    batch = Batch("gil", options.record)
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with Place() as place:
        asker = Asker(place.session("gil"))
        try:
            asker.client.execute("pass").wait(60.0)
            for _ in range(20):
                asker.ask(defaultdict(list))  # warm
            for _ in range(options.rounds):
                for way in WAYS:
                    held = play(asker, way, options.seconds, samples)
                    print(f"the call {way}: {held:.1f} s", file=sys.stderr)
        finally:
            asker.close()
    for result in judge(samples):
        batch.add(result)
    print(summary(batch.all))
    return 1 if batch.is_broken or not batch.new else 0


if __name__ == "__main__":
    sys.exit(main())
