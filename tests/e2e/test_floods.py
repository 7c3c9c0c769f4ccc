"""Much output: all of it, in order, until the announced cap; and what it needed is given back."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from zmqkernel.client import Client
from zmqkernel.paths import Session

from .conftest import wait_for

NUMBERS = "import subprocess\nsubprocess.run('seq 1 1500000', shell=True)"
"""About 11 MB by file descriptor 1."""


def blocks(session: Session, name: str) -> int:
    """Bytes that a file of the link takes on disk."""
    return (session.link_dir / name).stat().st_blocks * 512


def kept(session: Session) -> int:
    """Bytes of journal; a file may be removed between its listing and the look at it."""
    sizes: list[int] = []
    for file in session.directory.glob("journal-*"):
        try:
            sizes.append(file.stat().st_size)
        except FileNotFoundError:
            continue
    return sum(sizes)


def said(client: Client, execution: str) -> str:
    return "".join(r.data["text"] for r in client.follow(execution=execution, until_end=True) if r.msg_type == "stream")


def test_a_child_s_flood_is_whole_and_its_file_is_given_back(session: Session, client: Client) -> None:
    execution = client.execute(NUMBERS)
    assert execution.wait(60).status == "ok"
    text = said(client, execution.msg_id)
    wanted = "".join(f"{n}\n" for n in range(1, 1_500_001))
    assert zlib.crc32(text.encode()) == zlib.crc32(wanted.encode())
    assert (session.link_dir / "fd1").stat().st_size == len(wanted)
    wait_for(lambda: blocks(session, "fd1") <= 5 << 20)


def test_past_the_cap_there_is_a_note_and_an_announced_gap(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZMQKERNEL_OUTPUT_CAP", "1M")
    with Client.connect(Session.at(project)) as client:
        for code in (NUMBERS, "for n in range(1500000): print(n)"):
            execution = client.execute(code)
            assert execution.wait(60).status == "ok"
            text = said(client, execution.msg_id)
            assert 900_000 < len(text) < 1_100_000
            assert "what follows is not kept" in text
            records = client.follow(execution=execution.msg_id, until_end=True)
            gap = next(r for r in records if r.msg_type == "gap" and r.execution == execution.msg_id)
            assert gap.data["reason"] == "cap"
            assert gap.data["bytes"] + len(text) > 9_000_000
        assert "".join(o.content["text"] for o in client.execute("print('unharmed')")) == "unharmed\n"


def test_an_old_journal_is_cut_and_readers_are_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZMQKERNEL_JOURNAL_SIZE", "40M")
    small = Session.at(project)
    with Client.connect(small) as client:
        code = "from IPython.display import HTML, display\nfor n in range(20): display(HTML('x' * 1_000_000))"
        for _ in range(5):
            client.execute(code).wait(60)
        wait_for(lambda: kept(small) < 70_000_000)
        records = list(client.follow(until_end=True))
        assert records[0].msg_type == "gap"
        assert records[0].data["reason"] == "retention"
        assert records[0].data["to"] == records[0].seq == records[1].seq - 1
        numbers = [record.seq for record in records]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert client.execute("1").wait(20).status == "ok"
