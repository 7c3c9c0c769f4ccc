"""Folding: what a person should see of an execution."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqkernel.protocol.outputs import Displays, Fold, Output, StreamText, best_mime

PIECES = st.lists(
    st.sampled_from(["a", "bc", "\n", "\r", "\r\n", "\b", "\x1b[K", "\x1b[2K", "\x1b[1K", "\x1b[31m", "é😀"]),
    max_size=12,
)


def folded(*pieces: str) -> str:
    text = StreamText()
    for piece in pieces:
        text.write(piece)
    return str(text)


def terminal(text: str) -> str:
    """A slow and obvious terminal for text without escape sequences."""
    lines: list[list[str]] = [[]]
    column = 0
    for character in text.replace("\r\n", "\n"):
        if character == "\n":
            lines.append([])
            column = 0
        elif character == "\r":
            column = 0
        elif character == "\b":
            column = max(0, column - 1)
        else:
            lines[-1][column : column + 1] = [character]
            column += 1
    return "\n".join("".join(line) for line in lines)


@given(st.text("ab\n\r\b", max_size=40))
def test_streams_are_what_a_terminal_shows(text: str) -> None:
    assert folded(text) == terminal(text)


@given(PIECES, st.data())
def test_it_does_not_matter_where_a_stream_is_cut(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert folded(*parts) == folded(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10%\r20%\r100%\n", "100%\n"),
        ("long line\rab", "abng line"),
        ("ab\b\bx", "xb"),
        ("\b\bx", "x"),
        ("old\x1b[2Knew", "new"),
        ("old\r\x1b[Knew", "new"),
        ("abcdef\r\x1b[0Kx", "x"),
        ("ab\b\x1b[1Kc", " c"),
        ("\x1b[31mred\x1b[0m\rplain", "plain"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\rb\nc", "b\nc"),
        ("done\x1b[", "done"),
    ],
)
def test_control_characters(text: str, expected: str) -> None:
    assert folded(text) == expected
    assert folded(*text) == expected


def test_a_long_stream_stays_cheap_to_read() -> None:
    text = StreamText()
    for n in range(1000):
        text.write(f"{n}\n")
        assert str(text).endswith(f"{n}\n")
    assert str(text).count("\n") == 1000


def stream(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def display(text: str, display_id: str = "", kind: str = "display_data") -> tuple[str, dict[str, Any]]:
    return kind, {
        "data": {"text/plain": text},
        "metadata": {},
        "transient": {"display_id": display_id} if display_id else {},
    }


def shown(fold: Fold) -> list[str]:
    return [item.text if item.data is None else item.data["text/plain"] for item in fold.outputs]  # type: ignore[misc]


def fold_of(*messages: tuple[str, dict[str, Any]], displays: Displays | None = None) -> Fold:
    fold = Fold(displays)
    for message in messages:
        fold.add(*message)
    return fold


def test_neighbouring_text_is_joined() -> None:
    fold = fold_of(stream("a"), stream("b\n"), stream("oops", "stderr"), stream("c"), display("d"), stream("e"))
    assert shown(fold) == ["ab\n", "oops", "c", "d", "e"]
    assert [item.name for item in fold.outputs] == ["stdout", "stderr", "stdout", None, "stdout"]


def test_clear_output() -> None:
    assert shown(fold_of(stream("a"), display("b"), ("clear_output", {"wait": False}))) == []
    assert shown(fold_of(stream("a"), ("clear_output", {}), stream("b"))) == ["b"]
    waiting = fold_of(stream("a"), ("clear_output", {"wait": True}))
    assert shown(waiting) == ["a"]
    waiting.add(*stream("b"))
    waiting.add(*stream("c"))
    assert shown(waiting) == ["bc"]


def test_clearing_for_good_ends_waiting() -> None:
    fold = fold_of(stream("a"), ("clear_output", {"wait": True}), ("clear_output", {"wait": False}), stream("b"))
    assert shown(fold) == ["b"]


def test_a_cleared_redraw_starts_a_new_line() -> None:
    assert shown(fold_of(stream("10%\r"), ("clear_output", {"wait": True}), stream("20%"))) == ["20%"]


def test_displays_are_updated_in_place_across_executions() -> None:
    displays = Displays()
    first = fold_of(stream("x"), display("old", "plot"), display("other", "else"), displays=displays)
    second = fold_of(display("old too", "plot"), displays=displays)
    changed = second.add(*display("new", "plot", "update_display_data"))
    assert changed == [first, second]
    assert (shown(first), shown(second)) == (["x", "new", "other"], ["new"])


def test_an_update_reaches_nothing_that_was_cleared_or_never_there() -> None:
    displays = Displays()
    fold = fold_of(display("old", "plot"), ("clear_output", {}), displays=displays)
    assert fold.add(*display("new", "plot", "update_display_data")) == []
    assert fold.add(*display("new", "unknown", "update_display_data")) == []
    assert fold.add(*display("new", "", "update_display_data")) == []
    assert shown(fold) == []


def test_an_update_does_not_end_waiting() -> None:
    fold = fold_of(
        display("old", "plot"), ("clear_output", {"wait": True}), display("new", "plot", "update_display_data")
    )
    assert shown(fold) == ["new"]


def test_results_and_errors() -> None:
    fold = fold_of(
        ("execute_result", {"execution_count": 3, "data": {"text/plain": "1"}, "metadata": {"a": 1}}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["t"]}),
    )
    result, error = fold.outputs
    assert result == Output(
        output_type="execute_result", execution_count=3, data={"text/plain": "1"}, metadata={"a": 1}
    )
    assert (error.ename, error.evalue, error.traceback) == ("E", "v", ["t"])


def test_what_changed_is_told() -> None:
    fold = Fold()
    assert fold.add("status", {"execution_state": "busy"}) == []
    assert fold.add(*stream("a")) == [fold]
    assert fold.add("clear_output", {"wait": True}) == []
    assert fold.add("clear_output", {"wait": False}) == [fold]


def test_outputs_are_a_copy_for_streams() -> None:
    fold = fold_of(stream("a"))
    before = fold.outputs
    fold.add(*stream("b"))
    assert (before[0].text, fold.outputs[0].text) == ("a", "ab")


@pytest.mark.parametrize(
    ("data", "accepts", "expected"),
    [
        ({"text/plain": 1, "text/html": 1, "image/png": 1}, None, "text/html"),
        ({"text/plain": 1, "image/png": 1}, None, "image/png"),
        ({"text/plain": 1, "image/png": 1}, ["text/plain"], "text/plain"),
        ({"text/x-odd": 1, "application/x-odd": 1}, None, "text/x-odd"),
        ({"application/x-odd": 1}, None, None),
        ({}, None, None),
    ],
)
def test_best_mime(data: dict[str, Any], accepts: list[str] | None, expected: str | None) -> None:
    assert (best_mime(data, accepts) if accepts else best_mime(data)) == expected
