"""The ring: whatever the writer, the readers and their restarts do, everything arrives once and in order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zmqkernel.protocol import layout, ring
from zmqkernel.protocol.errors import RemoteProtocolError
from zmqkernel.protocol.layout import HEADER, format_ring
from zmqkernel.protocol.ring import (
    MAX_MESSAGE,
    MAX_TEXT,
    LargeParts,
    Mark,
    Parts,
    RingReader,
    RingWriter,
    Text,
    pack_parts,
    unpack_parts,
)

Row = tuple[Any, ...]
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
EXECUTIONS = st.sampled_from([b"", b"one", "zwölf".encode(), b"x" * 200])


def new(size: int) -> memoryview:
    memory = memoryview(bytearray(HEADER + size))
    format_ring(memory)
    return memory


def row_of(item: ring.Item) -> Row:
    match item:
        case Text(stream, execution, data):
            return "text", stream, execution, data.decode()
        case Parts(channel, parts):
            return "message", channel, parts
        case LargeParts(channel, name):
            return "file", channel, name
        case Mark(execution, fd1, fd2):
            return "mark", execution, fd1, fd2


def joined(rows: list[Row]) -> list[Row]:
    """Neighbouring text of one run put together: where it is cut says nothing."""
    result: list[Row] = []
    for row in rows:
        if result and row[0] == "text" and result[-1][:3] == row[:3]:
            result[-1] = (*row[:3], result[-1][3] + row[3])
        else:
            result.append(row)
    return result


def read(reader: RingReader, most: int = 1 << 20) -> list[Row]:
    return [row_of(item) for item in reader.read(most)]


class RingModel(RuleBasedStateMachine):
    """A writer against a list, with a small ring, partial reads and readers that die before or after they confirm."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = new(700)
        self.writer = RingWriter(self.memory)
        self.reader = RingReader(self.memory)
        self.written: list[Row] = []
        self.unconfirmed: list[Row] = []
        self.confirmed: list[Row] = []

    def note(self, stored: bool, row: Row) -> None:
        if stored:
            self.written.append(row)

    @rule(stream=st.sampled_from([1, 2]), execution=EXECUTIONS, text=WORDS)
    def text(self, stream: int, execution: bytes, text: str) -> None:
        stored = self.writer.text(stream, execution, text.encode())
        self.note(stored, ("text", ("", "stdout", "stderr")[stream], execution.decode(), text))

    @rule(channel=st.integers(0, 3), parts=st.lists(st.binary(max_size=30), min_size=4, max_size=6))
    def message(self, channel: int, parts: list[bytes]) -> None:
        self.note(self.writer.message(channel, parts), ("message", ring.CHANNELS[channel], parts))

    @rule(number=st.integers(0, 99))
    def file(self, number: int) -> None:
        self.note(self.writer.file(1, f"large-{number}"), ("file", "shell", f"large-{number}"))

    @rule(execution=EXECUTIONS, fd1=st.integers(0, 2**63), fd2=st.integers(0, 2**40))
    def mark(self, execution: bytes, fd1: int, fd2: int) -> None:
        self.note(self.writer.mark(execution, fd1, fd2), ("mark", execution.decode(), fd1, fd2))

    @rule(most=st.integers(1, 300))
    def read_some(self, most: int) -> None:
        self.unconfirmed += read(self.reader, most)

    @rule()
    def read_all(self) -> None:
        while self.reader.has_more:
            self.unconfirmed += read(self.reader)
        assert joined(self.confirmed + self.unconfirmed) == joined(self.written)

    @rule()
    def confirm(self) -> None:
        self.reader.confirm()
        self.confirmed += self.unconfirmed
        self.unconfirmed.clear()

    @rule()
    def another_reader(self) -> None:
        """The supervisor died: what it had not confirmed comes again."""
        self.reader = RingReader(self.memory)
        self.unconfirmed.clear()

    @precondition(lambda self: self.unconfirmed)
    @rule()
    def reader_dies_while_it_confirms(self) -> None:
        """Killed between the note and TAIL."""
        words = self.memory[:HEADER].cast("Q")
        tail = words[layout.TAIL]
        self.reader.confirm()
        words[layout.TAIL] = tail
        self.another_reader()

    @rule()
    def another_writer(self) -> None:
        self.writer = RingWriter(self.memory)

    @invariant()
    def what_came_is_a_beginning_of_what_was_written(self) -> None:
        assert self.writer.is_empty == (len(self.joined_text(self.confirmed)) == len(self.joined_text(self.written)))

    @staticmethod
    def joined_text(rows: list[Row]) -> list[object]:
        """One entry for each byte of text and each other row: comparable wherever text was cut."""
        result: list[object] = []
        for row in rows:
            result += row[3].encode() if row[0] == "text" else [row]
        return result

    def teardown(self) -> None:
        self.read_all()


