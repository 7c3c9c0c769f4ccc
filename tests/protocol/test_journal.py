"""The journal's frames: torn tails, flipped bits, garbage in between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqkernel.protocol import journal
from zmqkernel.protocol.errors import RemoteProtocolError
from zmqkernel.protocol.journal import Damage, Record, event, frame, join, record_of, scan, wanted
from zmqkernel.protocol.wire import Wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
BLOB = st.binary(max_size=40) | st.just(b"\x9b" * 12)
RECORDS = st.builds(
    Record,
    st.integers(0, 2**60),
    st.floats(0, 2e9),
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    BLOB,
    BLOB,
    BLOB,
    BLOB,
    st.lists(BLOB, max_size=2),
)
MANY = st.lists(RECORDS, min_size=1, max_size=6)
FEW = settings(max_examples=30)


def whole(data: bytes) -> list[Record]:
    return [item[2] for item in scan(data) if not isinstance(item, Damage)]


def damage(data: bytes) -> list[Damage]:
    return [item for item in scan(data) if isinstance(item, Damage)]


@FEW
@given(MANY)
def test_round_trip(records: list[Record]) -> None:
    data = join(records)
    assert journal.records(data) == records
    places = [item[:2] for item in scan(data) if not isinstance(item, Damage)]
    assert [start for start, _ in places] == [0, *[end for _, end in places[:-1]]]
    assert places[-1][1] == len(data)
    assert journal.records(memoryview(data)) == journal.records(bytearray(data)) == records


@FEW
@given(MANY, st.data())
def test_a_torn_tail(records: list[Record], data: st.DataObject) -> None:
    whole_bytes, last = join(records[:-1]), frame(records[-1])
    torn = whole_bytes + last[: data.draw(st.integers(1, len(last) - 1))]
    assert whole(torn) == records[:-1]
    assert damage(torn) == [Damage(len(whole_bytes), len(torn), torn=True)]


@FEW
@given(MANY, st.integers(1, 3000))
def test_a_tail_of_zeros(records: list[Record], zeros: int) -> None:
    data = join(records)
    assert whole(data + bytes(zeros)) == records
    assert damage(data + bytes(zeros)) == [Damage(len(data), len(data) + zeros, torn=True)]


@FEW
@given(MANY, st.data())
def test_a_flipped_bit_costs_one_record(records: list[Record], data: st.DataObject) -> None:
    spoiled = bytearray(join(records))
    at = data.draw(st.integers(0, len(spoiled) - 1))
    spoiled[at] ^= 1 << data.draw(st.integers(0, 7))
    hit = next(n for n in range(len(records)) if at < len(join(records[: n + 1])))
    found = whole(bytes(spoiled))
    assert found == records[:hit] + records[hit + 1 :]
    (place,) = damage(bytes(spoiled))
    assert place == Damage(len(join(records[:hit])), len(join(records[: hit + 1])), torn=hit == len(records) - 1)


@FEW
@given(MANY, MANY, st.binary(min_size=1, max_size=200))
def test_reading_goes_on_after_garbage(before: list[Record], after: list[Record], garbage: bytes) -> None:
    data = join(before) + garbage + join(after)
    found = whole(data)
    assert found[: len(before)] == before
    assert found[-len(after) :] == after
    assert sum(place.end - place.start for place in damage(data)) <= len(garbage)


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_are_covered_once(data: bytes) -> None:
    at = 0
    for item in scan(data):
        start, end = (item.start, item.end) if isinstance(item, Damage) else item[:2]
        assert (start, end > start) == (at, True)
        at = end
    assert at == len(data)


def test_resync_over_more_than_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    record = event(1, 0.0, "open", {"epoch": 1})
    for window in (16, 17, 64):
        monkeypatch.setattr(journal, "WINDOW", window)
        for garbage in range(1, 150):
            assert whole(b"\x9b" * garbage + frame(record)) == [record]


def test_scanning_may_begin_at_a_frame() -> None:
    one, two = event(1, 0.0, "open", {}), event(2, 0.0, "close", {})
    assert [item[2] for item in scan(join([one, two]), len(frame(one))) if not isinstance(item, Damage)] == [two]


def test_a_record_of_another_version_is_damage() -> None:
    import struct
    import zlib

    import msgspec

    body = msgspec.msgpack.encode([1, "no time", b"\xff"])
    data = struct.pack("<II", len(body), zlib.crc32(body)) + body + frame(event(2, 0.0, "close", {}))
    assert [record.seq for record in whole(data)] == [2]


def test_records_of_older_journals_are_read_and_found_behind_damage() -> None:
    import struct
    import zlib

    import msgspec

    def old(number: int) -> bytes:
        body = msgspec.msgpack.encode([number, 1.0, "iopub", "stream", "e", "d", *[b"{}"] * 4, []])
        return struct.pack("<II", len(body), zlib.crc32(body)) + body

    data = old(1) + b"garbage" + old(2) + frame(Record(3, 1.0, "iopub", "stream", link=(7, 8, 9)))
    assert [(record.seq, record.link) for record in whole(data)] == [(1, None), (2, None), (3, (7, 8, 9))]
    assert damage(data) == [Damage(len(old(1)), len(old(1)) + 7, torn=False)]


def test_a_page_must_be_whole() -> None:
    first = frame(event(1, 0.0, "open", {}))
    with pytest.raises(RemoteProtocolError, match=f"byte {len(first)}"):
        journal.records(first + b"xyz")


def test_a_record_gives_its_message_back() -> None:
    message = Wire("k", "s").message(
        "execute_result", {"data": {}}, parent=b'{"msg_id":"1","msg_type":"e"}', buffers=[b"x"]
    )
    record = journal.records(frame(record_of(7, 1.5, "iopub", message, "1", "file:///a.py")))[0]
    assert record.message() == message
    assert (record.seq, record.execution, record.document, record.data) == (7, "1", "file:///a.py", {"data": {}})
    with pytest.raises(RemoteProtocolError, match="is an event"):
        event(8, 0.0, "open", {}).message()


def test_buffers_of_any_sort_are_written() -> None:
    message = Wire("", "s").message("comm_msg", {}, buffers=[bytearray(b"a"), memoryview(b"bc")])
    assert journal.records(frame(record_of(1, 0.0, "iopub", message, "", "")))[0].buffers == [b"a", b"bc"]


@pytest.mark.parametrize(
    ("document", "execution", "outputs_only", "expected"),
    [
        ("", "", False, [1, 2, 3, 4]),
        ("", "", True, [1, 2]),
        ("a", "", False, [1, 2, 3]),
        ("", "x", False, [1, 2, 3]),
        ("b", "", False, [1, 4]),
        ("b", "x", False, [1]),
        ("a", "x", True, [1, 2]),
    ],
)
def test_filters(document: str, execution: str, outputs_only: bool, expected: list[int]) -> None:
    rows = [
        event(1, 0.0, "kernel_died", {}),
        Record(2, 0.0, "iopub", "stream", "x", "a"),
        Record(3, 0.0, "iopub", "status", "x", "a"),
        Record(4, 0.0, "reply", "execute_reply", "y", "b"),
    ]
    assert [row.seq for row in rows if wanted(row, document, execution, outputs_only)] == expected
