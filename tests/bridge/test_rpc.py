"""The bridge as a process: what an editor may send, fail to read, and how it leaves."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_bridge.rpc import read_frame
from tests.bridge.bare_editor import SECONDS, BareEditor, ReplyError, wait_until

Start = Callable[..., BareEditor]


def test_a_nested_jsonrpc_key_is_data(editor: Start) -> None:
    bare = editor()
    with pytest.raises(ReplyError, match="uri"):
        bare.command("runCell", {"jsonrpc": "2.0", "method": "x", "nested": {"jsonrpc": "2.0", "id": 1}})


def test_the_first_encoding_that_both_know_is_taken(editor: Start) -> None:
    for asked, taken in ((["utf-16"], "utf-16"), (["utf-8", "utf-16", "utf-32"], "utf-8"), ([], "utf-16")):
        assert editor(encodings=asked).initialized["capabilities"]["positionEncoding"] == taken


def test_garbage_is_refused_and_the_bridge_goes_on(editor: Start) -> None:
    bare = editor()
    stdin = bare.process.stdin
    assert stdin
    for body in (b"{no json", b"[1, 2]", b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {}}'):
        stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    with pytest.raises(ReplyError, match="not open"):
        bare.request(
            "textDocument/hover", {"textDocument": {"uri": "file:///x.py"}, "position": {"line": 0, "character": 0}}
        )
    with pytest.raises(ReplyError, match="no command"):
        bare.command("fly", {"uri": "file:///x.py"})


def test_an_error_says_what_is_wrong_and_shows_no_traceback(editor: Start, project: Path) -> None:
    bare = editor()
    uri = bare.open(_file(project, "# only a comment\n"))
    with pytest.raises(ReplyError) as caught:
        line = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
        bare.command("runSelection", {"uri": uri, "range": line})
    assert str(caught.value) == "there is no code in the selection"


def test_an_editor_that_stops_reading_does_not_stop_the_bridge(editor: Start, project: Path) -> None:
    """Replies fill the pipe; a cell that is run after that still runs, and no reply is lost."""
    bare = editor()
    uri = bare.open(_file(project, "# %%\nopen('done', 'w').close()\n"))
    bare.read_on.clear()
    asked = [bare.begin("workspace/executeCommand", {"command": "x" * 1000}) for _ in range(500)]
    argument = {"uri": uri, "position": {"line": 1, "character": 0}}
    run = bare.begin("workspace/executeCommand", {"command": "zmqkernel.server.runCell", "arguments": [argument]})
    wait_until((project / "done").exists, "file written by the cell")
    bare.read_on.set()
    for number in asked:
        with pytest.raises(ReplyError, match="no command"):
            bare.reply(number)
    assert bare.finished(bare.reply(run)["execution"])["state"] == "ok"


def test_exit_ends_the_process(editor: Start) -> None:
    assert editor().exit() == 0


def test_the_end_of_standard_input_ends_the_process_though_nobody_reads_its_output(editor: Start) -> None:
    bare = editor()
    bare.read_on.clear()
    for _ in range(500):
        bare.begin("workspace/executeCommand", {"command": "x" * 1000})
    assert bare.process.stdin
    bare.process.stdin.close()
    assert bare.process.wait(SECONDS) == 1


def test_frames_are_cut_by_their_length() -> None:
    source = io.BytesIO(b"Content-Type: x\r\ncontent-length: 2\r\n\r\n{}Content-Length: 5\r\n\r\n{")
    assert read_frame(source) == b"{}"
    assert read_frame(source) is None  # cut short: the editor died while it wrote
    assert read_frame(io.BytesIO(b"\r\n{}")) is None


def _file(project: Path, text: str) -> Path:
    path = project / "a.py"
    path.write_text(text)
    assert os.path.realpath(path) == str(path)
    return path
