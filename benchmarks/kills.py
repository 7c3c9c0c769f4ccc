"""``python -m benchmarks.kills``: kill kernel, supervisor and clients again and again; nothing may be lost or happen twice.

In each round cells run, somebody is killed at a random moment, and afterwards the journal is compared with what the cells
themselves had noted outside of us after each ``print`` had returned, with what another client had seen, and with the
answers that our client got. Exit status 1: a promise was broken; the evidence is written out.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .batches import Batch, add_options, table
from .place import Place
from .report import p95
from .rounds import CALLS, IN_CELL, PATIENCE, Player, Result

WEIGHTS = {
    "SIGKILL": 3,
    "SIGSEGV": 1,
    "SIGABRT": 1,
    "STOP+KILL": 1,
    "os._exit": 2,
    "os.abort": 1,
    "null pointer": 1,
    "supervisor": 6,
    "both": 5,
    "everybody": 1,
    "client": 3,
}
"""Who or what is killed, and how often relative to the others. The first seven are ways for a kernel to die."""
FLOODS = ("flood", "below Python", "large")
"""The moments at which a cell can be told to kill its own process."""


def plan(seed: int, words: list[str]) -> list[tuple[str, str]]:
    """Every possible (killed, moment), shuffled, as often as its weight; only those that one of ``words`` is part of."""
    rounds: list[tuple[str, str]] = []
    for killed, weight in WEIGHTS.items():
        moments = FLOODS if killed in IN_CELL else tuple(CALLS)
        for moment in moments:
            double = 2 if moment in ("flood", "GIL held") else 1
            if not (killed == "client" and moment in ("starting", "queued")):
                rounds += [(killed, moment)] * weight * double
    rounds = [one for one in rounds if not words or any(word in "/".join(one) for word in words)]
    random.Random(seed).shuffle(rounds)
    return rounds


class Work:
    """The rounds of one run, shared by the threads that play them."""

    def __init__(self, options: argparse.Namespace, batch: Batch) -> None:
        self._options = options
        self._batch = batch
        self._rounds = plan(options.seed, [word for word in options.only.split(",") if word])
        self._lock = threading.Lock()
        self._number = 0
        self.kills = 0
        self._end = time.monotonic() + options.minutes * 60

    def next(self) -> tuple[int, str, str] | None:
        """The next round, None when it is enough."""
        with self._lock:
            if self.kills >= self._options.kills or time.monotonic() > self._end:
                return None
            self._number += 1
            return self._number, *self._rounds[(self._number - 1) % len(self._rounds)]

    def done(self, number: int, result: Result) -> None:
        """Write a result down."""
        with self._lock:
            self.kills += result.kills
            kept: dict[str, Any] = {"round": number, "seed": self._options.seed, **vars(result)}
            evidence = kept.pop("evidence")
            kept["seconds"] = round(result.seconds, 3)
            if result.broken:
                path = self._batch.evidence(str(number), kept | evidence)
                print(
                    f"round {number}: {result.killed} / {result.moment}: {result.broken[0]} ({path})", file=sys.stderr
                )
            self._batch.add(kept)

    def player(self, place: Place, name: str) -> None:
        """One thread: plays rounds on a session, and takes a new session when one cannot be used any more."""
        player: Player | None = None
        starts = 0
        while (chosen := self.next()) is not None:
            number, killed, moment = chosen
            if player is None:
                starts += 1
                player = Player(place, f"{name}{starts}", self._options.seed + number, self._options.patience)
            result = player.play(killed, moment)
            self.done(number, result)
            if result.broken:  # what follows from it would be counted again
                player.close()
                player = None
        if player is not None:
            player.close()


def summary(results: list[dict[str, Any]]) -> str:
    """One line for each way to be killed."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        groups[result["killed"]].append(result)
    groups["all"] = results
    rows: list[list[object]] = []
    for killed, group in groups.items():
        times = sorted(result["seconds"] for result in group if result["seconds"])
        sums = [sum(result[key] for result in group) for key in ("kills", "executions", "records", "lines")]
        broken = sum(bool(result["broken"]) for result in group)
        middle = f"{times[len(times) // 2]:.2f} ({p95(times):.2f})" if times else "-"
        rows.append([killed, len(group), *sums, middle, broken])
    head = [
        "killed",
        "rounds",
        "kills",
        "executions",
        "records",
        "lines noted",
        "seconds until all is well (p95)",
        "broken",
    ]
    return table(head, rows)


def main() -> int:
    """Parse the command line, play, print the summary."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=250, help="end when this many processes were killed")
    parser.add_argument("--minutes", type=float, default=10.0, help="end after this long, whatever was reached")
    parser.add_argument("--sessions", type=int, default=2, help="sessions that are played on at the same time")
    parser.add_argument(
        "--only", default="", help="comma-separated: only KILLED/MOMENT pairs that contain one of these"
    )
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="for the order and the moments"
    )
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds that anything may take after a kill")
    add_options(parser)
    options = parser.parse_args()
    batch = Batch("kills", options.record)
    work = Work(options, batch)
    with Place() as place:
        with ThreadPoolExecutor(options.sessions) as threads:
            playing = [threads.submit(work.player, place, f"n{number}-") for number in range(options.sessions)]
        for one in playing:
            one.result()
    print(summary(batch.all))
    return 1 if batch.is_broken or not batch.new else 0


if __name__ == "__main__":
    sys.exit(main())
