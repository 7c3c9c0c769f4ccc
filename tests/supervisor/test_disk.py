"""A disk that is full, may only be read or reports errors: the journal waits, and forgets nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.protocol import journal as format
from zmqkernel.supervisor import journal as rooms
from zmqkernel.supervisor import reserve, writer
from zmqkernel.supervisor.journal import Journal

from .disk import Disk, add, bad_disk, numbers, reopened, until


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield from bad_disk(monkeypatch)


class Clock:
    """Stands for ``time``: monotonic goes on only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


# --- the disk refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errno.ENOSPC, "the disk is full: output waits (less than 1 MB) until there is room"),
        (errno.EDQUOT, "the disk quota is used up: output waits (less than 1 MB) until there is room"),
        (errno.EROFS, "the disk may only be read: output waits (less than 1 MB) until it is written"),
        (errno.EIO, "the disk reports an error: output waits (less than 1 MB) until it is written"),
        (errno.EACCES, "the journal cannot be written (Permission denied): output waits (less than 1 MB)"),
    ],
)
@pytest.mark.parametrize("truncate_error", [0, errno.EIO])
def test_records_wait_and_the_file_stays_whole(
    tmp_path: Path, disk: Disk, error: int, says: str, truncate_error: int
) -> None:
    journal = Journal(tmp_path)
    add(journal)
    assert journal.commit()
    (path,) = tmp_path.glob("journal-*.zkj")
    size = path.stat().st_size
    disk.error, disk.partly, disk.truncate_error = error, 50, truncate_error
    add(journal)
    assert journal.commit() is False
    assert journal.trouble.startswith(says)
    assert (journal.has_staged, journal.last, journal.next) == (True, 1, 3)
    assert path.stat().st_size == size + (50 if truncate_error else 0)
    add(journal)
    assert 0 < journal.patience <= writer.RETRY_MOST
    assert numbers(journal) == [1]
    disk.error = 0
    if truncate_error:
        until(lambda: journal.patience == 0)
        assert journal.commit() is False, "it is not written behind half a frame"
        disk.truncate_error = 0
    until(journal.commit)
    assert (journal.trouble, journal.staged_bytes, journal.last) == ("", 0, 3)
    assert journal.close()
    assert reopened(tmp_path) == [1, 2, 3]


def test_half_a_frame_of_a_dead_process_is_cut_before_the_next(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path)
    add(journal)
    journal.commit()
    disk.error, disk.partly, disk.truncate_error = errno.EIO, 50, errno.EIO
    add(journal)
    assert not journal.commit()
    (path,) = tmp_path.glob("journal-*.zkj")
    disk.error = disk.truncate_error = 0
    again = Journal(tmp_path)  # while the other one lies dead
    assert (again.last, [item.torn for item in again.damage]) == (1, [True])
    add(again, "again")
    assert again.commit()
    assert again.close()
    assert reopened(tmp_path) == [1, 2]
    journal.close(0.1)
    assert path.exists()


