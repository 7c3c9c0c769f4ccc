"""Signature help, definitions, arguments, docstrings, policies."""

from __future__ import annotations

import collections
import enum
import functools
import linecache
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.kernel.introspection import complete, define, inspect, scope, sign
from zmqkernel.kernel.introspection.docstrings import markdown

from .conftest import Bench


def plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int:
    """Add up.

    Args:
        alpha: the first
        beta (int): the second
            of them
    """
    return alpha + beta


@functools.lru_cache
def cached(one: int, two: int = 2) -> int:
    """Cached doc."""
    return one


@functools.wraps(plus)
def wrapped(*args: Any, **keys: Any) -> Any:
    return plus(*args, **keys)


class Colour(enum.Enum):
    RED = 1


class Thing:
    """A thing."""

    def __init__(self, size: int, *, name: str = "x") -> None:
        self.size = size

    def __call__(self, called: int) -> Colour:
        return Colour.RED

    def method(self, left: int, /, right: int) -> Thing:
        return self

    later = functools.partialmethod(method, 5)

    @property
    def typed(self) -> Colour:
        return Colour.RED

    @functools.cached_property
    def slow(self) -> Colour:
        return Colour.RED


NAMES: dict[str, Any] = {
    "plus": plus, "cached": cached, "wrapped": wrapped, "Thing": Thing, "thing": Thing(1), "Colour": Colour,
    "part": functools.partial(plus, 1, gamma=2.0), "method": Thing(1).method, "os": __import__("os"),
}  # fmt: skip


def asked(code: str) -> Any:
    at = code.index("|") if "|" in code else len(code)
    return sign(code.replace("|", "", 1), at, NAMES, None)


