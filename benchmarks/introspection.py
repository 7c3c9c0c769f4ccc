"""``python -m benchmarks.introspection``: what a completion costs in the kernel, and what it takes from the cell that runs.

Three parts, in this process: the time of each kind of completion (median and 95th percentile) over live objects; the
processor time of twenty completions a second, as a share of one core; the time of a completion while another thread runs a
Python loop. The first limit is the one of the page of benchmarks: at most 2 % of a core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zmqkernel.kernel.introspection import complete, define, inspect, sign
from zmqkernel.protocol.wire import Wire

from .report import p95

LIMIT = 0.02
"""Of one core, at RATE completions a second."""
RATE = 20
USUAL, LARGE = 1_000, 10_000
"""Names in the namespace, and keys in its dictionary. The limit is for the first, the table for the second."""
SWITCH_INTERVAL = 0.0015
"""As the kernel sets it."""
KINDS = {
    "name": "var_99",
    "name, nothing typed": "",
    "attribute": "thing.shar",
    "attribute of a module": "os.path.",
    "attribute, three deep": "thing.child.child.lea",
    "key": 'd["key_99',
    "key, nested": 'd["nested"]["deeper"]["',
    "keyword argument": "function(al",
    "path": "open('",
    "import": "import col",
    "from": "from collections import ",
    "magic": "%time",
    "DataFrame attribute": "df.",
    'df["': 'df["',
    "groupby": 'df.groupby("',
    "result of a method": "df.groupby('c1').",
    "numpy": "np.",
    "comment": "# something",
}


@dataclasses.dataclass
class Leaf:
    leaf: int = 1


class Thing:
    """Something of the user's."""

    shared = 1

    def __init__(self, depth: int = 4) -> None:
        self.child: Any = Thing(depth - 1) if depth else Leaf()
        self.leaf = 1

    @property
    def prop(self) -> int:
        raise AssertionError("introspection ran a property")


def function(alpha: int, beta: int = 2, *, gamma: float = 3.0) -> None:
    """Do something.

    Args:
        alpha: how much
    """


def namespace(size: int) -> dict[str, Any]:
    """``size`` names, a dictionary of as many keys, and what the kinds ask for; pandas and numpy when they are there."""
    names: dict[str, Any] = {f"var_{n}": n for n in range(size)}
    nested = {f"key_{n}": n for n in range(size)} | {"nested": {"deeper": {f"k{n}": n for n in range(100)}}}
    names |= {"os": os, "thing": Thing(), "d": nested, "function": function}
    try:
        import numpy
        import pandas
    except ImportError:
        return names
    frame = pandas.DataFrame(numpy.zeros((100_000, 20)), columns=[f"c{n}" for n in range(20)])
    return names | {"np": numpy, "pd": pandas, "df": frame}


class Magics:
    """As much of a shell as magics need."""

    class magics_manager:  # noqa: N801  IPython's name
        magics = {"line": {"time": function, "timeit": function}, "cell": {"time": function}}


class Engine:
    """Asks as the introspection thread is asked: with the reply packed and signed."""

    def __init__(self, size: int) -> None:
        self.names = namespace(size)
        self._wire = Wire("key", "benchmark")

    def kinds(self) -> dict[str, str]:
        return {kind: code for kind, code in KINDS.items() if "df" in self.names or not code.startswith(("df", "np"))}

    def complete(self, code: str) -> int:
        """One completion, the reply as bytes; how many matches it had."""
        reply = complete(code, len(code), self.names, Magics)
        self._pack("complete_reply", reply)
        return len(reply.matches)

    def others(self) -> dict[str, Callable[[], None]]:
        """The other three requests."""
        return {
            "inspect a function": lambda: self._pack("inspect_reply", inspect("function", 3, 0, self.names, Magics)),
            "inspect a variable": lambda: self._pack("inspect_reply", inspect("d", 1, 0, self.names, Magics)),
            "inspect a DataFrame": lambda: self._pack("inspect_reply", inspect("df", 1, 0, self.names, Magics)),
            "signature": lambda: self._pack("signature_reply", sign("function(1, ", 12, self.names, Magics)),
            "definition": lambda: self._pack("definition_reply", define("function", 3, self.names, Magics)),
        }

    def _pack(self, msg_type: str, reply: Any) -> None:
        self._wire.pack(self._wire.message(msg_type, reply, idents=[b"client"]))


def times_of(ask: Callable[[], object], rounds: int, clock: Callable[[], float] = time.thread_time) -> list[float]:
    """Milliseconds of each of ``rounds`` calls, after a warm one. Of the processor unless another clock is given."""
    ask()
    result: list[float] = []
    for _ in range(rounds):
        begun = clock()
        ask()
        result.append((clock() - begun) * 1000)
    return result


@contextmanager
def python_loop() -> Iterator[None]:
    """Another thread computes in pure Python and gives the GIL away only when it must."""
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            for _ in range(10_000):
                number = (number * 31 + 7) % 1_000_003

    thread = threading.Thread(target=work, daemon=True)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


def steady(engine: Engine, seconds: float) -> float:
    """Share of a core that RATE completions a second take, of all kinds in turn."""
    codes = list(engine.kinds().values())
    begun, used = time.monotonic(), time.thread_time()
    for number in range(int(RATE * seconds)):
        engine.complete(codes[number % len(codes)])
        time.sleep(max(0.0, begun + (number + 1) / RATE - time.monotonic()))
    return (time.thread_time() - used) / (time.monotonic() - begun)


def main() -> int:
    """Measure, print, save. Exit 1 when the limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.introspection", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it runs")
    parser.add_argument("--json", type=Path, help="where to save the samples")
    options = parser.parse_args()
    rounds = 10 if options.quick else options.rounds
    engine = Engine(LARGE)

    rows: dict[str, dict[str, list[float]]] = {}
    matches: dict[str, int] = {}
    for kind, code in engine.kinds().items():
        matches[kind] = engine.complete(code)
        rows[kind] = {"idle": times_of(lambda code=code: engine.complete(code), rounds)}
    for kind, ask in engine.others().items():
        if "DataFrame" not in kind or "df" in engine.names:
            rows[kind] = {"idle": times_of(ask, rounds)}
    with python_loop():
        for kind, code in engine.kinds().items():
            rows[kind]["Python loop"] = times_of(
                lambda code=code: engine.complete(code), max(5, rounds // 10), time.perf_counter
            )
    seconds = 2 if options.quick else 15
    shares = {size: steady(Engine(size), seconds) for size in (USUAL, LARGE)}

    print(
        "| what | matches | alone, processor: median / p95 ms | Python loop, elapsed: median / p95 ms |\n"
        "| --- | ---: | ---: | ---: |"
    )
    for kind, samples in rows.items():
        cells = [f"{statistics.median(s):.2f} / {p95(s):.2f}" for s in samples.values()]
        print(f"| {kind} | {matches.get(kind, '')} | {' | '.join(cells)}{' | ' if len(cells) == 1 else ''} |")
    everything = [sample for kind in engine.kinds() for sample in rows[kind]["idle"]]
    print(f"\nall completions: {statistics.median(everything):.2f} / {p95(everything):.2f} ms")
    for size, share in shares.items():
        print(f"{RATE} completions a second, {size} names: {share:.2%} of a core (limit at {USUAL}: {LIMIT:.0%})")
    if options.json:
        options.json.write_text(json.dumps({"shares": shares, "samples": rows}, indent=1) + "\n")
    return 0 if shares[USUAL] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
