"""The cursor: every follower gets every wanted record once, in order, and never more than it has credit for."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqkernel.protocol import journal as format
from zmqkernel.protocol.messages import Filter, FollowRequest, JournalPage, Position
from zmqkernel.supervisor import cursor as rooms
from zmqkernel.supervisor.cursor import Cursor, Epochs, Follower
from zmqkernel.supervisor.journal import Journal

from .test_journal import add


class Clients:
    """Collects pages; a name in ``gone`` has left."""

    def __init__(self, directory: Path, epochs: Epochs | None = None) -> None:
        self.journal = Journal(directory)
        self.time = 0.0
        self.cursor = Cursor(self.journal, epochs or Epochs(1, {}), self.send, lambda: self.time)
        self.pages: list[tuple[bytes, JournalPage, bytes]] = []
        self.gone: set[bytes] = set()

    def send(self, follower: Follower, page: JournalPage, frames: list[bytes]) -> bool:
        self.pages.append((follower.ident, page, b"".join(frames)))
        return follower.ident not in self.gone

    def follow(self, name: bytes, **wanted: object) -> rooms.FollowReply:
        return self.cursor.follow(name.decode(), name, b"{}", "tester", FollowRequest(**wanted))  # pyright: ignore

    def numbers(self, name: bytes) -> list[int]:
        return [r.seq for ident, _, data in self.pages if ident == name for r in format.records(data)]


@pytest.fixture
def clients(tmp_path: Path):
    made = Clients(tmp_path)
    yield made
    made.journal.close()


def grow(clients: Clients, count: int, text: str = "x", document: str = "") -> None:
    for _ in range(count):
        add(clients.journal, text, document=document)
    clients.journal.commit()


def test_live_is_the_end_of_the_replay(clients: Clients) -> None:
    grow(clients, 5)
    clients.follow(b"a")
    clients.cursor.pump()
    grow(clients, 3)
    clients.cursor.pump()
    assert clients.numbers(b"a") == list(range(1, 9))
    assert [page.live for _, page, _ in clients.pages] == [True, True]


def test_credit_bounds_what_is_on_its_way_and_more_credit_goes_on(clients: Clients) -> None:
    grow(clients, 50, "y" * 1000)
    clients.follow(b"a", credit=5000)
    clients.cursor.pump()
    sent = sum(len(data) for _, _, data in clients.pages)
    assert 0 < sent <= 6500  # at most one record over
    for _ in range(50):
        clients.cursor.credit("a", b"a", 5000)
        clients.cursor.pump()
    assert clients.numbers(b"a") == list(range(1, 51))


def test_nobody_can_spend_another_clients_credit(clients: Clients) -> None:
    grow(clients, 50, "y" * 1000)
    clients.follow(b"a", credit=2000)
    clients.cursor.pump()
    before = len(clients.pages)
    clients.cursor.credit("a", b"thief", 1 << 30)
    clients.cursor.pump()
    assert len(clients.pages) == before


def test_all_clients_together_share_the_bound(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "OUTSTANDING", 40_000)
    grow(clients, 200, "z" * 1000)
    names = [b"a", b"b", b"c", b"d"]
    for name in names:
        clients.follow(name)
    for _ in range(20):
        clients.cursor.pump()
    assert sum(len(data) for _, _, data in clients.pages) <= 40_000 + 4 * 1500
    for _ in range(200):
        for name in names:
            clients.cursor.credit(name.decode(), name, 10_000)
        clients.cursor.pump()
    for name in names:
        assert clients.numbers(name) == list(range(1, 201))


def test_a_client_that_left_is_forgotten_at_the_next_page_or_heartbeat(clients: Clients) -> None:
    clients.follow(b"a")
    clients.follow(b"b")
    clients.gone = {b"a"}
    clients.time = 100.0
    clients.cursor.heartbeat()
    assert list(clients.cursor.followers) == ["b"]


def test_until_end_finishes(clients: Clients) -> None:
    grow(clients, 10)
    clients.follow(b"a", until_end=True, position=Position(1, 4))
    clients.cursor.pump()
    assert clients.numbers(b"a") == [5, 6, 7, 8, 9, 10]
    assert clients.pages[-1][1].finished
    assert not clients.cursor.followers


def test_a_filter_still_tells_how_far_it_has_looked(clients: Clients) -> None:
    grow(clients, 5, document="file:///a.py")
    clients.follow(b"a", filter=Filter(document="file:///b.py"))
    clients.cursor.pump()
    assert clients.numbers(b"a") == []
    assert clients.pages[-1][1].last == Position(1, 5)


def test_a_position_past_the_end_of_its_epoch_is_sent_back() -> None:
    epochs = Epochs(3, {1: 100, 2: 150})
    assert epochs.rewind(Position(1, 90), 200) is None
    assert epochs.rewind(Position(1, 120), 200) == Position(1, 100)
    assert epochs.rewind(Position(2, 151), 200) == Position(2, 150)
    assert epochs.rewind(Position(3, 201), 200) == Position(3, 200)
    assert epochs.rewind(Position(9, 5), 200) == Position(3, 200)
    assert [epochs.of(seq) for seq in (1, 100, 101, 150, 151)] == [1, 1, 2, 2, 3]


def test_a_follower_that_was_sent_back_continues_there(tmp_path: Path) -> None:
    clients = Clients(tmp_path, Epochs(2, {1: 3}))
    grow(clients, 6)
    reply = clients.follow(b"a", position=Position(1, 5))
    assert reply.rewind == Position(1, 3)
    clients.cursor.pump()
    assert clients.numbers(b"a") == [4, 5, 6]
    clients.journal.close()
