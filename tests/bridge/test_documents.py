"""The bridge's text is the editor's text, whatever characters are in it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lsp_bridge.documents import Document, Encoding, Point, character_of, column_of, split_lines
from lsp_bridge.structures import ContentChange, Position, Range

# Everything that str.splitlines takes for a line end, and characters of one to four bytes.
ALPHABET = "a\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029é€𝒳"
TEXT = st.text(ALPHABET, max_size=30)
ENCODINGS: dict[Encoding, str] = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
UNIT = {"utf-8": 1, "utf-16": 2, "utf-32": 4}


def model_lines(text: str) -> list[str]:
    """Lines as LSP has them, in the plainest way."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def model_offset(text: str, line: int, characters: int, encoding: Encoding) -> int:
    """Where an editor's position is in its own copy of the text."""
    start = 0
    for _ in range(line):
        ends = [start + text[start:].index(mark) for mark in "\n\r" if mark in text[start:]]
        at = min(ends)
        start = at + (2 if text[at : at + 2] == "\r\n" else 1)
    raw = text[start:].encode(ENCODINGS[encoding])[: characters * UNIT[encoding]]
    return start + len(raw.decode(ENCODINGS[encoding]))


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, list[tuple[int, int, str]]]:
    """A text and edits of it (start, end, new), the offsets taken modulo the length at their turn."""
    number = st.integers(0, 40)
    return draw(TEXT), draw(st.lists(st.tuples(number, number, TEXT), max_size=5))


@settings(max_examples=300)
@given(edits(), st.sampled_from(list(ENCODINGS)))
def test_incremental_edits_give_the_editors_text(
    case: tuple[str, list[tuple[int, int, str]]], encoding: Encoding
) -> None:
    text, changes = case
    document = Document("file:///a.py", text, 1, encoding)
    for one, other, new in changes:
        start, end = sorted((place(text, one), place(text, other)))
        where = Range(editor_position(text, start, encoding), editor_position(text, end, encoding))
        document.apply(ContentChange(new, where))
        text = text[:start] + new + text[end:]
        assert document.text == text
        assert document.lines == split_lines(text)
        assert [line.rstrip("\r\n") for line in document.lines] == model_lines(text)


def place(text: str, number: int) -> int:
    """An offset that an editor can have a cursor at: not inside a line end."""
    at = number % (len(text) + 1)
    return at - 1 if text[at - 1 : at + 1] == "\r\n" and at else at


def editor_position(text: str, offset: int, encoding: Encoding) -> Position:
    before = split_lines(text[:offset])
    return Position(len(before) - 1, len(before[-1].encode(ENCODINGS[encoding])) // UNIT[encoding])


@given(st.text("aé€𝒳\u2028\x0c", max_size=12), st.sampled_from(list(ENCODINGS)), st.integers(0, 12))
def test_columns_go_there_and_back(line: str, encoding: Encoding, column: int) -> None:
    column = min(column, len(line))
    character = character_of(line, column, encoding)
    assert character == len(line[:column].encode(ENCODINGS[encoding])) // UNIT[encoding]
    assert column_of(line, character, encoding) == column
    assert column_of(line, 1000, encoding) == len(line)


def test_a_form_feed_is_no_line_end() -> None:
    document = Document("file:///a.py", 'a = "\f"\nsecond\nthird', 1, "utf-16")
    document.apply(ContentChange("EDITED", Range(Position(2, 0), Position(2, 5))))
    assert document.text == 'a = "\f"\nsecond\nEDITED'


def test_the_two_halves_of_a_pair_become_one_character() -> None:
    document = Document("file:///a.py", "x\n", 1, "utf-16")
    document.apply(ContentChange("\ud83d", Range(Position(0, 1), Position(0, 1))))
    document.apply(ContentChange("\ude00", Range(Position(0, 2), Position(0, 2))))
    assert document.text == "x😀\n"


def test_positions_outside_the_text_are_its_nearest_places() -> None:
    document = Document("file:///a.py", "ab\ncd", 1, "utf-8")
    assert document.point(Position(0, 99)) == Point(0, 2)
    assert document.point(Position(99, 0)) == Point(1, 2)
    assert document.slice(Point(0, 1), Point(1, 1)) == "b\nc"
