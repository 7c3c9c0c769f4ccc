"""Completion and inspection of ordinary objects."""

from __future__ import annotations

import collections
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from zmqkernel.kernel.introspection import complete, inspect


def plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int:
    """Add up."""
    return alpha + beta


class Thing:
    """A thing."""

    __slots__ = ("slot",)
    shared = {"inner": 1}

    def method(self, left: int, right: object = SimpleNamespace()) -> None:
        """Do it."""

    @classmethod
    def make(cls, size: int) -> None:
        """Make one."""

    @staticmethod
    def plain(size: int) -> None:
        """No self."""


class Holder:
    def __init__(self, first: int, second: int = 1) -> None:
        self.thing = Thing()
        self.words = ["a", {"deep": "text"}]


SHELL = SimpleNamespace(
    magics_manager=SimpleNamespace(
        magics={
            "line": {"timeit": plus, "time": plus, "run": plus, "matplotlib": plus, "cd": plus, "load_ext": plus},
            "cell": {"timeit": plus, "bash": plus},
        },
    )
)
NAMESPACE: dict[str, Any] = {
    "plus": plus,
    "Thing": Thing,
    "Holder": Holder,
    "thing": Thing(),
    "holder": Holder(1),
    "data": {"one": 1, "it's": 2, 'a "b"': 3, 4: 5, (1, 2): 6, "nested": {"deeper": [1]}},
    "ordered": collections.OrderedDict(x=1),
    "größe": 5,
    "_private": 1,
    "os": __import__("os"),
}


def matches(code: str, namespace: dict[str, Any] | None = None, shell: Any = SHELL) -> list[str]:
    """The matches at the ``|`` in ``code``, or at its end."""
    return reply(code, namespace, shell).matches


def reply(code: str, namespace: dict[str, Any] | None = None, shell: Any = SHELL) -> Any:
    at = code.index("|") if "|" in code else len(code)
    return complete(code.replace("|", "", 1), at, NAMESPACE if namespace is None else namespace, shell)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("zi", ["zip"]),
        ("lambda: zi", ["zip"]),
        ("hold", ["holder"]),
        ("_pri", ["_private"]),
        ("whi", ["while"]),
        ("größ", ["größe"]),
        ("x = '😀'; größ", ["größe"]),
        ("zi|p(a)", ["zip"]),
        ("holder.", ["thing", "words"]),
        ("holder.thing.met", ["method"]),
        ("holder.words[1]['deep'].upp", ["upper"]),
        ("holder.words[-1].set", ["setdefault"]),
        ("holder.words[7].a", []),
        ("thing.sl", ["slot"]),
        ("(holder\n  .thing).met", ["method"]),
        ("'a'.spl", ["split", "splitlines"]),
        ("[1, 2].app", ["append"]),
        ("{1: 2}.pop", ["pop", "popitem"]),
        ("f'{plus}'.spl", ["split", "splitlines"]),
        ("5 .bit_l", ["bit_length"]),
        ("f'{hol", ["holder"]),
        ("f'{{hol", []),
        ("f'{holder.thi", ["thing"]),
        ("print(holder.thi", ["thing"]),
        ("return_ = -holder.thi", ["thing"]),
        ("not holder.thi", ["thing"]),
        ("unknown.", []),
        ("holder.unknown.", []),
        ("plus().bit_l", ["bit_length"]),
        ("data['", ["one']", "it\\'s']", 'a "b"\']', "nested']"]),
        ('data["', ['one"]', "it's\"]", 'a \\"b\\""]', 'nested"]']),
        ("data['|']", ["one", "it\\'s", 'a "b"', "nested"]),
        ("data['o", ["one']"]),
        ("data[", ["'one']", '"it\'s"]', "'a \"b\"']", "4]", "(1, 2)]", "'nested']"]),
        ("data['nested']['", ["deeper']"]),
        ("ordered['", ["x']"]),
        ("data['one", ["one']"]),
        ("x = ['o", []),
        ("plus(al", ["alpha=", "all"]),
        ("plus(1, ga", ["gamma="]),
        ("plus(beta=ga", []),
        ("thing.method(le", ["left=", "len"]),
        ("Thing.method(se", ["self=", "set", "setattr"]),
        ("Holder(fi", ["first=", "filter", "finally"]),
        ("import colle", ["collections"]),
        ("import os, colle", ["collections"]),
        ("import xml.do", ["dom"]),
        ("import numpy as n", []),
        ("from xml.dom import mini", ["minicompat", "minidom"]),
        ("from os.path import (join,\n    splitd", ["splitdrive"]),
        ("from collections imp", []),
        ("# zi", []),
        ("x = 1  # zi", []),
        ("x = 'zi", []),
        ("x = '''zi", []),
        ('"""\nzi|\n"""', []),
        ("x = 'a' 'zi'", []),
        ("def zi", []),
        ("class zi", []),
        ("for zi", []),
        ("1.", []),
        ("1e", []),
        ("%ti", ["time", "timeit"]),
        ("%%ti", ["timeit"]),
        ("x = %ti", ["time", "timeit"]),
        ("%timeit holder.thi", ["thing"]),
        ("%%timeit\nholder.thi", ["thing"]),
        ("%%bash\nholder.thi", []),
        ("a %ti", []),
        ("%matplotlib in", ["inline"]),
        ("%load_ext autor", ["autoreload"]),
        ("%timeit -n 5 holder.thi", ["thing"]),
    ],
)
def test_completion(code: str, expected: list[str]) -> None:
    assert matches(code) == expected


