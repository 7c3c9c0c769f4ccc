"""Outputs as text: in a pipe, and on a terminal that can take lines back."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.commands.render import Renderer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "10")


def render(tmp_path: Path, *messages: tuple[str, dict[str, Any]], out: io.StringIO, prompts: bool = True) -> str:
    renderer = Renderer(tmp_path / "images", prompts=prompts, out=out, err=out)
    for msg_type, content in messages:
        renderer.show(msg_type, content)
    renderer.end()
    return out.getvalue()


def stream(text: str) -> tuple[str, dict[str, Any]]:
    return "stream", {"name": "stdout", "text": text}


def display(text: str, msg_type: str = "display_data") -> tuple[str, dict[str, Any]]:
    return msg_type, {"data": {"text/plain": text}, "transient": {"display_id": "d"}}


def result(text: str) -> tuple[str, dict[str, Any]]:
    return "execute_result", {"data": {"text/plain": text}, "execution_count": 3}


def test_results_begin_on_a_line_of_their_own(tmp_path: Path) -> None:
    assert render(tmp_path, stream("a"), result("42"), out=io.StringIO()) == "a\nOut[3]: 42\n"
    assert render(tmp_path, result("1\n2"), out=io.StringIO()) == "Out[3]: \n1\n2\n"
    assert render(tmp_path, result("42"), out=io.StringIO(), prompts=False) == "42\n"


def test_errors_lose_their_colours_without_a_terminal(tmp_path: Path) -> None:
    error = ("error", {"ename": "E", "evalue": "v", "traceback": ["\x1b[31mE\x1b[0m: v"]})
    assert render(tmp_path, stream("a"), error, out=io.StringIO()) == "a\nE: v\n"
    bare = ("error", {"ename": "E", "evalue": "v", "traceback": []})
    assert render(tmp_path, bare, out=io.StringIO()) == "E: v\n"


def test_an_input_that_nobody_can_answer_is_one_line(tmp_path: Path) -> None:
    name = "StdinNotImplementedError"
    error = ("error", {"ename": name, "evalue": "no input", "traceback": ["internals", f"{name}: no input"]})
    assert render(tmp_path, error, out=io.StringIO()) == "StdinNotImplementedError: no input\n"


def test_images_become_files(tmp_path: Path) -> None:
    picture = ("display_data", {"data": {"image/png": base64.b64encode(b"PNG").decode(), "text/plain": "<Figure>"}})
    text = render(tmp_path, picture, picture, out=io.StringIO())
    (file,) = (tmp_path / "images").iterdir()  # the same picture twice
    assert text == f"[image/png: {file.as_uri()}]\n" * 2
    assert file.read_bytes() == b"PNG"


def test_in_a_pipe_nothing_is_taken_back(tmp_path: Path) -> None:
    messages = (display("1"), display("2", "update_display_data"), ("clear_output", {"wait": False}), stream("x\n"))
    assert render(tmp_path, *messages, out=io.StringIO()) == "1\n2\nx\n"


def test_an_update_of_the_last_display_replaces_it(tmp_path: Path) -> None:
    text = render(tmp_path, stream("a\n"), display("1"), display("2", "update_display_data"), out=Terminal())
    assert text == "a\n1\n\r\x1b[1A\x1b[J2\n"


def test_a_display_with_something_below_is_written_again(tmp_path: Path) -> None:
    text = render(tmp_path, display("1"), stream("a\n"), display("2", "update_display_data"), out=Terminal())
    assert text == "1\na\n2\n"


def test_an_update_takes_back_all_lines_of_the_display(tmp_path: Path) -> None:
    text = render(tmp_path, stream("a\n"), display("1\n2\n3"), display("4", "update_display_data"), out=Terminal())
    assert text == "a\n1\n2\n3\n\r\x1b[3A\x1b[J4\n"


def test_clear_output_takes_back_wrapped_lines(tmp_path: Path) -> None:
    text = render(tmp_path, stream("x" * 30 + "\nab"), ("clear_output", {}), stream("new"), out=Terminal())
    assert text == "x" * 30 + "\nab\r\x1b[2A\x1b[Jnew\n"


def test_clear_output_wait_clears_when_something_comes(tmp_path: Path) -> None:
    wait = ("clear_output", {"wait": True})
    assert render(tmp_path, stream("1\n"), wait, out=Terminal()) == "1\n"
    assert render(tmp_path, stream("1\n"), wait, stream("2\n"), out=Terminal()) == "1\n\r\x1b[1A\x1b[J2\n"


def test_payload(tmp_path: Path) -> None:
    out = io.StringIO()
    renderer = Renderer(tmp_path, prompts=True, out=out)
    payload = [
        {"source": "page", "data": {"text/plain": "help"}, "start": 0},
        {"source": "set_next_input", "text": "x = 1"},
        {"source": "ask_exit", "keepkernel": False},
    ]
    assert renderer.payload(payload) == ("x = 1", True)
    assert renderer.payload(None) == (None, False)
    assert out.getvalue() == "help\n"


def test_paged_help_loses_its_colours_without_a_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    renderer = Renderer(tmp_path, prompts=True, out=out, err=out)
    renderer.payload([{"source": "page", "data": {"text/plain": "\x1b[31mSignature:\x1b[39m len(obj, /)"}}])
    assert out.getvalue() == "Signature: len(obj, /)\n"


def test_trouble_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    renderer = Renderer(tmp_path, prompts=True, out=out, err=err)
    renderer.trouble("")
    renderer.show("stream", {"name": "stdout", "text": "half a line"})
    for text in ("the disk is full", "the disk is full", "", ""):
        renderer.trouble(text)
        renderer.another().trouble(text)
    assert out.getvalue() == "half a line\n"
    assert err.getvalue() == "trouble: the disk is full\nthe trouble is over: the session goes on\n"
