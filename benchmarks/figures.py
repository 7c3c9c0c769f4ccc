"""The figures, taken in rounds: in each round every subject is started, then all of them take turns."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from .subjects import Bare, environment, processor_seconds, rss_megabytes
from .wire import Cell

PRINTS = 100_000
DISPLAYS = 20_000
PRINT_CODE = f"for i in range({PRINTS}):\n    print(i)"
DISPLAY_CODE = (
    f"from IPython.display import display\nfor i in range({DISPLAYS}):\n    display({{'text/plain': str(i)}}, raw=True)"
)
LAG_CODE = "import time\nfor i in range(20):\n    print(time.monotonic(), flush=False)\n    time.sleep(0.05)"
RELAY = "pass, the relay's share"
"""Processor time of the supervisor as a ratio to that of the kernel, for the same cells."""
SETTLE_SECONDS = 0.5
"""How long after a batch its processor time is read: work put off (history, the disk) is counted too."""


@dataclass
class Samples:
    """Figure, subject, values: milliseconds or megabytes. ``exact`` notes the share of output that arrived, in order."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    exact: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, figure: str, subject: str, *values: float) -> None:
        """Note values."""
        self.values[figure][subject].extend(values)


@dataclass(frozen=True)
class Amounts:
    """How much of each is done per round."""

    batches: int
    batch: int
    heavy: bool


def warm_up(subjects: Sequence[Bare], context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """One start of each that does not count: it writes the bytecode caches and reads the disk."""
    for subject in subjects:
        subject.start(context)
        try:
            subject.client.request(subject.client.shell, "kernel_info_request")
            subject.client.execute("pass", wait_idle=False)
            subject.pids()
        finally:
            subject.stop()


def play_round(
    subjects: Sequence[Bare], context: zmq.Context[zmq.Socket[bytes]], amounts: Amounts, into: Samples
) -> None:
    """One round of everything."""
    running: list[Bare] = []
    try:
        for subject in subjects:
            _start(subject, context, into)
            running.append(subject)
        for subject in subjects:
            subject.client.await_iopub()
            for _ in range(20):
                subject.client.execute("pass")
        for _ in range(amounts.batches):
            for subject in subjects:
                _pass_batch(subject, amounts.batch, into)
        executing = [subject for subject in subjects if subject.name != "echo"]
        for subject in executing:
            _lag(subject, into)
        for subject in executing:
            _timed_output(subject, "100k prints", PRINT_CODE, _printed, into)
        if amounts.heavy:
            for subject in executing:
                _timed_output(subject, "20k display_data", DISPLAY_CODE, _displayed, into)
    finally:
        for subject in running:
            subject.stop()


def _start(subject: Bare, context: zmq.Context[zmq.Socket[bytes]], into: Samples) -> None:
    begun = subject.start(context)
    client = subject.client
    client.request(client.shell, "kernel_info_request")
    into.add("start to kernel_info", subject.name, (time.monotonic() - begun) * 1000)
    cell = client.execute("pass", wait_idle=False)
    into.add("start to first execute_reply", subject.name, (cell.replied - begun) * 1000)
    subject.pids()
    into.add("RSS after first reply", subject.name, rss_megabytes(subject.kernel_pid))
    if subject.supervisor_pid:
        into.add("RSS of the supervisor", subject.name, rss_megabytes(subject.supervisor_pid))


def _pass_batch(subject: Bare, count: int, into: Samples) -> None:
    pids = subject.pids()
    before = {pid: processor_seconds(pid) for pid in pids}
    for _ in range(count):
        cell = subject.client.execute("pass")
        into.add("pass, clock", subject.name, (cell.replied - cell.sent) * 1000)
    time.sleep(SETTLE_SECONDS)
    used = {pid: (processor_seconds(pid) - before[pid]) * 1000 / count for pid in pids}
    into.add("pass, processor time", subject.name, sum(used.values()))
    if subject.supervisor_pid:
        into.add("pass, processor time of the supervisor", subject.name, used[subject.supervisor_pid])
        into.add(RELAY, subject.name, used[subject.supervisor_pid] / used[subject.kernel_pid])


def _lag(subject: Bare, into: Samples) -> None:
    client = subject.client
    for arrived, content in client.outputs(client.execute(LAG_CODE), "stream"):
        into.add(
            "live output lag", subject.name, *((arrived - float(stamp)) * 1000 for stamp in content["text"].split())
        )


def _timed_output(
    subject: Bare, figure: str, code: str, arrived: Callable[[Bare, Cell], tuple[list[str], int]], into: Samples
) -> None:
    cell = subject.client.execute(code)
    into.add(figure, subject.name, (max(cell.idle, cell.replied) - cell.sent) * 1000)
    lines, expected = arrived(subject, cell)
    wanted = list(map(str, range(expected)))
    share = 1.0 if lines == wanted else min(0.999, len(set(lines) & set(wanted)) / expected)
    into.exact[figure][subject.name].append(share)


def _printed(subject: Bare, cell: Cell) -> tuple[list[str], int]:
    text = "".join(content["text"] for _, content in subject.client.outputs(cell, "stream"))
    return text.splitlines(), PRINTS


def _displayed(subject: Bare, cell: Cell) -> tuple[list[str], int]:
    shown = subject.client.outputs(cell, "display_data")
    return [content["data"]["text/plain"] for _, content in shown], DISPLAYS


def in_process(home: Path, count: int, into: Samples) -> None:
    """The floor that no kernel can be below: ``run_cell`` alone."""
    command = [sys.executable, str(Path(__file__).with_name("run_cell.py")), str(count)]
    done = subprocess.run(command, env=environment(home), capture_output=True, check=True)
    answer = json.loads(done.stdout)
    into.add("pass, clock", "run_cell", *(value * 1000 for value in answer["clock"]))
    into.add("pass, processor time", "run_cell", answer["cpu"] * 1000)
