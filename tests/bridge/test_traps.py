"""What made other servers go deaf, diverge or hang: each is sent to a real bridge."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bridge.asker import Asker
from tests.bridge.bare_editor import SECONDS, Json, ReplyError, text_of, wait_until
from tests.bridge.test_completion import Start, asker

__all__ = ["asker"]


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "a.py"
    path.write_text("# %%\nimport os\nvalue = 'a'\nprint('pid', os.getpid())\n\n")
    return path


def test_line_ends_of_python_that_are_none_of_lsp(asker: Start, script: Path) -> None:
    script.write_text("# %%\nfirst = '\x0c\x0b\x1c\x85\u2028'\nsecond\n")
    bare = asker()
    uri = bare.open(script)
    bare.edit(uri, (2, 0), (2, 6), "print('right', 1)")
    assert text_of(bare.finished(bare.run_cell(uri, 1))) == "right 1\n"


def test_each_request_is_answered_once_and_a_cancelled_one_says_so(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    bare.type(uri, 4, "value.")
    bare.ask(uri, "completion")  # the static side is starting now: the next ones have to wait for it
    for rounds in range(20):
        bare.type(uri, 4, f"os.name{rounds}.")
        asked = [bare.begin("textDocument/completion", bare.at(uri)) for _ in range(10)]
        for number in asked:
            bare.notify("$/cancelRequest", {"id": number})
        hover = bare.begin("textDocument/hover", bare.at(uri))
        for number in asked:
            try:
                bare.reply(number)
            except ReplyError as error:
                assert str(error) == "cancelled"
        bare.reply(hover)
    bare.notify("$/cancelRequest", {"id": 10**9})
    bare.notify("$/cancelRequest", {"id": [1]})
    assert bare.ask(uri, "hover") is None or True


def test_a_request_that_was_cancelled_before_it_began_never_begins(project: Path, home: Path) -> None:
    """Written in one piece: whatever has been read is looked at before anything starts."""
    messages: list[Json] = [
        {"id": 1, "method": "initialize", "params": {"capabilities": {}}},
        *({"id": 2 + n, "method": "workspace/executeCommand", "params": {"command": "x"}} for n in range(50)),
        *({"method": "$/cancelRequest", "params": {"id": 2 + n}} for n in range(50)),
        {"id": 100, "method": "shutdown"},
        {"method": "exit"},
    ]
    replies, code = _talk(project, messages)
    assert code == 0
    numbers = [reply["id"] for reply in replies]
    assert sorted(numbers) == [*range(1, 52), 100]
    assert len(set(numbers)) == len(numbers)


def test_the_life_cycle_is_kept(project: Path, home: Path) -> None:
    hover: Json = {"method": "textDocument/hover", "params": {}}
    messages: list[Json] = [
        {"id": 1, **hover},
        {"id": 2, "method": "initialize", "params": {"capabilities": {}}},
        {"id": 3, "method": "initialize", "params": {"capabilities": {}}},
        {"id": 4, "method": "no/such/method", "params": {}},
        {"id": 5, **hover},
        {"id": "six", "method": "shutdown"},
        {"id": 7, **hover},
        {"method": "exit"},
    ]
    replies, code = _talk(project, messages)
    codes = {reply["id"]: reply.get("error", {}).get("code", 0) for reply in replies}
    assert codes.pop(5) in (-32602, -32800)  # the exit may come before it begins
    assert codes == {1: -32002, 2: 0, 3: -32600, 4: -32601, "six": 0, 7: -32600}
    assert code == 0


def test_half_a_character_does_no_harm(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    bare.edit(uri, (4, 0), (4, 0), "x = '\ud83d'")
    bare.edit(uri, (4, 6), (4, 6), "\ude00")  # the other half
    bare.edit(uri, (2, 9), (2, 10), "\ud83d")
    place = {"textDocument": {"uri": uri}, "position": {"line": 2, "character": 3}}
    bare.request("textDocument/hover", place)
    with pytest.raises(ReplyError, match="no command"):
        bare.command("\ud83d", {})


def test_with_our_plugin_no_commands_are_announced(asker: Start) -> None:
    assert "executeCommandProvider" not in asker().initialized["capabilities"]
    assert asker(ours=None).initialized["capabilities"]["executeCommandProvider"]["commands"]


def test_it_leaves_at_once_though_session_and_analysis_hang(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    pid = int(text_of(bare.finished(bare.run_cell(uri, 1))).split()[1])
    bare.type(uri, 4, "value.")
    wait_until(lambda: bool(bare.ask(uri, "completion")["items"]), "completion")
    os.kill(pid, signal.SIGSTOP)
    _hang_static(bare)
    for what in ("completion", "hover", "definition", "signatureHelp"):
        bare.begin(f"textDocument/{what}", bare.at(uri))
    assert bare.exit() == 0


def _hang_static(bare: Asker) -> None:
    from tests.bridge.asker import children

    for child in children(bare.process.pid):
        os.kill(child, signal.SIGSTOP)


def _talk(folder: Path, messages: list[Json]) -> tuple[list[Json], int]:
    """Send all of it in one piece; everything that comes out, which has to be frames, and the exit code."""
    data = b""
    for message in messages:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        data += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    argv = [sys.executable, "-m", "lsp_bridge"]
    done = subprocess.run(argv, input=data, capture_output=True, cwd=folder, timeout=SECONDS, check=False)
    replies, out = list[Json](), done.stdout
    while out:
        head, _, rest = out.partition(b"\r\n\r\n")
        length = int(head.removeprefix(b"Content-Length: "))
        message = json.loads(rest[:length])
        out = rest[length:]
        if "method" not in message:
            replies.append(message)
    return replies, done.returncode


def test_all_is_answered_while_the_kernel_is_stopped_killed_and_restarted(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    pid = int(text_of(bare.finished(bare.run_cell(uri, 1))).split()[1])
    choose = random.Random(4)
    for _ in range(60):
        action = choose.choice(["stop", "go", "go", "kill", "type", "type", "type"])
        try:
            number = {"stop": signal.SIGSTOP, "go": signal.SIGCONT, "kill": signal.SIGKILL}.get(action)
            if number:
                os.kill(pid, number)
        except ProcessLookupError:
            bare.command("runCell", {"uri": uri, "position": {"line": 1, "character": 0}})
        bare.type(uri, 4, choose.choice(["value", "value.", "val", "os.pa", "value.sp", "print("]))
        asked = [bare.begin(f"textDocument/{what}", bare.at(uri)) for what in ("completion", "hover", "signatureHelp")]
        if choose.random() < 0.5:
            bare.notify("$/cancelRequest", {"id": asked[0]})
        for one in asked:
            try:
                bare.reply(one)
            except ReplyError as error:
                assert str(error) == "cancelled"


def test_each_question_is_about_the_text_as_it_was_when_it_was_asked(asker: Start, script: Path) -> None:
    bare = asker()
    uri = bare.open(script)
    asked: list[tuple[str, int]] = []
    for number in range(200):
        word = ("value", "impor", "print", "")[number % 4]
        bare.type(uri, 4, word[:-1])
        asked.append((word, bare.begin("textDocument/completion", bare.at(uri))))
    for word, number in asked:
        labels = {item["label"] for item in bare.reply(number)["items"]}
        assert {"value": "value", "impor": "import", "print": "print", "": "value"}[word] in labels
