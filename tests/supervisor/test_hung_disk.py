"""A disk that does not answer: the journal's threads wait for it, and nobody else does."""

from __future__ import annotations

import errno
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqkernel.protocol import journal as format
from zmqkernel.supervisor import journal as rooms
from zmqkernel.supervisor import writer
from zmqkernel.supervisor.journal import Journal

from .disk import Disk, add, bad_disk, numbers, reopened, until


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(writer, "SLOW", 0.05)
    yield from bad_disk(monkeypatch)


def readable(journal: Journal) -> bool:
    return bool(select.select([journal.wake], [], [], 0)[0])


def slow_sync(journal: Journal, disk: Disk) -> None:
    """Until the sync thread hangs in fdatasync for long enough."""
    disk.sync_held.clear()
    add(journal)
    assert journal.commit()
    until(lambda: journal._writer._sync.began)
    time.sleep(2 * writer.SLOW)


def test_while_the_disk_is_told_the_thread_writes(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SILENT", 0.02)
    monkeypatch.setattr(writer, "BEHAVED", 0.2)
    journal = Journal(tmp_path)
    slow_sync(journal, disk)
    assert disk.writers == {"MainThread"}
    until(lambda: "a power failure" in journal.trouble)
    assert journal.trouble.startswith("the disk does not answer since")
    add(journal)
    assert journal.commit() is False
    assert journal.patience == float("inf"), "wake says when"
    until(lambda: readable(journal))
    assert journal.commit()
    assert not readable(journal)
    assert "journal-writer" in disk.writers
    assert (journal.last, journal.next) == (2, 3)
    disk.release()
    until(lambda: not journal._writer._sync.began)
    time.sleep(0.3)
    disk.writers.clear()
    add(journal)
    assert journal.commit()
    assert disk.writers == {"MainThread"}, "the disk has behaved for a while"
    assert journal.close()
    assert reopened(tmp_path) == [1, 2, 3]


def test_a_hung_write_holds_up_nobody(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SEGMENT", 5000)
    monkeypatch.setattr(writer, "SILENT", 0.02)
    states: list[int] = []

    def state() -> None:
        states.append(journal.next)
        journal.stage(format.event(journal.next, 1.0, "state", {}))

    journal = Journal(tmp_path, first_record=state)
    slow_sync(journal, disk)
    disk.write_held.clear()
    for _ in range(100):
        add(journal)
        assert journal.commit() is False
    until(lambda: disk.inside)
    until(lambda: "output waits" in journal.trouble)
    assert journal.trouble.startswith("the disk does not answer since 1 s: output waits (less than 1 MB)")
    assert journal.staged_bytes > 10_000
    assert numbers(journal) == [1]
    assert journal.prune(journal.next, time.time()) == 0
    disk.release()
    until(journal.commit)
    assert (journal.trouble, journal.staged_bytes) == ("", 0)
    for _ in range(100):
        add(journal)
        until(journal.commit)
    assert numbers(journal) == list(range(1, journal.next))
    assert journal.close()
    assert reopened(tmp_path) == list(range(1, journal.next))
    assert [int(path.stem.partition("-")[2]) for path in sorted(tmp_path.glob("journal-*.zkj"))] == [1, *states]


def test_a_refusal_in_the_thread_is_tried_again(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path)
    slow_sync(journal, disk)
    disk.error, disk.partly = errno.ENOSPC, 10
    add(journal)
    assert not journal.commit()
    until(lambda: readable(journal))
    assert not journal.commit()
    assert journal.trouble.startswith("the disk is full")
    disk.error = 0
    until(journal.commit)
    disk.release()
    assert journal.close()
    assert reopened(tmp_path) == [1, 2]


def test_closing_does_not_wait_for_a_dead_disk(tmp_path: Path, disk: Disk, capfd: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path)
    slow_sync(journal, disk)
    disk.write_held.clear()
    add(journal)
    assert journal.commit() is False
    until(lambda: disk.inside)
    add(journal)
    assert journal.close(0.3) is False
    assert "records 2 to 3" in capfd.readouterr().err
    disk.release()


def test_closing_waits_for_a_disk_that_answers_late(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path)
    slow_sync(journal, disk)
    disk.write_held.clear()
    add(journal)
    assert journal.commit() is False
    add(journal)
    timer = threading.Timer(0.3, disk.release)
    timer.start()
    assert journal.close(20.0)
    timer.join()
    assert reopened(tmp_path) == [1, 2, 3]


def test_a_disk_that_does_not_take_what_it_is_told(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk, "fdatasync", refuse)
    journal = Journal(tmp_path)
    add(journal)
    assert journal.commit()
    until(lambda: journal.trouble)
    assert journal.trouble.startswith("the disk does not take what it is told (Input/output error): a power failure")
    monkeypatch.delattr(disk, "fdatasync")
    add(journal)
    assert journal.commit()
    until(lambda: not journal.trouble)
    assert journal.close()
    assert capfd.readouterr().err.count("fdatasync") == 1