@pytest.mark.parametrize(
    ("code", "label", "active"),
    [
        ("plus(", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 0),
        ("plus(1, ", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 1),
        ("plus(1, 2, 3, 4", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 2),
        ("plus(gamma=|1)", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 3),
        ("plus(new=", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 4),
        ("plus((1, 2), [3, ", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 1),
        ("x = plus(\n  1,\n  ", "plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 1),
        ("cached(", "cached(one: int, two: int = 2) -> int", 0),
        ("wrapped(1, ", "wrapped(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 1),
        ("part(", "part(beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int", 0),
        ("Thing(", "Thing(size: int, *, name: str = 'x') -> None", 0),
        ("thing(", "thing(called: int) -> Colour", 0),
        ("thing.method(1, ", "method(left: int, /, right: int) -> Thing", 1),
        ("Thing.method(", "method(self, left: int, /, right: int) -> Thing", 0),
        ("method(", "method(left: int, /, right: int) -> Thing", 0),
        ("thing.later(", "later(right: int) -> Thing", 0),
        ("Thing(1).method(", "method(left: int, /, right: int) -> Thing", 0),
        ("len(", "len(obj, /)", 0),
        ("'a'.split(", "split(sep=None, maxsplit=-1)", 0),
        ("plus(len(", "len(obj, /)", 0),
    ],
)  # fmt: skip
def test_signatures(code: str, label: str, active: int) -> None:
    reply = asked(code)
    assert reply.found
    assert (reply.signatures[0].label, reply.active_parameter) == (label, active)
    assert all(parameter.label in label for parameter in reply.signatures[0].parameters)


@pytest.mark.parametrize("code", ["", "plus", "unknown(", "(1, ", "[plus, ", "plus(1)", "# plus(", "unknown(plus, "])
def test_no_signature(code: str) -> None:
    assert not asked(code).found


def test_parameters_are_described() -> None:
    parameters = asked("plus(").signatures[0].parameters
    assert [parameter.doc for parameter in parameters[:2]] == ["the first", "the second of them"]


def test_docstrings_become_markdown() -> None:
    text = markdown("Do it.\n\nParameters\n----------\nx : int\n    The x.\n\n>>> do(1)\n2\n\nSee :func:`~a.b`.")
    assert "**Parameters**" in text
    assert "- `x` : int" in text
    assert "```python\n>>> do(1)\n2\n```" in text
    assert "`a.b`" in text


def test_given_arguments_are_not_offered_again() -> None:
    found = complete("plus(alpha=1, ", 14, NAMES, None).matches
    assert [match for match in found if match.endswith("=")] == ["beta=", "gamma="]


@pytest.mark.parametrize(
    ("code", "name", "starts"),
    [
        ("plus", "plus", "def plus("),
        ("wrapped", "plus", "def plus("),
        ("part", "plus", "def plus("),
        ("cached", "cached", "@functools.lru_cache"),
        ("Thing", "Thing", "class Thing:"),
        ("thing", "Thing", "class Thing:"),
        ("thing.meth|od(1)", "method", "    def method("),
        ("thing.typed", "typed", "    @property"),
        ("thing.slow", "slow", "    @functools.cached_property"),
        ("Colour", "Colour", "class Colour(enum.Enum):"),
        ("Colour.RED", "Colour", "class Colour(enum.Enum):"),
    ],
)
def test_definitions(code: str, name: str, starts: str) -> None:
    at = code.index("|") if "|" in code else len(code)
    reply = define(code.replace("|", ""), at, NAMES, None)
    assert (reply.found, reply.path, reply.name) == (True, __file__, name)
    assert reply.source.startswith(starts)
    assert Path(__file__).read_text().split("\n")[reply.line][reply.column :].startswith(name)


def test_no_definition() -> None:
    assert not define("len", 3, NAMES, None).found
    assert not define("nothing", 3, NAMES, None).found
    assert define("os", 1, NAMES, None).path.endswith("os.py")


def test_what_was_defined_in_a_cell(bench: Bench, tmp_path: Path) -> None:
    """In a document: its path and line; else the text that was executed."""
    path = str(tmp_path / "notes.py")
    origin = {"uri": "file://" + path, "path": path, "line": 10, "column": 0}
    code = "import functools\n\n@functools.cache\ndef made(x):\n    return x\n\nclass Empty:\n    pass\n"
    bench.execute(code, metadata={"zmqkernel": {"origin": origin}})
    bench.execute("def loose(y):\n    return y")
    try:
        found = bench.reply("definition_request", {"code": "made", "cursor_pos": 2}, "control")
        assert (found["path"], found["line"], found["column"], found["name"]) == (path, 13, 4, "made")
        assert found["source"].startswith("@functools.cache\ndef made")
        found = bench.reply("definition_request", {"code": "Empty", "cursor_pos": 2}, "control")
        assert (found["path"], found["line"], found["column"]) == (path, 16, 6)
        found = bench.reply("definition_request", {"code": "loose", "cursor_pos": 2}, "control")
        assert (found["found"], found["path"], found["line"]) == (True, "", 0)
        assert found["source"] == "def loose(y):\n    return y"
    finally:
        linecache.cache.pop(path, None)


def test_messages(bench: Bench) -> None:
    bench.execute("def twice(n, times=2): 'Doc.'")
    reply = bench.reply("signature_request", {"code": "twice(1, ", "cursor_pos": 9}, "control")
    assert reply["signatures"][0]["label"] == "twice(n, times=2)"
    assert (reply["active_parameter"], reply["status"]) == (1, "ok")
    assert bench.reply("signature_request", {"code": 5}, "control")["status"] == "error"
    magics = bench.reply("complete_request", {"code": "%timei", "cursor_pos": 6})["matches"]
    assert magics == ["timeit"]
    assert "-n" in bench.reply("complete_request", {"code": "%timeit -", "cursor_pos": 9})["matches"]
    assert "--no-raise-error" in bench.reply("complete_request", {"code": "%%bash --", "cursor_pos": 9})["matches"]
    assert bench.reply("complete_request", {"code": "%config InlineBack", "cursor_pos": 18})["status"] == "ok"


class Asked:
    """Counts what an explicit request runs."""

    calls: list[str] = []

    @property
    def silent(self):
        self.calls.append("silent")
        return {"key": 1}

    def __dir__(self) -> list[str]:
        return ["invented"]

    @property
    def hangs(self):
        release.wait(30)

    @property
    def leaves(self):
        raise SystemExit


release = threading.Event()


def test_evaluate_runs_properties_and_only_when_asked(bench: Bench) -> None:
    bench.kernel.shell.user_ns["asked"] = Asked()
    request = {"code": 'asked.silent["', "cursor_pos": 14}
    assert bench.reply("complete_request", request)["matches"] == []
    assert Asked.calls == []
    rows = bench.serve(bench.request("complete_request", request, metadata={"zmqkernel": {"policy": "evaluate"}}))
    assert rows[1][1].content["matches"] == ['key"]']
    assert Asked.calls == ["silent"]
    names = {"asked": Asked(), "run": Asked().calls.clear}
    assert complete("asked.inv", 9, names, None, "evaluate").matches == ["invented"]
    assert complete("run().", 6, names, None, "evaluate").matches == []
    assert complete("asked.leaves.", 13, names, None, "evaluate").matches == []


def test_what_hangs_does_not_hold_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "SECONDS", 0.1)
    names = {"asked": Asked(), "plain": 1}
    try:
        reply = complete("asked.hangs.", 12, names, None, "evaluate")
        assert (reply.matches, reply.metadata["zmqkernel"]["incomplete"]) == ([], True)
        assert complete("pla", 3, names, None, "evaluate").matches == ["plain"]
        assert inspect("plain", 3, 0, names, None, "evaluate").found
    finally:
        release.set()
    end = time.monotonic() + 20
    while complete("pla", 3, names, None, "evaluate").metadata["zmqkernel"]["incomplete"]:
        assert time.monotonic() < end, "the thread that hung has not given up its place"
        time.sleep(0.01)


def test_nothing_is_imported_and_no_finder_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked_for: list[str] = []

    class Finder:
        def find_spec(self, *given: object) -> None:
            asked_for.append("finder")

    def hook(path: str) -> Any:
        asked_for.append("hook")
        raise ImportError

    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "inner.py").touch()
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.setattr(sys, "path_hooks", [hook, *sys.path_hooks])
    monkeypatch.syspath_prepend(tmp_path)
    sys.path_importer_cache.clear()
    asked_for.clear()
    before = set(sys.modules)
    for code in (
        "import ",
        "import spac",
        "import space.",
        "from space import ",
        "from wsgiref.headers import ",
        "from . import ",
    ):
        complete(code, len(code), {}, None)
    assert complete("import space.", 13, {}, None).matches == ["inner"]
    assert complete("from wsgiref.headers import Hea", 31, {}, None).matches == ["Headers"]
    assert asked_for == []
    assert set(sys.modules) == before


def test_paths_only_where_a_file_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").touch()
    (tmp_path / "it's.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = {"Path": Path, "load": lambda folder, name: None, "collections": collections}

    def found(code: str) -> list[str]:
        return complete(code, len(code), names, None).matches

    assert found("open('da") == found("x = Path('da") == found("unknown.read_csv('da") == ["data.csv"]
    assert found("load(folder='da") == found("load('da") == ["data.csv"]
    assert found("load(1, 'da") == found("print('da") == found("x = 'da") == found("open('data.csv', 'da") == []
    assert found("x = '~/da") == ["~/data.csv"]
    assert found("x = './da") == ["./data.csv"]
    assert found("open('it") == ["it\\'s.csv"]
    assert found('open("it') == ["it's.csv"]
    assert found("x = 'http://da") == []