def test_attempts_become_rare(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(writer, "time", clock)
    monkeypatch.setattr(rooms, "time", clock)
    journal = Journal(tmp_path)
    disk.error = errno.EROFS
    add(journal)
    for _ in range(6000):  # a minute of turns
        assert not journal.commit()
        clock.now += 0.01
    assert 60 <= disk.writes <= 66
    disk.error = 0
    clock.now += 1.01
    assert journal.commit()
    disk.error = errno.EROFS
    add(journal)
    assert not journal.commit()
    assert journal.patience == pytest.approx(writer.RETRY_FIRST), "the next trouble begins with short pauses again"
    disk.error = 0
    monkeypatch.setattr(rooms, "time", time)
    monkeypatch.setattr(writer, "time", time)
    journal.close()


def test_the_reserve_is_given_up_for_what_is_under_way(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "AGAIN", 0.0)
    kept = tmp_path / "reserve"
    journal = Journal(tmp_path)
    add(journal)
    journal.commit()
    until(lambda: kept.exists() and kept.stat().st_blocks * 512 >= reserve.RESERVE)
    disk.error = errno.ENOSPC
    real = reserve.Reserve.give_up

    def room(self: reserve.Reserve) -> bool:
        disk.error = 0
        return real(self)

    monkeypatch.setattr(reserve.Reserve, "give_up", room)
    add(journal)
    assert journal.commit(), "the reserve made room"
    assert journal.trouble == ""
    add(journal)
    assert journal.commit()
    until(kept.exists)  # made again when there is room
    assert journal.close()
    assert not kept.exists(), "a session that is over keeps no room"


def test_closing_on_a_full_disk_says_what_was_not_written(
    tmp_path: Path, disk: Disk, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path)
    add(journal)
    journal.commit()
    disk.error = errno.ENOSPC
    add(journal)
    add(journal)
    assert journal.close() is False
    assert "records 2 to 3" in (said := capfd.readouterr().err)
    assert "the disk is full" in said


CHILD = """
import json, os, resource, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.supervisor.disk import Journal, add, numbers, until
directory = Path(sys.argv[1])
said = {{}}
{body}
print(json.dumps(said))
"""


def child(body: str, directory: Path, *before: str) -> dict[str, Any]:
    """Run ``body`` in a process of its own; it leaves what it found in ``said``."""
    root = str(Path(__file__).parent.parent.parent)
    text = CHILD.format(root=root, body=body)
    command = [*before, sys.executable, "-c", text, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_file_size_limit_only_makes_more_files(tmp_path: Path) -> None:
    said = child(
        """
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
def state():
    add(journal, "state")
journal = Journal(directory, first_record=state)
for _ in range(500):
    add(journal, "x" * 2000)
    until(journal.commit)
said["last"] = journal.last
add(journal, "x" * 300_000)  # more than a file may have
until(lambda: journal.commit() or journal.trouble)
said["too long"] = journal.commit()
said["trouble"] = journal.trouble
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
until(journal.commit)
said["next"] = journal.next
journal.close()
""",
        tmp_path,
    )
    assert said["last"] >= 500
    assert said["too long"] is False
    assert "may not grow" in said["trouble"]
    assert len(list(tmp_path.glob("journal-*.zkj"))) > 5
    assert reopened(tmp_path) == list(range(1, said["next"]))


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=12m,mode=700 none "$1" && shift && exec "$@"',
        "sh",
    ]
    if os.getuid() or subprocess.run([*mount, str(tmp_path), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    said = child(
        """
journal = Journal(directory)
add(journal)
until(journal.commit)
until((directory / "reserve").exists)
(directory / "filler").write_bytes(bytes(5_000_000))
while journal.staged_bytes < 3_000_000:
    for _ in range(5):
        add(journal, "x" * 2000)
    journal.commit()
said["reserve"] = (directory / "reserve").exists()
said["trouble"] = journal.trouble
said["readable"] = numbers(journal) == list(range(1, journal.last + 1))
said["bytes"] = sum(path.stat().st_size for path in directory.glob("journal-*"))
other = Journal(directory)  # what a successor would see now
said["whole"] = (other.damage, other.last == journal.last)
other.close()
(directory / "filler").unlink()
until(journal.commit)
said["after"] = journal.commit() and journal.trouble == ""
said["closed"] = journal.close()
again = Journal(directory)
said["all"] = numbers(again) == list(range(1, journal.next)) and not again.damage
again.close()
""",
        tmp_path,
        *mount,
        str(tmp_path),
    )
    assert said["reserve"] is False
    assert said["trouble"] == "the disk is full: output waits (3 MB) until there is room"
    assert said["bytes"] > 5_000_000, "the reserve was written to"
    assert said["whole"] == [[], True]
    assert said["readable"] and said["after"] and said["closed"] and said["all"]


def test_much_at_once_is_written_in_parts(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "JOB", 2000)
    monkeypatch.setattr(rooms, "SEGMENT", 5000)
    states: list[int] = []

    def state() -> None:
        states.append(journal.next)
        journal.stage(format.event(journal.next, 1.0, "state", {}))

    journal = Journal(tmp_path, first_record=state)
    for _ in range(6):
        for _ in range(20):
            add(journal)
        add(journal, "x" * 7000)  # longer than a part, and than a segment
        before = disk.writes
        assert journal.commit()
        assert disk.writes > before + 3
    assert journal.close()
    assert reopened(tmp_path) == list(range(1, journal.next))
    assert [int(path.stem.partition("-")[2]) for path in sorted(tmp_path.glob("journal-*.zkj"))] == [1, *states]
    for path in sorted(tmp_path.glob("journal-*.zkj"))[1:]:
        assert format.records(path.read_bytes())[0].msg_type == "state"