TestRingModel = RingModel.TestCase
TestRingModel.settings = settings(max_examples=40, stateful_step_count=40)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["a", "é", "€", "😀", "x" * 100]), min_size=1, max_size=60), st.integers(1, 40))
def test_text_is_cut_between_characters(pieces: list[str], most: int) -> None:
    memory = new(8192)
    writer, reader = RingWriter(memory), RingReader(memory)
    for piece in pieces:
        assert writer.text(1, b"run", piece.encode())
    came = ""
    while reader.has_more:
        for item in reader.read(most):
            assert isinstance(item, Text)
            came += item.data.decode()
    assert came == "".join(pieces)


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_much_text_comes_in_pieces_of_whole_characters(character: str) -> None:
    memory = new(1 << 20)
    writer, reader = RingWriter(memory), RingReader(memory)
    step = MAX_TEXT // 4
    for _ in range(5):
        assert writer.text(2, b"run", b"." + (character * step).encode())
    items = list(reader.read(1 << 20))
    assert all(isinstance(item, Text) and len(item.data) <= MAX_TEXT for item in items)
    assert "".join(item.data.decode() for item in items if isinstance(item, Text)) == ("." + character * step) * 5
    assert len(items) <= 6 * len(character.encode())


def test_a_full_ring_says_so_and_loses_nothing() -> None:
    memory = new(256)
    writer, reader = RingWriter(memory), RingReader(memory)
    stored = 0
    while writer.text(1, b"run", b"0123456789"):
        stored += 1
    assert stored == (256 - 8 - 3) // 10
    assert not writer.message(0, [b"{}"] * 4)
    assert read(reader) == [("text", "stdout", "run", "0123456789" * stored)]
    assert not writer.text(1, b"run", b"0123456789")  # read is not confirmed
    reader.confirm()
    assert writer.is_empty
    assert writer.text(1, b"run", b"0123456789")
    assert read(reader) == [("text", "stdout", "run", "0123456789")]


def test_a_run_goes_on_for_the_next_reader() -> None:
    memory = new(4096)
    writer = RingWriter(memory)
    for n in range(30):
        assert writer.text(2, b"the cell", f"{n};".encode())
        reader = RingReader(memory)
        assert read(reader) == [("text", "stderr", "the cell", f"{n};")]
        reader.confirm()
        assert reader.frames == 1
    assert RingReader(memory).position == reader.position == 8 + 8 + sum(len(f"{n};") for n in range(30))


def test_a_run_goes_on_after_a_message() -> None:
    memory = new(4096)
    writer, reader = RingWriter(memory), RingReader(memory)
    writer.text(1, b"run", b"a")
    writer.message(0, [b"{}"] * 4)
    writer.mark(b"run", 1, 2)
    writer.text(1, b"run", b"b")
    assert read(reader) == [
        ("text", "stdout", "run", "a"),
        ("message", "iopub", [b"{}"] * 4),
        ("mark", "run", 1, 2),
        ("text", "stdout", "run", "b"),
    ]


@given(st.lists(st.one_of(WORDS, st.sampled_from(["mark", "message"])), min_size=1, max_size=20), st.data())
def test_a_reader_goes_on_where_another_one_s_journal_ends(pieces: list[str], data: st.DataObject) -> None:
    memory = new(4096)
    writer = RingWriter(memory)
    reader = RingReader(memory)
    ends: list[int] = []
    for number, piece in enumerate(pieces):
        if piece == "mark":
            assert writer.mark(b"m%d" % number, number, number)
        elif piece == "message":
            assert writer.message(0, [b"{}", b"{}", b"{}", b"%d" % number])
        else:
            assert writer.text(1 + number % 2, b"one", piece.encode())
        if data.draw(st.booleans()):
            for item in reader.read():
                ends.append(reader.position)
                del item
            if data.draw(st.booleans()):
                reader.confirm()
    # Killed somewhere between journaling and confirming: the journal says how far it came.
    journaled = data.draw(st.sampled_from([end for end in ends if end >= RingReader(memory).position] or [0]))
    whole = [row_of(item) for item in RingReader(memory).read()]
    begin = RingReader(memory).position
    before = RingReader(memory[:])
    skipped = [row_of(item) for item in before.read() if before.position <= journaled]
    after = [row_of(item) for item in RingReader(memory, journaled).read()]
    said = [row for row in joined(skipped + after) if row[0] != "mark"]
    assert said == [row for row in joined(whole) if row[0] != "mark"], (begin, journaled)


