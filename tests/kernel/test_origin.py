"""Cells that stand in a document: positions, the text that is shown, __file__."""

from __future__ import annotations

import linecache
import re
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.kernel.origin import ExecutedText, Place

from .conftest import Bench, Row

DISK = "# %% one\nx = 1\n\n# %% two\ndef f():\n    return 'disk'\n"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "analysis.py"
    path.write_text(DISK)
    return path


def run(bench: Bench, document: Path | str, line: int, code: str, **ours: Any) -> list[Row]:
    origin = {"path": str(document), "uri": f"file://{document}", "line": line}
    return bench.execute(code, metadata={"zmqkernel": {"origin": origin, **ours}})


def content(rows: list[Row], msg_type: str) -> dict[str, Any]:
    return next(message.content for _, message in rows if message.msg_type == msg_type)


def plain(rows: list[Row]) -> str:
    return content(rows, "execute_result")["data"]["text/plain"]


def test_a_traceback_has_the_lines_of_the_document(bench: Bench, document: Path) -> None:
    rows = run(bench, document, 40, "x = 1\n\n1/0")
    traceback = re.sub("\x1b\\[[0-9;]*m", "", "\n".join(content(rows, "error")["traceback"]))
    assert f"{document.name}:43" in traceback
    assert "1/0" in traceback
    lines = run(bench, document, 40, "import sys\nsys._getframe().f_lineno, len(sys._getframe().f_code.co_filename)")
    assert plain(lines) == f"(42, {len(str(document))})"


def test_leading_blank_lines_count(bench: Bench, document: Path) -> None:
    assert plain(run(bench, document, 10, "\n  \n\nimport sys; sys._getframe().f_lineno")) == "14"


@pytest.mark.parametrize(
    ("code", "line"),
    [("x = 1\nif x:\n", 13), ("x = (\n", 11), ("x = 1\n  y", 12), ("x = 1\nx = )", 12), ("\n\nx = )", 13)],
)
def test_a_syntax_error_has_the_line_of_the_document(bench: Bench, document: Path, code: str, line: int) -> None:
    run(bench, document, 10, code)
    error = bench.kernel.shell.last_error
    assert error is not None
    assert f"line {line}" in "\n".join(error.traceback) or f":{line}" in "\n".join(error.traceback)


def test_the_text_that_is_shown_is_the_executed_one(bench: Bench, document: Path) -> None:
    run(bench, document, 4, "def f():\n    return 'executed'\n")
    run(bench, document, 1, "x = 2\nimport inspect\n")
    assert plain(bench.execute("inspect.getsource(f)")) == repr("def f():\n    return 'executed'\n")
    document.write_text("# a new first line\n" + DISK)
    run(bench, document, 2, "x = 3\n")
    assert plain(bench.execute("inspect.getsource(f)")) == repr("def f():\n    return 'executed'\n")
    assert linecache.getline(str(document), 3) == "x = 3\n"


def test_file_is_set_while_the_cell_runs(bench: Bench, document: Path) -> None:
    assert plain(run(bench, document, 0, "__file__")) == repr(str(document))
    assert "__file__" not in bench.kernel.shell.user_ns
    bench.kernel.shell.user_ns["__file__"] = "mine"
    run(bench, document, 0, "pass")
    assert bench.kernel.shell.user_ns["__file__"] == "mine"


def test_magics_work_at_a_place(bench: Bench, document: Path) -> None:
    rows = run(bench, document, 5, "%%time\nx = 5\nx")
    assert content(rows, "execute_reply")["status"] == "ok"
    run(bench, document, 5, "%%capture c\nimport sys; line = sys._getframe().f_lineno")
    assert bench.kernel.shell.user_ns["line"] == 7
    run(bench, document, 5, "y = 1\n%alias_magic t timeit\nline = sys._getframe().f_lineno")
    assert bench.kernel.shell.user_ns["line"] == 8


def test_a_document_without_a_file(bench: Bench) -> None:
    origin = {"uri": "untitled:Untitled-1", "line": 3}
    rows = bench.execute("1/0", metadata={"zmqkernel": {"origin": origin}})
    assert "untitled:Untitled-1:4" in "\n".join(content(rows, "error")["traceback"])


def test_a_top_level_await_at_a_place(bench: Bench, document: Path) -> None:
    rows = run(bench, document, 7, "import asyncio, sys\nawait asyncio.sleep(0)\nsys._getframe().f_lineno")
    assert plain(rows) == "10"


def test_everybody_sees_who_sent_it(bench: Bench, document: Path) -> None:
    rows = run(bench, document, 1, "pass", sender="Ada in Neovim")
    metadata = next(message.metadata for _, message in rows if message.msg_type == "execute_input")
    assert metadata["zmqkernel"]["sender"] == "Ada in Neovim"
    assert metadata["zmqkernel"]["origin"]["line"] == 1


def test_the_next_cell_is_not_at_that_place(bench: Bench, document: Path) -> None:
    run(bench, document, 40, "pass")
    assert "ipython-input" in plain(bench.execute("import sys; sys._getframe().f_code.co_filename"))


def test_executed_text_keeps_what_was_not_covered(tmp_path: Path) -> None:
    name = str(tmp_path / "not saved yet.py")
    text = ExecutedText()
    text.record(name, 2, "a\nb")
    text.record(name, 3, "c\n")
    assert linecache.getlines(name) == ["\n", "\n", "a\n", "c\n"]
    text.record(name, 1, "x\ny\nz")
    assert linecache.getlines(name) == ["\n", "x\n", "y\n", "z\n"]


@pytest.mark.parametrize(
    ("code", "line"), [("a\nb\nc", 4), ("b\nc", 5), ("c", 6), ("b", None), ("\nc", None), ("x", None)]
)
def test_line_of(code: str, line: int | None) -> None:
    assert Place("p", 4, "a\nb\nc").line_of(code) == line
