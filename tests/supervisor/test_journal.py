"""The journal on disk: what was committed is there, in order, whatever happened to the file's end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from zmqkernel.protocol import journal as format
from zmqkernel.protocol.messages import Filter
from zmqkernel.protocol.wire import Wire
from zmqkernel.supervisor import journal as rooms
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
    monkeypatch.setattr(rooms, "INDEX_EVERY", 500)
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


def test_a_full_disk_leaves_the_file_whole_and_the_records_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = fill(tmp_path, 3)
    add(journal, "x" * 1000)
    real = rooms.os.write

    def full(descriptor: int, data: bytes) -> int:
        real(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rooms.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.commit()
    monkeypatch.undo()
    assert journal.has_staged
    journal.commit()
    journal.close()
    again = Journal(tmp_path)
    assert [record.seq for record in read_all(again)] == [1, 2, 3, 4]
    assert not again.damage
    again.close()
