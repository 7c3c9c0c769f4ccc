"""What the namespace mirror costs: ``python -m benchmarks.mirror``. Exit 1 when a limit is missed.

In a session with N names (of every ten: six numbers and texts, two lists, a dictionary of two keys, an instance or a
function) cells are executed one after the other, each of which changes one name, or none. Figures, each a median:

* processor time of the introspection thread after a cell, in ms, from the system's own accounting of the thread;
* time from the reply to the moment when the supervisor has it, in ms;
* the time of a ``pass`` cell with N names, in ms, sent one after the other;
* resident memory of the supervisor, in MB; the first row is what it needs with hardly any names.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from zmqkernel.client import Client
from zmqkernel.protocol.mirror import Mirror

from .place import Memory, Place

FILL = """
import threading
class Thing:
    def __init__(self, number): self.number, self.words = number, [str(number)]
def fill(count):
    names = globals()
    for n in range(count):
        kind = n % 10
        if kind < 4: value = n * 1000
        elif kind < 6: value = f'text {n}'
        elif kind < 8: value = [n, n + 1, n + 2]
        elif kind < 9: value = {'a': n, 'b': 'x'}
        else: value = Thing(n) if n % 20 == 9 else (lambda n=n: n)
        names[f'name_{n}'] = value
print([t.native_id for t in threading.enumerate() if t.name == 'introspection'][0])
"""
LIMITS = {1_000: 2.0, 10_000: 10.0}
"""Names to processor time in ms."""
SETTLE_SECONDS = 0.4
"""After a cell, until its processor time is read: as long as a pass may be put off, and more."""


@dataclass
class Row:
    """The figures for one number of names."""

    names: int
    processor: float
    processor_p95: float
    processor_unchanged: float
    arrives: float
    pass_cell: float
    pass_processor: float
    supervisor: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mirror", description="What the namespace mirror costs.")
    parser.add_argument("--cells", type=int, default=25, help="cells for each figure")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    rows: list[Row] = []
    with Place() as place:
        for names in (10, *LIMITS):
            rows.append(measure(place, names, options.cells))
            print(f"{names} names done", file=sys.stderr)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if all(row.processor <= LIMITS.get(row.names, 99.0) for row in rows) else 1


def measure(place: Place, names: int, cells: int) -> Row:
    """One session with so many names."""
    session = place.session(f"names-{names}")
    with Client.connect(session, start=False, timeout=60.0) as client:
        execution = client.execute(FILL)
        thread = int("".join(o.content["text"] for o in execution if o.msg_type == "stream"))
        mirror = Mirror()
        told(client, mirror, f"fill({names})")
        pid = client.info().kernel_pid
        used = lambda: thread_milliseconds(pid, thread)  # noqa: E731

        arrives = [told(client, mirror, f"name_3 = {n}") for n in range(cells)]
        changed = [cost(client, used, f"name_{n % names} = {n}") for n in range(cells)]
        unchanged = [cost(client, used, "pass") for _ in range(cells)]
        before, times = used(), list[float]()
        for _ in range(cells * 20):
            begun = time.perf_counter()
            client.execute("pass").wait(60)
            times.append((time.perf_counter() - begun) * 1000)
        time.sleep(SETTLE_SECONDS)
        return Row(
            names,
            statistics.median(changed),
            sorted(changed)[int(len(changed) * 0.95)],
            statistics.median(unchanged),
            statistics.median(arrives),
            statistics.median(times),
            (used() - before) / len(times),
            Memory.of(client.info().supervisor_pid).rss,
        )


def told(client: Client, mirror: Mirror, code: str) -> float:
    """Run a cell; ms from its reply until the supervisor has what it changed."""
    execution = client.execute(code)
    execution.wait(120)
    begun = time.perf_counter()
    while client.mirror(mirror).execution != execution.msg_id:
        time.sleep(0.001)
    return (time.perf_counter() - begun) * 1000


def cost(client: Client, used: Callable[[], float], code: str) -> float:
    """ms of processor time of the introspection thread for one cell."""
    before = used()
    client.execute(code).wait(60)
    time.sleep(SETTLE_SECONDS)
    return used() - before


def thread_milliseconds(pid: int, thread: int) -> float:
    """Processor time of a thread."""
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e6


def table(rows: list[Row]) -> str:
    """The figures for people."""
    heads = (
        "names",
        "one changed, ms of processor (p95; limit)",
        "none changed",
        "told after, ms",
        "pass, ms (processor)",
    )
    lines = [f"| {' | '.join(heads)} | supervisor, MB |", "|---|---|---|---|---|---|"]
    for row in rows:
        limit = LIMITS.get(row.names)
        judged = f"; {limit:g} {'ok' if row.processor <= limit else 'MISSED'}" if limit else ""
        lines.append(
            f"| {row.names} | {row.processor:.2f} ({row.processor_p95:.2f}{judged}) | {row.processor_unchanged:.2f} "
            f"| {row.arrives:.1f} | {row.pass_cell:.2f} ({row.pass_processor:.3f}) | {row.supervisor:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
