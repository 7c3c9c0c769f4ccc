"""The benchmarks that hold the promises notice when one is broken, and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from benchmarks import crowd, gil, kills, life
from benchmarks.batches import Batch, read
from benchmarks.check import Answered, check, checksum
from benchmarks.ground import STOP, Cell, Ground, Noted
from benchmarks.place import Place
from benchmarks.readers import Sum
from zmqkernel.protocol.journal import Record

EXECUTION = "a cell"


@dataclass
class Story:
    """A made-up round in which nothing is wrong: one cell that prints twice, and a client that reads along."""

    records: list[Record] = field(default_factory=list)
    noted: dict[int, Noted] = field(default_factory=lambda: {7: Noted(1, {"p": 2})})
    answered: dict[int, Answered] = field(default_factory=lambda: {7: Answered(["ok"], "<7p0>\n<7p1>\n")})
    seen: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add("submit", "execute_request", {"code": "benchmarks.ground.Cell('/x', 7).chain()"})
        self.add("iopub", "stream", {"name": "stdout", "text": "<7p0>\n"})
        self.add("iopub", "stream", {"name": "stdout", "text": "<7p1>\n"})
        self.add("reply", "execute_reply", {"status": "ok"})
        self.seen = [(record.seq, checksum(record)) for record in self.records]

    def add(self, kind: str, msg_type: str, content: object) -> None:
        """One more record."""
        seq = 11 + len(self.records)
        self.records.append(Record(seq, 0.0, kind, msg_type, EXECUTION, content=msgspec.json.encode(content)))

    def renumber(self) -> None:
        """After a change: the journal knows of nothing."""
        self.records = [msgspec.structs.replace(one, seq=11 + at) for at, one in enumerate(self.records)]
        self.seen = [(record.seq, checksum(record)) for record in self.records]

    def broken(self) -> list[str]:
        """What the checker says."""
        return check(self.records, 10, self.noted, self.answered, self.seen)


def lose_a_line(story: Story) -> None:
    del story.records[2]
    story.renumber()


def lose_the_first_line(story: Story) -> None:
    del story.records[1]
    story.renumber()


def repeat_a_line(story: Story) -> None:
    story.records.insert(3, story.records[2])
    story.renumber()


def swap_lines(story: Story) -> None:
    story.records[1], story.records[2] = story.records[2], story.records[1]
    story.renumber()


def print_after_the_reply(story: Story) -> None:
    story.records[2], story.records[3] = story.records[3], story.records[2]
    story.renumber()


def tear_a_line(story: Story) -> None:
    story.records[1] = msgspec.structs.replace(story.records[1], content=b'{"name":"stdout","text":"<7p0><7"}')
    story.renumber()


def answer_again(story: Story) -> None:
    story.records.append(story.records[3])
    story.renumber()


def answer_never(story: Story) -> None:
    story.records.pop()
    story.renumber()


def answer_the_client_again(story: Story) -> None:
    story.answered[7].statuses.append("ok")


def answer_the_client_otherwise(story: Story) -> None:
    story.answered[7].statuses = ["error"]


def journal_the_request_again(story: Story) -> None:
    story.records.insert(1, story.records[0])
    story.renumber()


def execute_again(story: Story) -> None:
    story.noted[7].begun = 2


def never_execute(story: Story) -> None:
    story.noted[7].begun = 0


def leave_a_hole_in_the_numbers(story: Story) -> None:
    story.records[1:] = [msgspec.structs.replace(one, seq=one.seq + 1) for one in story.records[1:]]


def announce_a_gap(story: Story) -> None:
    story.add("event", "gap", {"reason": "unknown"})


def forget_what_was_seen(story: Story) -> None:
    story.seen.append((15, 1))


def change_what_was_seen(story: Story) -> None:
    story.seen[1] = (story.seen[1][0], story.seen[1][1] ^ 1)


def skip_what_was_seen(story: Story) -> None:
    del story.seen[1]


def give_a_line_to_nobody(story: Story) -> None:
    story.records[2] = msgspec.structs.replace(story.records[2], execution="another")
    story.renumber()


def mix_cells(story: Story) -> None:
    story.records[1] = msgspec.structs.replace(story.records[1], content=b'{"name":"stdout","text":"<8p0>\\n"}')
    story.renumber()


def invent_lines(story: Story) -> None:
    story.noted[7].returned["p"] = 0


def read_less(story: Story) -> None:
    story.answered[7].text = "<7p0>\n"


def test_nothing_is_said_when_nothing_is_wrong() -> None:
    assert Story().broken() == []
    one_more = Story(noted={7: Noted(1, {"p": 1})})  # killed between the print and the note
    assert one_more.broken() == []
    halves = Story()
    halves.records[1] = msgspec.structs.replace(halves.records[1], content=b'{"name":"stdout","text":"<7"}')
    halves.records[2] = msgspec.structs.replace(halves.records[2], content=b'{"name":"stdout","text":"p0>\\n<7p1>\\n"}')
    halves.renumber()
    assert halves.broken() == []  # a message may end in the middle of a line


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (lose_a_line, "2 had returned, 1 are in the journal"),
        (lose_the_first_line, "1 where 0 should be"),
        (repeat_a_line, "twice"),
        (swap_lines, "1 where 0 should be"),
        (print_after_the_reply, "after the reply"),
        (tear_a_line, "torn text"),
        (answer_again, "2 replies to 1 requests"),
        (answer_never, "0 replies to 1 requests"),
        (answer_the_client_again, "the client got 2 answers"),
        (answer_the_client_otherwise, "the client got ['error']"),
        (journal_the_request_again, "2 times in the journal"),
        (execute_again, "executed 2 times"),
        (never_execute, "never executed"),
        (leave_a_hole_in_the_numbers, "position 13 where 12 should be"),
        (announce_a_gap, "a gap at 15"),
        (forget_what_was_seen, "had seen is lost: 15"),
        (change_what_was_seen, "12 is not what the follower had seen"),
        (skip_what_was_seen, "the follower got 13 after 11"),
        (give_a_line_to_nobody, "belongs to no cell"),
        (mix_cells, "belongs to another cell"),
        (invent_lines, "0 had returned, but 2"),
        (read_less, "the client read 6 characters"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_harm_is_noticed(harm: Callable[[Story], None], word: str) -> None:
    story = Story()
    harm(story)
    assert any(word in sentence for sentence in story.broken()), story.broken()


def test_a_cell_notes_its_beginning_and_each_print_that_returned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground(tmp_path / "ground")
    assert f"Cell({str(ground.directory)!r}, 3).chain()" in ground.code(3, "chain()")
    assert ground.noted(3).begun == 0
    Cell(str(ground.directory), 3).chain()
    assert capsys.readouterr().out == "<3p0>\n<3p1>\n"
    assert ground.noted(3) == Noted(1, {"p": 2, "c": 0, "s": 0, "d": 0})
    ground.command(3, STOP)
    Cell(str(ground.directory), 3).flood()  # would print much, but is told to end
    assert ground.noted(3).begun == 2


def test_batches_add_up(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    first = Batch("kills", path)
    first.add({"broken": []})
    Batch("life", path).add({"broken": ["it grew"]})
    second = Batch("kills", path)
    second.add({"broken": ["lost"]})
    assert [one["broken"] for one in read(path, "kills")] == [[], ["lost"]]
    assert len(second.all) == 2 and len(second.new) == 1
    assert second.is_broken and not first.is_broken
    assert json.loads(second.evidence("round", {"why": "lost"}).read_text()) == {"why": "lost"}


def test_every_way_to_die_meets_every_moment() -> None:
    rounds = kills.plan(1, [])
    assert {killed for killed, _ in rounds} == set(kills.WEIGHTS)
    assert {moment for killed, moment in rounds if killed == "both"} == set(kills.CALLS)
    assert {killed for killed, _ in kills.plan(1, ["os."])} == {"os._exit", "os.abort"}


def test_a_reader_who_missed_something_is_noticed() -> None:
    wanted = crowd.expected(10, 3)
    assert wanted.text == 20 and wanted.images == 3
    good = Sum()
    for number in range(3):
        good.add("display_data", {"data": {"image/png": f"{number:08d}" * (crowd.IMAGE // 8)}})
    good.add("stream", {"text": "".join(f"{number}\n" for number in range(10))})
    assert crowd.judge([("ours", 1, [good])], wanted, 1.0) == []
    assert crowd.judge([("ours", 1, [replace(good, text_sum=1)])], wanted, 1.0)
    assert crowd.judge([("ours", 1, [replace(good, numbers=False)])], wanted, 1.0)
    assert "1 of 2 did not come" in crowd.judge([("stalled", 2, [good])], wanted, 1.0)[0]
    assert "grew" in crowd.judge([], wanted, crowd.GROWTH_MEGABYTES + 1)[0]


def test_a_slow_door_is_noticed() -> None:
    samples = {"idle": {"info": [1.0, 2.0, 3.0]}, "waits": {"info": [2.9]}, "computes": {"info": [3.1]}}
    waits, computes = gil.judge(samples)
    assert waits["ratio"] == 1.45 and not waits["broken"]
    assert computes["ratio"] == 1.55 and computes["broken"]
    assert "1.55 MISSED" in gil.summary([waits, computes])


def test_growth_is_noticed(home: Path) -> None:
    with Place() as place:
        samples = life.Samples(place, [])
    samples.values["files", "sockets"] = [5.0] * 10 + [7.0] * 10 + [9.0] * 10
    samples.values["MB", "supervisor"] = [20.0] * 10 + [30.0] * 10 + [20.0] * 10
    assert [row["too_much"] for row in samples.growth(judge=True)] == [True, False]


@pytest.mark.parametrize(
    "arguments",
    [
        ["kills", "--kills", "3", "--sessions", "1", "--seed", "5", "--only", "SIGKILL/flood,os._exit/flood"],
        ["crowd", "--clients", "2", "--processes", "1", "--lines", "2000", "--images", "100"],
        ["gil", "--rounds", "1", "--seconds", "2"],
        ["life", "--minutes", "0.1", "--who", "kernel", "--kill-every", "2"],
    ],
    ids=lambda value: value[0],
)
def test_each_runs_in_a_small_form(arguments: list[str], home: Path) -> None:
    record = home / "record.jsonl"
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:], "--record", str(record)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False)
    assert read(record, arguments[0]), done.stderr
    assert done.stdout.startswith("| ")
    # How fast the door is, and how much memory is used for how much output, is not a matter of this test.
    broken = [text for one in read(record, arguments[0]) for text in one["broken"] if arguments[0] in ("kills", "life")]
    assert not broken, (broken, done.stderr)