def test_files_that_were_journaled_are_named_again_to_be_removed() -> None:
    memory = new(4096)
    writer = RingWriter(memory)
    assert writer.file(0, "large-1")
    assert writer.message(0, [b"{}"] * 4)
    journaled = writer.head
    assert writer.file(0, "large-2")
    reader = RingReader(memory, journaled)
    given = [(row_of(item), reader.is_new) for item in reader.read()]
    assert given == [(("file", "iopub", "large-1"), False), (("file", "iopub", "large-2"), True)]


def test_the_owner_of_the_descriptors_goes_on_for_the_next_reader() -> None:
    memory = new(4096)
    writer, reader = RingWriter(memory), RingReader(memory)
    assert writer.mark(b"cell", 3, 4)
    assert [row_of(item) for item in reader.read()] == [("mark", "cell", 3, 4)]
    reader.confirm()
    assert RingReader(memory).owner == b"cell"


def test_the_largest_message_after_a_partial_read() -> None:
    memory = new(4 << 20)
    writer, reader = RingWriter(memory), RingReader(memory)
    large = [b"{}"] * 3 + [b"\xff" * (MAX_MESSAGE - 100)]
    assert writer.text(1, b"run", b"x")
    assert writer.message(1, large)
    assert writer.text(1, b"run", b"y")
    assert read(reader, 1) == [("text", "stdout", "run", "x")] or reader.has_more
    rest = read(reader, 30)
    while reader.has_more:
        rest += read(reader, 1)
    assert ("message", "shell", large) in rest
    assert rest[-1] == ("text", "stdout", "run", "y")


def test_waking() -> None:
    memory = new(4096)
    writer, reader = RingWriter(memory), RingReader(memory)
    assert not writer.reader_waits
    assert reader.wait()
    writer.text(1, b"", b"x")
    assert writer.reader_waits
    assert not writer.reader_waits
    assert not reader.wait()
    assert reader.has_more


def test_a_handler_that_writes_in_the_middle_of_a_write() -> None:
    """The writer prepares, finds that ``head`` has moved, and prepares again."""
    memory = new(4096)
    reader = RingReader(memory)

    class Interrupted(RingWriter):
        __slots__ = ("interruptions",)

        @property
        def size(self) -> int:  # asked for in the middle of preparing
            if self.interruptions:
                self.interruptions -= 1
                self.text(2, b"handler", b"!")
            return 4096

        @size.setter
        def size(self, value: int) -> None:
            self.interruptions = 0

    writer = Interrupted(memory)
    writer.text(1, b"run", b"before")
    writer.interruptions = 2
    writer.text(1, b"run", b"after")
    assert joined(read(reader)) == [
        ("text", "stdout", "run", "before"),
        ("text", "stderr", "handler", "!!"),
        ("text", "stdout", "run", "after"),
    ]


@pytest.mark.parametrize("word", [layout.MAGIC_WORD, layout.SIZE])
def test_what_is_no_ring(word: int) -> None:
    memory = new(4096)
    memory[:HEADER].cast("Q")[word] += 1
    for end in (RingReader, RingWriter):
        with pytest.raises(RemoteProtocolError, match="not a kernel's ring"):
            end(memory)


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff",
        b"\xff\x02\x00\x00",
        b"\xff\x02\x00\x00\xff\x00\x00\x00",
        b"\xff\x09\x00\x00\x00\x00\x00\x00",
        b"\xff\x02\x09\x00\x04\x00\x00\x00\x04\x00\x00\x00",
        b"\xff\x02\x00\x00\x04\x00\x00\x00\x04\x00\x00\x00",
        b"\xff\x04\x00\x00\x01\x00\x00\x00x",
        b"\xff\x01\x07\x00\x00\x00\x00\x00",
    ],
)
def test_a_damaged_ring_is_refused(bad: bytes) -> None:
    memory = new(4096)
    writer, reader = RingWriter(memory), RingReader(memory)
    writer.text(1, b"run", b"good")
    writer.text(1, b"run", bad)
    items: list[Row] = []
    with pytest.raises(RemoteProtocolError):
        items.extend(row_of(item) for item in reader.read())
    assert reader.position == 8 + 3 + 4  # what was good has been read


def test_head_and_tail_that_contradict_each_other() -> None:
    memory = new(4096)
    reader = RingReader(memory)
    memory[:HEADER].cast("Q")[layout.HEAD] = 5000
    with pytest.raises(RemoteProtocolError, match="contradict"):
        list(reader.read())


@given(st.lists(st.binary(max_size=20), min_size=4, max_size=8))
def test_parts_round_trip(parts: list[bytes]) -> None:
    assert unpack_parts(pack_parts(parts)) == parts
    assert unpack_parts(pack_parts([memoryview(part) for part in parts])) == parts


@given(st.binary(max_size=60))
def test_any_bytes_are_parts_or_refused(data: bytes) -> None:
    try:
        parts = unpack_parts(data)
    except RemoteProtocolError:
        return
    assert pack_parts(parts) == data
