"""One follow without I/O: every record once and in order, whatever pages come twice, late or after a rewind; credit adds up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqkernel.client.follow import CREDIT, GRANT, REWIND, Follow
from zmqkernel.protocol import journal
from zmqkernel.protocol.errors import RemoteProtocolError
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import Filter, FollowReply, JournalPage, Position
from zmqkernel.protocol.wire import Message, Wire

WIRE = Wire("", "test")


def page(first: int, last: int, *, live: bool = False, finished: bool = False, epoch: int = 1) -> Message:
    frames = [journal.frame(journal.event(seq, 0.0, "gap", {"n": seq})) for seq in range(first, last + 1)]
    content = JournalPage(Position(epoch, last), live=live, finished=finished)
    return WIRE.message("journal_page", content, buffers=[b"".join(frames)])


class Reading:
    def __init__(self, **options: object) -> None:
        self.records: list[Record] = []
        self.bytes = 0
        self.follow = Follow(Position(), Filter(), self.sink, **options)  # pyright: ignore[reportArgumentType]

    def sink(self, record: Record, size: int) -> None:
        self.records.append(record)
        self.bytes += size

    @property
    def seqs(self) -> list[int]:
        return [record.seq for record in self.records]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=20))
def test_pages_that_overlap_are_read_once(steps: list[tuple[int, int]]) -> None:
    reading = Reading()
    end = 0
    for back, count in steps:
        reading.follow.page(page(max(1, end + 1 - back), end + count))
        end += count
    assert reading.seqs == list(range(1, end + 1))
    assert reading.follow.position.seq == end


def test_a_page_that_a_filter_emptied_moves_the_position() -> None:
    reading = Reading()
    reading.follow.page(WIRE.message("journal_page", JournalPage(Position(1, 500), live=True), buffers=[b""]))
    assert reading.follow.position == Position(1, 500)
    assert reading.follow.live


def test_beginning_again_goes_on_from_the_position() -> None:
    reading = Reading(until_end=True)
    reading.follow.page(page(1, 3, live=True))
    again = reading.follow.begin("id-2")
    assert (again.position, again.until_end) == (Position(1, 3), True)
    assert not reading.follow.live


def test_a_rewind_drops_and_goes_on() -> None:
    reading = Reading()
    reading.follow.page(page(1, 5))
    assert reading.follow.answer(FollowReply(Position(2, 4), rewind=Position(1, 3))) == Position(1, 3)
    reading.follow.page(page(4, 4, epoch=2))
    assert reading.seqs == [1, 2, 3, 4, 5, 3, 4]
    assert reading.records[5].msg_type == REWIND
    assert reading.follow.answer(FollowReply(Position(2, 4))) is None


def test_damage_is_an_error() -> None:
    reading = Reading()
    broken = page(1, 2)
    broken.buffers = [bytes(broken.buffers[0])[:-1]]
    with pytest.raises(RemoteProtocolError, match="damaged at byte"):
        reading.follow.page(broken)


def test_credit_is_given_back_for_what_was_taken_and_once() -> None:
    reading = Reading()
    end = 0
    while reading.bytes < 3 * GRANT:
        reading.follow.page(page(end + 1, end + 500))
        end += 500
    assert reading.follow.due() == 0
    reading.follow.taken(reading.bytes)
    assert reading.follow.due() == reading.bytes
    assert reading.follow.due() == 0


def test_credit_that_was_lent_is_not_given_twice() -> None:
    reading = Reading()
    end = 0
    while reading.bytes < 2 * GRANT:
        reading.follow.page(page(end + 1, end + 500))
        end += 500
    reading.follow.lend()
    assert reading.follow.due() == reading.bytes
    reading.follow.taken(reading.bytes)
    assert reading.follow.due() == 0


def test_a_new_request_asks_for_no_more_than_fits() -> None:
    reading = Reading()
    reading.follow.page(page(1, 1000))
    assert reading.follow.begin("id").credit == CREDIT - reading.bytes
