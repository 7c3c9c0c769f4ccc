"""``python -m benchmarks.life``: minutes of mixed life in three sessions. Nothing may grow, nothing may be lost.

A cell runs in each session, and the next one when it ends or dies. Clients of every kind come and go, a hundred a minute.
In two of the sessions kernel and supervisor are killed at random; the third lives through it all, because only somebody who
lives long can leak. Compared are the medians of the first and the last third of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from zmqkernel.client import Client, Execution
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import Position

from .batches import Batch, add_options, table
from .check import Answered, check
from .ground import STOP, Ground
from .place import Memory, Place, descriptors
from .visits import VISITS
from .witness import Witness

NAMES = ("first", "second", "project")
"""The third is the one that a bridge finds: it has the name of its folder. Nobody kills there."""
PERIOD = 0.01
PATIENCE = 120.0
SAMPLE_SECONDS = 2.0
ALLOWED = {"descriptors": 8.0, "MB": 4.0, "files": 3.0, "processes": 1.0}
"""Most growth by unit, between the medians of the first and the last third: noise is less. A supervisor opens seven
descriptors at some moment of its life, once; a leak at every visit or kill would be a hundred and more."""

THREADS = 6
"""Visits under way at the same time."""
JUDGED_MINUTES = 2.0
"""In a shorter run a third of the time is not enough to get warm: growth is only shown."""


class Life:
    """One session: its running cell and who reads along."""

    def __init__(self, place: Place, name: str) -> None:
        self.session: Session = place.session(name)
        self.ground = Ground(place.home / f"ground-{name}")
        self.witness = Witness(self.session, place.home / f"notes-{name}", Position())
        self.answered: dict[int, Answered] = {}
        self.broken: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def pids(self) -> tuple[int, int]:
        """Supervisor and kernel, as they were written down last."""
        text = json.loads(self.session.settings_file.read_bytes())
        return int(text["supervisor_pid"] or 0), int(text["kernel_pid"] or 0)

    def _run(self) -> None:
        try:
            with Client.connect(self.session, sender="benchmark", timeout=PATIENCE) as client:
                while not self._end.is_set():
                    cell = len(self.answered) + 1
                    self.answered[cell] = Answered()
                    run = client.execute(self.ground.code(cell, f"tick({PERIOD}, 15)"))
                    self._take(cell, run)
                    if client.info().state in ("restarting", "dead"):  # do not wait for its back-off
                        client.restart()
        except ZmqKernelError as error:
            self.broken.append(f"the client that runs cells: {type(error).__name__}: {error}")

    def _take(self, cell: int, run: Execution) -> None:
        answered, deadline = self.answered[cell], time.monotonic() + PATIENCE
        while True:
            output = run.next(0.5)
            if output is None and run.done:
                break
            if output is not None and output.msg_type == "stream" and output.content["name"] == "stdout":
                answered.text += output.content["text"]
            if self._end.is_set():
                self.ground.command(cell, STOP)
            if time.monotonic() > deadline:
                answered.whole = False
                self.broken.append(f"no answer to cell {cell} in {PATIENCE:.0f} s")
                return
        if run.reply is not None:
            answered.statuses.append(run.reply.status)

    def stop(self) -> None:
        """Let the running cell end."""
        self._end.set()
        self._thread.join()

    def judge(self) -> tuple[int, list[str]]:
        """Number of records, and what is wrong with them."""
        records: list[Record] = []
        try:
            with Client.connect(self.session, sender="judge", timeout=PATIENCE) as client:
                following = client.follow(until_end=True)
                deadline = time.monotonic() + PATIENCE
                while not following.finished and time.monotonic() < deadline:
                    record = following.next(1.0)
                    records += [record] if record else []
        except ZmqKernelError as error:
            self.broken.append(f"the journal could not be read: {error}")
        end = records[-1].seq if records else 0
        if not self.witness.wait_for(end, PATIENCE):
            self.broken.append(f"the client that reads along did not get to {end}")
        noted = {cell: self.ground.noted(cell) for cell in self.answered}
        found = check(records, 0, noted, self.answered, self.witness.take(end))
        return len(records), self.broken + [f"{self.session.name}: {text}" for text in found]


class Samples:
    """What is counted every few seconds: (unit, name) to values in time."""

    def __init__(self, place: Place, lives: list[Life]) -> None:
        self.values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._place = place
        self._lives = lives

    def take(self) -> None:
        """Count now."""
        for life in self._lives:
            for who, pid in zip(("supervisor", "kernel"), life.pids(), strict=True):
                # One that was killed just now has nothing to count; the next sample has its successor.
                with contextlib.suppress(OSError, KeyError):
                    memory, count = Memory.of(pid), descriptors(pid)
                    self._add("descriptors", f"{who} of {life.session.name}", count)
                    self._add("MB", f"{who} of {life.session.name}", memory.uss)
        self._add("descriptors", "clients of this process", descriptors(os.getpid()))
        self._add("files", "state and sockets", self._place.files()[0])
        lasting = [
            text for text in self._place.processes().values() if "zmqkernel.supervisor" in text or "--link" in text
        ]
        self._add("processes", "supervisors and kernels", len(lasting))

    def listing(self) -> dict[str, list[str]]:
        """For evidence: the files there are, and what the supervisors have open."""
        open_: dict[str, list[str]] = {}
        for life in self._lives:
            pid = life.pids()[0]
            with contextlib.suppress(OSError):  # killed just now
                open_[life.session.name] = sorted(os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir())
        return {"files": self._place.listing()} | open_

    def _add(self, unit: str, name: str, value: float) -> None:
        self.values[unit, name].append(value)

    def growth(self, judge: bool) -> list[dict[str, Any]]:
        """First and last third of each row, and whether that is too much."""
        rows: list[dict[str, Any]] = []
        for (unit, name), values in self.values.items():
            third = max(1, len(values) // 3)
            first, last = statistics.median(values[:third]), statistics.median(values[-third:])
            row = {"unit": unit, "name": name, "first": first, "last": last, "n": len(values)}
            rows.append(row | {"too_much": judge and last - first > ALLOWED[unit]})
        return rows


class Visitors:
    """Come and go, a few at a time."""

    def __init__(self, lives: list[Life], dice: random.Random) -> None:
        self.count: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.broken: list[str] = []
        self._lives = lives
        self._random = dice
        self._pool = ThreadPoolExecutor(THREADS, initializer=_event_loop)
        together = threading.Barrier(THREADS)
        for one in [self._pool.submit(together.wait) for _ in range(THREADS)]:
            one.result()  # all threads are there before anything is counted
        self._under_way: list[tuple[str, Future[None]]] = []

    def send(self) -> None:
        """One more, unless all are still on their way."""
        self._collect()
        if len(self._under_way) > 12:
            return
        name = self._random.choices(list(VISITS), [share for share, _ in VISITS.values()])[0]
        life = self._lives[2] if name == "bridge" else self._random.choice(self._lives)
        self._under_way.append((name, self._pool.submit(VISITS[name][1], life.session)))

    def _collect(self, everything: bool = False) -> None:
        for one in list(self._under_way):
            name, visit = one
            if not everything and not visit.done():
                continue
            self._under_way.remove(one)
            self.count[name] += 1
            error = visit.exception()
            if error is not None:
                self.failed[name] += 1
                if name == "ours":
                    self.broken.append(f"a visitor got {type(error).__name__}: {error}")

    def close(self) -> None:
        """Wait for those who are still there."""
        self._collect(everything=True)
        self._pool.shutdown()


def _event_loop() -> None:
    """jupyter_client opens one in each thread that it is used in, and keeps it: not a leak of anybody."""
    from jupyter_core.utils import ensure_event_loop

    ensure_event_loop()


def live(place: Place, options: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    dice = random.Random(options.seed)
    lives = [Life(place, name) for name in NAMES]
    samples, visitors = Samples(place, lives), Visitors(lives, dice)
    kills: Counter[str] = Counter()
    begun = time.monotonic()

    def strike() -> None:
        killed = dice.choice(options.who.split(","))
        life = dice.choice(lives[:2])
        if killed == "client":
            life.witness.kill()
            life.witness.start()
        supervisor, kernel = life.pids()
        pids = {"kernel": [kernel], "supervisor": [supervisor], "both": [kernel, supervisor], "client": []}[killed]
        for pid in pids:
            place.kill(pid)
        kills[killed] += 1

    actions: list[tuple[float, Callable[[], None]]] = [
        (60 / options.visits, visitors.send),
        (options.kill_every, strike),
        (min(SAMPLE_SECONDS, options.minutes * 2), samples.take),
    ]
    listings: list[dict[str, list[str]]] = []
    due = [begun + every for every, _ in actions]
    while time.monotonic() < begun + options.minutes * 60:
        if not listings and time.monotonic() > begun + options.minutes * 10:
            listings.append(samples.listing())
        for number, (every, action) in enumerate(actions):
            if time.monotonic() >= due[number]:
                due[number] += every
                action()
        time.sleep(max(0.0, min(due) - time.monotonic()))
    listings.append(samples.listing())
    visitors.close()
    for life in lives:
        life.stop()
    judged = [life.judge() for life in lives]
    for life in lives:
        life.witness.kill()
    growth = samples.growth(judge=options.minutes >= JUDGED_MINUTES)
    broken = [
        f"{row['name']}: {row['first']:g} {row['unit']}, then {row['last']:g}" for row in growth if row["too_much"]
    ]
    return {
        "minutes": round((time.monotonic() - begun) / 60, 2),
        "seed": options.seed,
        "visits": visitors.count,
        "failed": visitors.failed,
        "kills": kills,
        "cells": sum(len(life.answered) for life in lives),
        "records": sum(count for count, _ in judged),
        "bytes": place.files()[1],
        "growth": growth,
        "listings": listings,
        "broken": broken + visitors.broken + [text for _, found in judged for text in found],
    }


def summary(results: list[dict[str, Any]]) -> str:
    """What happened in each run, and the growth in the last."""
    rows: list[list[object]] = []
    for one in results:
        said = [
            ", ".join(f"{key} {count}" for key, count in one[name].items()) for name in ("visits", "failed", "kills")
        ]
        rows.append([one["minutes"], *said, one["cells"], one["records"], len(one["broken"])])
    head = ["minutes", "visits", "visits without an answer", "kills", "cells", "records", "broken"]
    grown = [
        [
            row["name"],
            row["unit"],
            f"{row['first']:.1f}",
            f"{row['last']:.1f}",
            row["n"],
            "GREW" if row["too_much"] else "ok",
        ]
        for row in results[-1]["growth"]
    ]
    return f"{table(head, rows)}\n\n{table(['what', 'unit', 'first third', 'last third', 'samples', ''], grown)}"


def main() -> int:
    """Parse the command line, live, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--visits", type=float, default=100.0, help="attaches and detaches a minute")
    parser.add_argument("--kill-every", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("--who", default="kernel,kernel,supervisor,supervisor,both,client", help="who is killed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="for who and when")
    add_options(parser)
    options = parser.parse_args()
    batch = Batch("life", options.record)
    with Place() as place:
        result = live(place, options)
        listings = result.pop("listings")
        batch.add(result)
        if result["broken"]:
            logs = [
                one.read_text(errors="replace")[-4000:] for one in place.home.glob("state/zmqkernel/*/supervisor.log")
            ]
            path = batch.evidence("life", result | {"logs": logs, "listings": listings})
            print(f"evidence: {path}", file=sys.stderr)
            print("\n".join(result["broken"][:10]), file=sys.stderr)
    print(summary(batch.all))
    return 1 if batch.is_broken else 0


if __name__ == "__main__":
    sys.exit(main())
