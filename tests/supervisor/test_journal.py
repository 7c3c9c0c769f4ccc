"""The journal on disk: what was committed is there, in order, whatever happened to the file's end."""

from __future__ import annotations

import os
import random
import tempfile
import time
import zlib
from pathlib import Path

import msgspec
import pytest

from benchmarks import journal_damage
from zmqkernel.protocol import journal as format
from zmqkernel.protocol.errors import JournalDamaged
from zmqkernel.protocol.messages import Filter
from zmqkernel.protocol.wire import Wire
from zmqkernel.supervisor import journal as rooms
from zmqkernel.supervisor import reader, segment
from zmqkernel.supervisor.journal import Journal

ALL = Filter()
wire = Wire("", "test")


def add(journal: Journal, text: str, execution: str = "e", document: str = "") -> None:
    message = wire.message("stream", {"name": "stdout", "text": text})
    journal.stage(format.record_of(journal.next, 1.0, "iopub", message, execution, document))


def read_all(journal: Journal, after: int = 0, most: int = 1 << 20, wanted: Filter = ALL) -> list[format.Record]:
    found: list[format.Record] = []
    while after < journal.last:
        after, frames = journal.read(after, most, wanted)
        found += format.records(b"".join(frames))
    return found


def fill(directory: Path, count: int) -> Journal:
    journal = Journal(directory)
    for number in range(count):
        add(journal, f"line {number}\n")
        if number % 7 == 0:
            journal.commit()
    journal.commit()
    return journal


def test_numbers_go_on_after_reopening(tmp_path: Path) -> None:
    fill(tmp_path, 10).close()
    seen: list[int] = []
    journal = Journal(tmp_path, lambda record: seen.append(record.seq))
    assert seen == list(range(1, 11))
    add(journal, "more")
    journal.commit()
    assert [record.seq for record in read_all(journal)] == list(range(1, 12))
    journal.close()


@pytest.mark.parametrize("most", [1, 300, 5000, 1 << 20])
@pytest.mark.parametrize("cache", [0, 2000, 1 << 20])
def test_reading_by_pages_gives_every_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, cache: int
) -> None:
    monkeypatch.setattr(rooms, "CACHE", cache)
    monkeypatch.setattr(rooms, "SEGMENT", 4000)
    monkeypatch.setattr(segment, "INDEX_EVERY", 500)
    journal = fill(tmp_path, 200)
    assert len(list(tmp_path.glob("journal-*.zkj"))) > 3
    for after in (0, 1, 57, 199):
        assert [record.seq for record in read_all(journal, after, most)] == list(range(after + 1, 201))
    journal.close()
    again = Journal(tmp_path)
    assert [record.seq for record in read_all(again, 0, most)] == list(range(1, 201))
    again.close()


def test_filters(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    add(journal, "a", "one", "file:///a.py")
    add(journal, "b", "two", "file:///b.py")
    journal.stage(format.event(journal.next, 1.0, "kernel_died", {"reason": "x"}))
    journal.commit()
    assert [r.execution for r in read_all(journal, wanted=Filter(document="file:///b.py"))] == ["two", ""]
    assert [r.execution for r in read_all(journal, wanted=Filter(execution="one"))] == ["one", ""]
    journal.close()


@pytest.mark.parametrize("most", [1, 400, 1 << 20])
def test_a_narrow_filter_over_many_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 9000)
    monkeypatch.setattr(rooms, "CACHE", 0)
    monkeypatch.setattr(reader, "SPAN", 2000)
    monkeypatch.setattr(reader, "INDEX_EVERY", 500)
    journal = Journal(tmp_path)
    choose = random.Random(3)
    rare = {number for number in range(1, 401) if choose.random() < 0.03}
    for number in range(1, 401):
        add(journal, "x" * choose.randrange(300), "rare" if number in rare else "often")
        journal.commit()
    for after in (0, 57, 399):
        found = [record.seq for record in read_all(journal, after, most, Filter(execution="rare"))]
        assert found == sorted(number for number in rare if number > after)
    assert journal.take_lost() == []
    journal.close()


