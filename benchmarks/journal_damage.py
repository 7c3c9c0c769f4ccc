"""``python -m benchmarks.journal_damage``: journals with torn tails, zeroed tails and flipped bits, and what opening costs.

Journals of several small segments are written by the real writer, spoiled at a random place, opened, read, appended to and
opened again. Every record that comes back must be equal to what was written; every one that does not must be told as
missing; numbers never repeat. Then a journal of 1 GB is opened, against reading it once. Exit 1 when anything was
silently wrong or opening costs more than reading.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zmqkernel.protocol import journal as format
from zmqkernel.protocol.messages import Filter
from zmqkernel.protocol.wire import Wire
from zmqkernel.supervisor import journal as journals
from zmqkernel.supervisor import reader, segment
from zmqkernel.supervisor.journal import Journal

KINDS = ("torn tail", "zeroed tail", "bit flip")
ALL = Filter()
wire = Wire("", "damage")


class SilentlyWrong(Exception):
    """The journal gave back something that was never written, or lost something without a word."""


Written = dict[int, bytes]
"""Number to frame."""


@contextmanager
def small() -> Iterator[None]:
    """Segments, caches and steps so small that a little journal has all of their seams; no waiting for the disk, which
    loses nothing here."""
    places = [
        (os, "fdatasync", lambda _descriptor: None), (os, "fsync", lambda _descriptor: None),
        (journals, "SEGMENT", 6000), (journals, "CACHE", 0), (segment, "INDEX_EVERY", 700), (reader, "INDEX_EVERY", 700),
        (segment, "SCAN", 2000), (reader, "SPAN", 2000),
    ]  # fmt: skip
    before = [getattr(module, name) for module, name, _ in places]
    try:
        for module, name, value in places:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(places, before, strict=True):
            setattr(module, name, value)


class Writing:
    """A journal that notes what it is given, with the state record that begins every segment."""

    def __init__(self, directory: Path, written: Written, choose: random.Random) -> None:
        self.written = written
        self.choose = choose
        self.visited: list[format.Record] = []
        self.journal = Journal(directory, self.visited.append, first_record=self.state)

    def state(self) -> None:
        """What the supervisor does when a segment begins."""
        self.stage(format.event(self.journal.next, 0.0, "state", {"pending": [], "known": ["x" * 20] * 3}))

    def stage(self, record: format.Record) -> None:
        self.journal.stage(record)
        self.written[record.seq] = format.frame(record)

    def add(self, count: int) -> None:
        """Output of all sorts; some holds frames of this very journal, as when somebody shows its file."""
        choose = self.choose
        for _ in range(count):
            text = "".join(choose.choices("abc \n\x9bé", k=choose.choice((3, 20, 300))))
            shown = choose.choices(list(self.written.values()), k=2) if self.written and choose.random() < 0.1 else []
            message = wire.message("stream", {"name": "stdout", "text": text}, buffers=[*shown])
            self.stage(format.record_of(self.journal.next, choose.random(), "iopub", message, "e", "file:///a.py"))
            if choose.random() < 0.4:
                commit(self.journal)
        commit(self.journal)


def commit(journal: Journal) -> None:
    """Until the disk has taken it all."""
    while not journal.commit():
        time.sleep(0.01)


def spoil(directory: Path, kind: str, choose: random.Random) -> bool:
    """Damage one file. False: it was cut exactly between two records of the newest file, which nobody can see."""
    files = sorted(directory.glob("journal-*.zkj"))
    # A tail is mostly lost where the power failed; bits rot anywhere.
    path = files[-1] if kind != "bit flip" and choose.random() < 0.75 else choose.choice(files)
    data = bytearray(path.read_bytes())
    at = choose.randrange(len(data))
    if kind == "bit flip":
        for _ in range(choose.choice((1, 1, 1, 2, 5))):
            data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    elif kind == "zeroed tail":
        if not any(data[at:]):
            return True
        data[at:] = bytes(len(data) - at)
    else:
        starts = {item[0] for item in format.scan(bytes(data)) if not isinstance(item, format.Damage)}
        del data[at:]
        if path == files[-1] and at in starts:
            path.write_bytes(data)
            return False
    path.write_bytes(data)
    return True


def read_all(journal: Journal, choose: random.Random) -> dict[int, bytes]:
    """Everything, by pages of any size; numbers must rise."""
    found: dict[int, bytes] = {}
    after = journal.first - 1
    most = choose.choice((1, 500, 3000, 1 << 20))
    while after < journal.last:
        seen, frames = journal.read(after, most, ALL)
        if seen <= after:
            raise SilentlyWrong(f"reading after {after} of {journal.last} does not get on")
        for record in format.records(b"".join(frames)):
            if record.seq in found or record.seq <= after or record.seq > seen:
                raise SilentlyWrong(f"record {record.seq} came between {after} and {seen}")
            found[record.seq] = format.frame(record)
        after = seen
    return found


def compare(found: Written, written: Written, what: str) -> None:
    for number, frame in found.items():
        if written.get(number) != frame:
            raise SilentlyWrong(f"{what}: record {number} is not what was written")


def one(directory: Path, kind: str, choose: random.Random) -> str:
    """Write, spoil, open, read, append, open again. Says what came of it; raises SilentlyWrong."""
    written: Written = {}
    writing = Writing(directory, written, choose)
    writing.add(choose.randrange(20, 70))
    writing.journal.close()
    visible = spoil(directory, kind, choose)

    again = Writing(directory, written, choose)
    journal = again.journal
    compare({record.seq: format.frame(record) for record in again.visited}, written, "at opening")
    found = read_all(journal, choose)
    compare(found, written, "reading")
    lost = {number for item in journal.take_lost() for number in range(item.first, item.last + 1)}
    missing = {number for number in written if number <= journal.last and number not in found}
    if missing != lost:
        raise SilentlyWrong(f"{sorted(missing)} are missing, {sorted(lost)} were told")
    tail = {number for number in written if number > journal.last}
    if tail and visible and not journal.damage:
        raise SilentlyWrong(f"{sorted(tail)} are gone and nothing was told")
    if not (missing or tail or journal.damage):
        raise SilentlyWrong("the damage was not seen")

    for number in tail:
        del written[number]  # the tail is gone, and was told; its numbers are free (a new epoch begins)
    again.add(choose.randrange(1, 12))
    newest = journal.last
    journal.close()
    last = Writing(directory, written, choose)
    if last.journal.last != newest:
        raise SilentlyWrong(f"the newest record is {last.journal.last}, not {newest}")
    final = read_all(last.journal, choose)
    compare(final, written, "after appending")
    if set(final) != set(written) - missing:
        raise SilentlyWrong("what was appended after the damage is not all there")
    last.journal.close()
    return "cut between two records" if not visible else "tail told" if tail else "records told"


def damage(rounds: int, seed: int, say: Callable[[str], None]) -> Counter[tuple[str, str]]:
    """So many journals of each kind; the number of silently wrong ones is under the outcome ``silently wrong``."""
    outcomes: Counter[tuple[str, str]] = Counter()
    with small():
        for kind in KINDS:
            for number in range(rounds):
                with tempfile.TemporaryDirectory() as place:
                    try:
                        outcome = one(Path(place), kind, random.Random(f"{seed} {kind} {number}"))
                    except SilentlyWrong as error:
                        outcome = "silently wrong"
                        say(f"{kind} {number}: {error}")
                outcomes[kind, outcome] += 1
    return outcomes


def opening(megabytes: int) -> dict[str, float]:
    """Seconds of processor time: opening a large journal (with a visitor), reading its bytes once, reading all its pages."""
    choose = random.Random(1)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        writing = Writing(directory, {}, choose)
        journal = writing.journal
        texts = ["x" * size for size in (20, 80, 200, 1000, 20000)]
        messages = [wire.message("stream", {"name": "stdout", "text": text}) for text in texts]
        while sum(part.stat().st_size for part in directory.glob("journal-*.zkj")) < megabytes * 1_000_000:
            for _ in range(500):
                message = choose.choices(messages, (6, 6, 4, 2, 1))[0]
                journal.stage(format.record_of(journal.next, 1.0, "iopub", message, "execution", "file:///a.py"))
            commit(journal)
        journal.close()
        visited = 0

        def visit(_record: format.Record) -> None:
            nonlocal visited
            visited += 1

        figures: dict[str, float] = {}
        began = time.process_time()
        journal = Journal(directory, visit)
        figures["open"] = time.process_time() - began
        began = time.process_time()
        for path in directory.glob("journal-*.zkj"):
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
        figures["read the bytes"] = time.process_time() - began
        began = time.process_time()
        after, records = 0, journal.last
        while after < journal.last:
            after, _ = journal.read(after, 1 << 20, ALL)
        figures["read as pages"] = time.process_time() - began
        journal.close()
    figures |= {"records": records, "visited": visited}
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal_damage", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="journals of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=1000, help="the journal that is opened (0: none)")
    options = parser.parse_args()
    outcomes = damage(options.rounds, options.seed, lambda text: print(text, file=sys.stderr))
    for kind in KINDS:
        told = {outcome: count for (which, outcome), count in sorted(outcomes.items()) if which == kind}
        told.setdefault("silently wrong", 0)
        print(f"{kind}: {sum(told.values())} journals: " + ", ".join(f"{count} {text}" for text, count in told.items()))
    wrong = sum(count for (_, outcome), count in outcomes.items() if outcome == "silently wrong")
    if not options.megabytes:
        return int(wrong > 0)
    figures = opening(options.megabytes)
    print(f"a journal of {options.megabytes} MB, {figures['records']:.0f} records ({os.cpu_count()} processors):")
    print(f"  opening it: {figures['open']:.3f} s of processor time, {figures['visited']:.0f} records visited")
    for name in ("read the bytes", "read as pages"):
        print(f"  to {name} once: {figures[name]:.3f} s; opening / that = {figures['open'] / figures[name]:.3f}")
    return int(wrong > 0 or figures["open"] > figures["read as pages"])


if __name__ == "__main__":
    sys.exit(main())