def test_empty_code_gives_names_but_no_private_ones() -> None:
    found = matches("")
    assert {"plus", "zip", "while"} <= set(found)
    assert not [name for name in found if name.startswith("_")]


def test_offsets_are_code_points() -> None:
    answer = reply("x = '😀'; holder.thi|")
    assert (answer.cursor_start, answer.cursor_end) == (16, 19)
    assert answer.status == "ok"


@pytest.mark.parametrize("at", [-5, 99])
def test_a_cursor_outside_is_moved_inside(at: int) -> None:
    assert complete("zi", at, NAMESPACE, SHELL).cursor_end in (0, 2)


def test_types_come_with_the_matches() -> None:
    (item,) = reply("thing.met").metadata["_jupyter_types_experimental"]
    assert item == {
        "text": "method",
        "type": "function",
        "start": 6,
        "end": 9,
        "signature": "(left: int, right: object = ...) -> None",
    }
    kinds = {item["text"]: item["type"] for item in reply("T|").metadata["_jupyter_types_experimental"]}
    assert kinds["Thing"] == "class"
    assert kinds["True"] == "instance"
    assert kinds["TypeError"] == "class"


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sales.csv").touch()
    (tmp_path / ".hidden").touch()
    monkeypatch.chdir(tmp_path)
    assert matches("open('s") == ["sales.csv", "sub/"]
    assert matches("open('") == ["sales.csv", "sub/"]
    assert matches("x = '") == []
    assert matches(f"open('{tmp_path}/sa") == [f"{tmp_path}/sales.csv"]
    assert matches("%run sa") == ["sales.csv"]
    assert matches("!cat sa") == ["sales.csv"]
    assert matches("open('nowhere/") == []


def test_modules_are_found_without_importing_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "explosive"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\nx = 1\ndef fuse(): ...\nimport os as system\n")
    (package / "inner.py").write_text("raise SystemExit\nclass Spark: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert matches("import explos") == ["explosive"]
    assert matches("from explosive import ") == ["fuse", "inner", "system", "x"]
    assert matches("from explosive.inner import ") == ["Spark"]
    assert "explosive" not in sys.modules


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"region": ["n"], "two words": [1], "count": [2], 7: [3]})
    frame.attrs["size"] = 1
    names = {"df": frame, "s": frame["region"]}
    assert matches("df['", names) == ["region']", "two words']", "count']"]
    assert matches("df.reg", names) == ["region"]
    assert "two words" not in matches("df.", names)
    assert matches("df.region.value_c", names) == ["value_counts"]
    assert matches("df['two words'].value_c", names) == ["value_counts"]
    text = inspect("df", 1, 0, names, None).data["text/plain"]
    assert "Shape: 1 x 4" in text
    assert "Columns: region, two words, count" in text


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    names = {"a": numpy.zeros((2, 3)), "r": numpy.zeros(2, dtype=[("left", "i4"), ("right", "f8")]), "np": numpy}
    assert matches("r['l", names) == ["left']"]
    assert "Shape: 2 x 3, float64" in inspect("a", 1, 0, names, None).data["text/plain"]
    assert matches("np.random.default_r", names) == ["default_rng"]