def test_a_torn_tail_is_cut_and_writing_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, 20).close()
    (path,) = tmp_path.glob("journal-*.zkj")
    whole = path.read_bytes()
    choose = random.Random(7)
    for _ in range(50):
        path.write_bytes(whole[: choose.randrange(1, len(whole))])
        journal = Journal(tmp_path)
        kept = journal.last
        add(journal, "after")
        journal.commit()
        found = read_all(journal)
        assert [record.seq for record in found] == list(range(1, kept + 2))
        assert found[-1].data["text"] == "after"
        journal.close()


def test_a_flipped_bit_is_never_taken_for_a_record(tmp_path: Path) -> None:
    fill(tmp_path, 20).close()
    (path,) = tmp_path.glob("journal-*.zkj")
    whole = path.read_bytes()
    choose = random.Random(8)
    for _ in range(100):
        broken = bytearray(whole)
        broken[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        path.write_bytes(broken)
        journal = Journal(tmp_path)
        assert journal.damage
        for record in read_all(journal):
            assert record.data["text"] == f"line {record.seq - 1}\n"
        journal.close()


# --- states: what the newest segments say suffices ---------------------------------------------------------------------


class Session:
    """The supervisor's part: a state record at the beginning of every segment; ``visited`` is what opening showed."""

    def __init__(self, directory: Path) -> None:
        self.visited: list[format.Record] = []
        self.journal = Journal(directory, self.visited.append, first_record=self.state)

    def state(self) -> None:
        self.journal.stage(format.event(self.journal.next, 1.0, "state", {"pending": [self.journal.next - 1]}))

    def fill(self, count: int) -> Session:
        for number in range(count):
            add(self.journal, f"line {number}\n")
            assert self.journal.commit()
        return self


def starts(directory: Path) -> list[int]:
    return [int(path.stem.partition("-")[2]) for path in sorted(directory.glob("journal-*.zkj"))]


def test_every_later_segment_begins_with_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 3000)
    session = Session(tmp_path).fill(60)
    found = read_all(session.journal)
    assert [record.seq for record in found] == list(range(1, session.journal.next))
    states = [record.seq for record in found if record.msg_type == "state"]
    assert len(states) > 3
    assert states == starts(tmp_path)[1:]
    assert session.journal.last == session.journal.next - 1, "the state is written in the commit that ends a segment"
    session.journal.close()
    again = Session(tmp_path)
    assert [record.seq for record in again.visited] == list(range(states[-1], session.journal.next))
    again.journal.close()


def test_a_state_longer_than_a_segment_does_not_begin_one_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 50)
    session = Session(tmp_path).fill(5)
    assert len(starts(tmp_path)) <= 6
    assert [record.seq for record in read_all(session.journal)] == list(range(1, session.journal.next))
    session.journal.close()


def test_without_a_readable_state_the_segment_before_is_read_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 3000)
    session = Session(tmp_path).fill(60)
    newest = session.journal.last
    session.journal.close()
    first = starts(tmp_path)
    path = sorted(tmp_path.glob("journal-*.zkj"))[-1]
    spoiled = bytearray(path.read_bytes())
    spoiled[20] ^= 1
    path.write_bytes(spoiled)
    again = Session(tmp_path)
    kept = [number for number in range(first[-2], newest + 1) if number != first[-1]]
    assert [record.seq for record in again.visited] == kept
    assert [damage.start for damage in again.journal.damage] == [0]
    assert again.journal.take_lost() == [(first[-1], first[-1])]
    assert again.journal.last == newest
    again.journal.close()


def test_a_journal_without_any_state_is_read_from_its_last_two_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 2000)
    journal = fill(tmp_path, 100)
    last = journal.last
    journal.close()
    session = Session(tmp_path)
    assert [record.seq for record in session.visited] == list(range(starts(tmp_path)[-2], last + 1))
    session.journal.close()


def test_records_of_older_journals_are_read(tmp_path: Path) -> None:
    rows = [[number, 1.0, "iopub", "stream", "e", "d", *[b"{}"] * 3, b'{"text":"old"}', []] for number in (1, 2, 3)]
    bodies = [msgspec.msgpack.encode(row) for row in rows]
    data = b"".join(format.FRAME.pack(len(body), zlib.crc32(body)) + body for body in bodies)
    (tmp_path / f"journal-{1:016d}.zkj").write_bytes(data)
    seen: list[int] = []
    journal = Journal(tmp_path, lambda record: seen.append(record.seq))
    assert seen == [1, 2, 3]
    add(journal, "new")
    assert journal.commit()
    assert [record.data["text"] for record in read_all(journal)] == ["old"] * 3 + ["new"]
    journal.close()


