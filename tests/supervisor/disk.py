"""What the tests of a bad disk share: a journal's records, waiting for a condition, and a disk that can be refused or held."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.protocol import journal as format
from zmqkernel.protocol.messages import Filter
from zmqkernel.protocol.wire import Wire
from zmqkernel.supervisor import sync, writer
from zmqkernel.supervisor.journal import Journal

wire = Wire("", "test")


def add(journal: Journal, text: str = "x" * 100) -> None:
    message = wire.message("stream", {"name": "stdout", "text": text})
    journal.stage(format.record_of(journal.next, 1.0, "iopub", message, "e", ""))


def numbers(journal: Journal) -> list[int]:
    after, found = journal.first - 1, list[int]()
    while after < journal.last:
        after, frames = journal.read(after, 1 << 20, Filter())
        found += [record.seq for record in format.records(b"".join(frames))]
    return found


def reopened(directory: Path) -> list[int]:
    """What a new process reads; nothing may be damaged."""
    journal = Journal(directory)
    found = numbers(journal)
    assert not journal.damage
    assert journal.take_lost() == []
    journal.close()
    return found


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class Disk:
    """Stands for ``os`` in the writer and the sync thread: what they ask of the disk can be refused or held."""

    def __init__(self) -> None:
        self.error = 0
        self.partly = 0
        """Bytes that are written before the error."""
        self.truncate_error = 0
        self.write_held = threading.Event()
        self.sync_held = threading.Event()
        self.writes = self.inside = 0
        self.writers: set[str] = set()
        self.release()

    def release(self) -> None:
        self.write_held.set()
        self.sync_held.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        if descriptor == 2:
            return os.write(2, data)
        self.writes += 1
        self.writers.add(threading.current_thread().name)
        self.inside += 1
        self.write_held.wait(60)
        self.inside -= 1
        if self.error:
            os.write(descriptor, data[: self.partly])
            raise OSError(self.error, os.strerror(self.error))
        return os.write(descriptor, data)

    def ftruncate(self, descriptor: int, size: int) -> None:
        if self.truncate_error:
            raise OSError(self.truncate_error, os.strerror(self.truncate_error))
        os.ftruncate(descriptor, size)

    def fdatasync(self, descriptor: int) -> None:
        self.sync_held.wait(60)
        os.fdatasync(descriptor)


def bad_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Put it in place; at the end every thread of the journal must end."""
    fake = Disk()
    monkeypatch.setattr(writer, "os", fake)
    monkeypatch.setattr(sync, "os", fake)
    before = set(threading.enumerate())
    yield fake
    fake.release()
    until(lambda: set(threading.enumerate()) <= before)