def shown(code: str, detail_level: int = 0) -> str:
    at = code.index("|") if "|" in code else len(code)
    answer = inspect(code.replace("|", "", 1), at, detail_level, NAMESPACE, SHELL)
    assert answer.found
    assert answer.data["text/markdown"]
    return answer.data["text/plain"]


def test_inspect_a_function() -> None:
    text = shown("plus")
    assert "Signature: plus(alpha: int, beta: int = 2, *rest: str, gamma: float = 3.5, **others: object) -> int" in text
    assert "Docstring:\nAdd up." in text
    assert f"File: {__file__}" in text
    assert "return alpha + beta" in shown("plus", 1)


@pytest.mark.parametrize("code", ["plus(1, |", "pl|us(1, 2)", "plus|", "plus(\n  1,|", "a = pl|us"])
def test_inspect_finds_the_function_around_the_cursor(code: str) -> None:
    assert "Docstring:\nAdd up." in shown(code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("zip", "Docstring:"),
        ("thing.method", "Signature: method(left: int, right: object = ...) -> None"),
        ("Thing.method", "Signature: method(self, left: int, right: object = ...) -> None"),
        ("thing.make", "Signature: make(size: int) -> None"),
        ("thing.plain", "Signature: plain(size: int) -> None"),
        ("Holder", "Signature: Holder(first: int, second: int = 1) -> None"),
        ("holder.words", "Value: ['a', {'deep': 'text'}]"),
        ("holder.words", "Length: 2"),
        ("größe", "Value: 5"),
        ("data['o|ne']", "Value: 1"),
        ("data['nested|']", "Value: {'deeper': [1]}"),
        ("holder.words[0|]", "Value: 'a'"),
        ("str.upper", "Signature: upper()"),
        ("len", "Signature: len(obj, /)"),
        ("%timeit|", "Docstring:\nAdd up."),
        ("%%timeit|\nx", "Docstring:\nAdd up."),
        ("os", "Type: module"),
    ],
)
def test_inspect(code: str, expected: str) -> None:
    assert expected in shown(code)


def test_inspect_source_of_a_class() -> None:
    assert shown("Holder", 1).rstrip().endswith('self.words = ["a", {"deep": "text"}]')


@pytest.mark.parametrize("code", ["", "nothing_here", "1", "# zip", "data.nothing", "+", "%nothing"])
def test_inspect_not_found(code: str) -> None:
    answer = inspect(code, len(code), 0, NAMESPACE, SHELL)
    if code != "# zip":  # a word in a comment is looked up: harmless, and people comment code out
        assert (answer.found, answer.data, answer.status) == (False, {}, "ok")


def test_values_are_bounded() -> None:
    names = {"many": list(range(10**6)), "text": "x" * 10**6, "number": 10**5000, "deep": [[[[[[1]]]]]], "loop": []}
    names["loop"].append(names["loop"])  # type: ignore[attr-defined]
    for name in names:
        assert len(inspect(name, 1, 0, names, None).data["text/plain"]) < 2500


def test_a_lazy_module_is_not_loaded() -> None:
    loaded: list[str] = []

    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            loaded.append(name)
            return super().__getattribute__(name)

    module = Lazy("lazy")
    module.ready = 1
    loaded.clear()
    assert matches("lazy.re", {"lazy": module}) == ["ready"]
    assert loaded == []


def test_while_another_thread_changes_the_namespace() -> None:
    namespace: dict[str, Any] = {f"name_{n}": {str(n): n} for n in range(500)}
    stop = threading.Event()

    def change() -> None:
        n = 0
        while not stop.is_set():
            namespace[f"name_{n % 900}"] = {str(k): k for k in range(n % 50)}
            namespace.pop(f"name_{(n * 7) % 900}", None)
            namespace["changing"] = namespace.get("changing", {})
            namespace["changing"][n % 300] = n
            namespace["changing"].pop((n * 3) % 300, None)
            n += 1

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for _ in range(100):
            assert matches("changi", namespace) in (["changing"], [])
            matches("changing[", namespace)
            matches("name_", namespace)
            inspect("changing", 3, 1, namespace, None)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