def test_what_a_newer_version_wrote_is_not_cut_away(tmp_path: Path) -> None:
    fill(tmp_path, 3).close()
    (path,) = tmp_path.glob("journal-*.zkj")
    body = msgspec.msgpack.encode([4, {"time": "not a number any more"}, *["x"] * 9])
    whole = path.read_bytes() + format.FRAME.pack(len(body), zlib.crc32(body)) + body
    path.write_bytes(whole)
    with pytest.raises(JournalDamaged, match="this version of zmqkernel cannot read"):
        Journal(tmp_path)
    assert path.read_bytes() == whole


# --- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", journal_damage.KINDS)
def test_nothing_is_silently_wrong(kind: str) -> None:
    with journal_damage.small():
        for number in range(60):
            with tempfile.TemporaryDirectory() as place:
                journal_damage.one(Path(place), kind, random.Random(f"test {kind} {number}"))


def test_lost_records_are_told_once_and_reading_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 3000)
    fill(tmp_path, 100).close()
    first = starts(tmp_path)
    paths = sorted(tmp_path.glob("journal-*.zkj"))
    paths[1].unlink()
    paths[2].write_bytes(paths[2].read_bytes()[:-3])
    journal = Journal(tmp_path)
    expected = [*range(1, first[1]), *range(first[2], first[3] - 1), *range(first[3], 101)]
    for most in (1, 5000):
        assert [record.seq for record in read_all(journal, 0, most)] == expected
    # The file that is not there is no segment: what came before it is followed by the next.
    assert journal.take_lost() == [(first[1], first[2] - 1), (first[3] - 1, first[3] - 1)]
    paths[3].unlink()  # while it is open
    assert [record.seq for record in read_all(journal)] == [n for n in expected if not first[3] <= n < first[4]]
    assert journal.take_lost() == [(first[3], first[4] - 1)]
    journal.close()


def test_any_place_of_an_older_segment_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 50_000)
    monkeypatch.setattr(reader, "INDEX_EVERY", 500)
    monkeypatch.setattr(segment, "INDEX_EVERY", 500)
    journal = Journal(tmp_path)
    for text in ["x"] * 50 + ["y" * 9000] * 3 + ["z"] * 50:
        add(journal, text)
        journal.commit()
    for _ in range(300):
        add(journal, "of the next segment")
        journal.commit()
    journal.close()
    for after in (90, 2, 51, 102, 50, 0, 99, 140):  # an older segment's index is made as it is read
        journal = Journal(tmp_path)
        for most in (1, 10, 1):
            seen, frames = journal.read(after, most, ALL)
            assert (seen, [record.seq for record in format.records(b"".join(frames))]) == (after + 1, [after + 1])
        journal.close()


def test_two_records_never_get_one_number(tmp_path: Path) -> None:
    journal = fill(tmp_path, 3)
    with pytest.raises(ValueError, match="staged as number 4"):
        journal.stage(format.event(3, 1.0, "open", {}))
    journal.close()


# --- retention ---------------------------------------------------------------------------------------------------------


def test_pruning_by_size_and_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 3000)
    monkeypatch.setattr(rooms, "CACHE", 0)
    journal = Session(tmp_path).fill(100).journal
    first, now = starts(tmp_path), time.time()
    assert journal.prune(journal.next, now) == 0, "within the limits"
    journal.size_limit = 0
    assert journal.prune(first[1] - 1, now) == 0, "it holds the record that is needed"
    assert journal.prune(first[2], now) == first[2] - 1
    assert (journal.first, starts(tmp_path)) == (first[2], first[2:])
    journal.size_limit = 1 << 40
    assert journal.prune(journal.next, now) == 0
    os.utime(sorted(tmp_path.glob("journal-*.zkj"))[0], (now, now - 100 * 86400))
    assert journal.prune(journal.next, now) == first[3] - first[2]
    assert [record.seq for record in read_all(journal)] == list(range(first[3], journal.next))
    journal.size_limit = 0
    journal.prune(journal.next, now)
    assert starts(tmp_path) == first[-1:], "the newest stays"
    add(journal, "more")
    assert journal.commit()
    assert [record.seq for record in read_all(journal)] == list(range(first[-1], journal.next))
    journal.close()
