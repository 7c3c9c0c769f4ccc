"""The namespace mirror in one process: what is told after a cell, and that it is what is so."""

from __future__ import annotations

from typing import Any

import pytest

from zmqkernel.protocol.mirror import LIMIT, Entry

from .mirrored import Mirrored

PLAIN = (int, float, bool, str, bytes, complex, type(None))


def truth(value: Any, depth: int = 0) -> dict[str, Any]:
    """What has to be told of plain values, lists, dicts and instances of plain classes."""
    told: dict[str, Any] = {"type": type(value).__name__}
    if type(value) in PLAIN:
        told["value"] = repr(value)
    elif type(value) in (list, tuple, set, dict):
        told["length"] = len(value)
    if depth == 3:
        return told
    if type(value) is dict:
        told["items"] = {repr(key): truth(item, depth + 1) for key, item in value.items()}
    elif type(value).__module__ == "__main__" and not isinstance(value, type):
        told["attributes"] = {name: truth(item, depth + 1) for name, item in vars(value).items()}
    return told


def told(entry: Entry, like: dict[str, Any]) -> dict[str, Any]:
    """The same of an entry: what ``truth`` has."""
    found: dict[str, Any] = {}
    for key, value in like.items():
        said = getattr(entry, key)
        if key in ("items", "attributes"):
            said = {name: told(child, value.get(name, {})) for name, child in said.items()}
        found[key] = said
    return found


CELLS = [
    "x = 1; y = 'text'; z = 2.5; n = None; b = b'bytes'",
    "d = {'a': 1, 2: {'b': {'c': {'d': {}}}}}; l = [1, 2, 3]",
    "class A:\n    def __init__(self, **keys): self.__dict__.update(keys)",
    "a = A(p=1, q=A(r=[1], s=A(t=A(u=1))))",
    "d['k'] = 1",
    "d[2]['b']['c'] = 5",
    "l.append(4); a.q.r.append(2)",
    "a.new = {'x': 1}",
    "a.new['x'] = 2",
    "del a.p",
    "del x; y = y + '!'",
    "x = d; x['both'] = True",
    "a.q.s.t = 7; a.q = a.q",
    "d.clear()",
    "l = l; d.update({n: n * 2 for n in range(10)})",
    "a = A()",
    "for x in range(5): pass",
    "d[3] = 1.5",
    "d[3] = 2.5",
    "d[3] = 3.5",
]


def test_after_each_cell_the_mirror_is_what_is_so() -> None:
    bench = Mirrored()
    for cell in CELLS:
        bench.run(cell)
        users = {
            name: value for name, value in bench.names.items() if name not in ("get_ipython", "_i", "_3", "__name__")
        }
        assert set(bench.mirror.names()) == set(users), cell
        for name, value in users.items():
            if not isinstance(value, type):
                expected = truth(value)
                assert told(bench[name], expected) == expected, f"{name} after {cell}"


def test_only_what_has_changed_is_told() -> None:
    bench = Mirrored()
    bench.run("x = 1; d = {'a': 1}; l = [1]; f = lambda q: q")
    assert set(bench.run("pass").changed) == set()
    assert bench.chunks[-1].is_empty
    assert set(bench.run("d['a'] = 2").changed) == {"d"}
    assert bench.run("del l").removed == ["l"]
    assert set(bench.run("d = dict(d)").changed) == {"d"}


def test_who_has_bound_and_who_has_changed_a_name() -> None:
    bench = Mirrored()
    bench.run("x = 1\nd = {}\ndef add(): d['k'] = len(d)")
    bench.run("add()")
    assert (bench["d"].execution, bench["d"].count, bench["d"].changed) == ("m1", 1, 2)
    bench.run("x = 1")
    assert (bench["x"].execution, bench["x"].count, bench["x"].changed) == ("m3", 3, 0)
    bench.run("if False:\n    x = 1")
    assert bench["x"].count == 3
    bench.run("d = {1: 2}")
    assert (bench["d"].count, bench["d"].changed) == (5, 0)
    bench.run("x = 1", failed=True)  # it may have failed before it came so far
    assert bench["x"].count == 3


def test_of_several_cells_the_one_that_binds_it_is_named() -> None:
    from zmqkernel.kernel.mirror.ran import Ran

    bench = Mirrored()
    cells = ["a = 1", "b = a", "print(a)", "%time c = 3", "pass"]
    for cell in cells:
        exec(cell.replace("%time ", ""), bench.names)
    bench.names.pop("__builtins__")
    bench.look(*(Ran(f"m{n}", n, cell, failed=False) for n, cell in enumerate(cells, 1)))
    assert (bench["a"].count, bench["b"].count, bench["c"].count) == (1, 2, 4)
    assert bench.mirror.execution == "m5"


def test_everything_is_told_again_to_who_has_nothing() -> None:
    bench = Mirrored()
    bench.run("x = 1; d = {'a': [1]}; import json")
    bench.run("d['b'] = 2")
    before = bench.mirror.entries()
    again = bench.look(full=True)
    assert bench.chunks[0].delta.full
    assert set(again.changed) == {"x", "d", "json"}
    assert {"int", "dict", "list", "module json"} <= set(again.types)
    assert bench.mirror.entries() == before
    assert not bench.look().changed


def test_functions_classes_and_modules() -> None:
    bench = Mirrored()
    bench.run(
        "import json\n"
        "def f(a, b: int = 2, *rest, key='x'):\n    'What it does.\\n\\nMore.'\n"
        "class A:\n    'A class.'\n    size = 3\n    def __init__(self, v): self.v = v\n"
        "    @property\n    def p(self): 1 / 0\n    def m(self, q): 'Says.'\n"
        "a = A(1)"
    )
    assert (bench["f"].kind, bench["f"].signature, bench["f"].doc) == (
        "function",
        "(a, b: int = 2, *rest, key='x')",
        "What it does.",
    )
    assert (bench["A"].kind, bench["A"].signature, bench["A"].doc) == ("class", "(v)", "A class.")
    assert bench["json"].kind == "module"
    json = bench.mirror.table(bench["json"].members)
    assert json
    assert json.members["dumps"].kind == "function"
    assert json.members["dumps"].signature.startswith("(obj, *, skipkeys=False")
    table = bench.mirror.table(bench["a"].members)
    assert table
    assert {name: member.kind for name, member in table.members.items()} == {
        "size": "variable",
        "p": "property",
        "m": "function",
    }
    assert (table.members["m"].signature, table.members["m"].doc) == ("(q)", "Says.")


def test_member_tables_are_told_once_and_follow_their_class() -> None:
    bench = Mirrored()
    assert "A" in bench.run("class A:\n    def f(self): ...\na = A(); b = A()").types
    assert bench.run("c = A()").types == {}
    assert set(bench.run("A.g = lambda self: 1").types) == {"A"}
    table = bench.mirror.table("A")
    assert table
    assert "g" in table.members
    # A new class of the same name beside objects of the old one, and the old one when its last object goes.
    bench.run("class A:\n    def h(self): ...\nd = A()")
    assert {bench["a"].members, bench["d"].members} == {"A", "A#2"}
    assert bench.run("del a, b, c").types_removed == ["A"]


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ("df['new'] = 1.5", "items", ["'a'", "'b'", "'new'"]),
        ("del df['a']", "items", ["'b'"]),
        ("df['a'] = df['a'].astype('float64')", "dtype of a", "float64"),
        ("df.columns = ['p', 'q']", "items", ["'p'", "'q'"]),
        ("df.loc[5] = [3, 'z']", "shape", [3, 2]),
        ("df.loc[0, 'a'] = 77", "fingerprint", None),
        ("df['a'].array[0]; df.iat[1, 0] = 78", "fingerprint", None),
    ],
)
def test_a_table_that_changes_in_place(change: str, field: str, expected: Any) -> None:
    pytest.importorskip("pandas")
    bench = Mirrored()
    bench.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})")
    before = bench["df"]
    assert before.type.endswith(".DataFrame")
    assert (before.shape, list(before.items)) == ([2, 2], ["'a'", "'b'"])
    assert not bench.run("df.describe(); len(df)").changed
    assert set(bench.run(change).changed) == {"df"}
    after = bench["df"]
    assert after.changed == 3
    assert after.fingerprint != before.fingerprint
    if field == "dtype of a":
        assert after.items["'a'"].dtype == expected
    elif field == "items":
        assert list(after.items) == expected
    elif expected is not None:
        assert getattr(after, field) == expected


def test_arrays_series_and_columns_of_all_sorts() -> None:
    pytest.importorskip("pandas")
    bench = Mirrored()
    bench.run(
        "import numpy as np, pandas as pd\n"
        "a = np.zeros((3, 4)); i = np.arange(4); v = np.float64(1.5)\n"
        "r = np.zeros(2, dtype=[('x', int), ('y', float)])\n"
        "s = pd.Series([1, 2], index=['p', 'q'], name='n')\n"
        "df = pd.DataFrame([[1, 2, 3]], columns=['a', 7, ('t', 1)])"
    )
    assert (bench["a"].shape, bench["a"].dtype, bench["a"].size) == ([3, 4], "float64", 96)
    assert (bench["i"].value, bench["v"].value) == ("[0, 1, 2, 3]", "1.5")
    assert list(bench["r"].items) == ["'x'", "'y'"]
    assert (bench["s"].shape, list(bench["s"].items)) == ([2], ["'p'", "'q'"])
    assert list(bench["df"].items) == ["'a'", "7", "('t', 1)"]
    assert set(bench.run("i[2] = 9").changed) == {"i"}
    assert bench["i"].value == "[0, 1, 9, 3]"
    assert set(bench.run("s['p'] = 5; a[2, 3] = 1").changed) == {"s", "a"}


def test_polars() -> None:
    pytest.importorskip("polars")
    bench = Mirrored()
    bench.run("import polars as pl\ndf = pl.DataFrame({'a': [1, 2], 'b': ['x', 'y']}); s = df['a']")
    assert (bench["df"].shape, [c.dtype for c in bench["df"].items.values()]) == ([2, 2], ["Int64", "String"])
    assert bench["s"].dtype == "Int64"
    bench.run("df.insert_column(2, pl.Series('c', [1, 2]))")
    assert list(bench["df"].items) == ["'a'", "'b'", "'c'"]


def test_depth_and_numbers_are_bounded_and_that_is_said() -> None:
    bench = Mirrored()
    bench.run(
        "class A: pass\n"
        "a = b = A()\nfor name in 'pqrst':\n    b.__dict__[name] = A(); b = b.__dict__[name]\n"
        "many = {n: n for n in range(1000)}; loop = []; loop.append(loop)\n"
        "wide = A(); wide.__dict__.update({f'n{n}': {m: [] for m in range(50)} for n in range(90)})\n"
        "text = 'x' * 100_000; number = 10 ** 10_000"
    )
    third = bench["a"].attributes["p"].attributes["q"].attributes["r"]
    assert third.truncated
    assert third.attributes == {}
    assert (bench["many"].length, len(bench["many"].items), bench["many"].truncated) == (1000, 100, True)
    assert len(bench["wide"].attributes) == 90
    assert len(bench["text"].value) < 200
    assert bench["text"].length == 100_000
    assert bench["number"].type == "int"
    assert max(len(bytes(raw)) for raw in bench.look(full=True).changed.values()) < 66_000


def test_all_of_it_is_bounded() -> None:
    bench = Mirrored()
    bench.run(
        "big = {f'v{n}': [{f'key{m}' * 10: m for m in range(95)} for _ in range(3)] for n in range(1200)}\nglobals().update(big)"
    )
    total = sum(len(chunk.body) for chunk in bench.chunks)
    assert LIMIT / 2 < total <= LIMIT
    assert bench.chunks[-1].delta.truncated
    assert any(bench[f"v{n}"].truncated for n in range(1200))
    assert all(len(chunk.body) < 400_000 for chunk in bench.chunks)
    bench.run("for n in range(1200): del globals()[f'v{n}']\ndel big, n")
    assert not bench.chunks[-1].delta.truncated
    assert len(bench.mirror) == 0


def test_strange_names_and_texts() -> None:
    bench = Mirrored()
    bench.run(
        "globals()['\\ud800'] = 1; s = '\\ud800'; d = {'\\ud800': 1}; ü = 'ä'; globals()['a b'] = 2; globals()[3] = 4"
    )
    assert set(bench.mirror.names()) == {"s", "d", "ü", "a b"}
    assert bench["ü"].value == "'ä'"


def test_nothing_of_the_users_is_kept_alive() -> None:
    import weakref

    bench = Mirrored()
    bench.run("class A: pass\na = A(); a.b = A(); l = [a.b]; d = {'k': a.b}")
    alive = weakref.ref(bench.names["a"]), weakref.ref(bench.names["a"].b)
    exec("del a, l, d", bench.names)
    assert [one() for one in alive] == [None, None]


def test_names_that_change_while_they_are_looked_at() -> None:
    bench = Mirrored()
    bench.run("x = 1")
    exec("for n in range(500): globals()[f'v{n}'] = [n]", bench.names)
    steps = bench.namespace.look([], full=False)
    next(steps)
    for n in range(0, 500, 2):
        del bench.names[f"v{n}"]
    bench.names["late"] = 1
    assert [chunk for chunk in steps if chunk is not None]
    bench.look(full=True)
    assert {name for name in bench.mirror.names() if name[0] == "v"} == {f"v{n}" for n in range(1, 500, 2)}
    assert "late" in bench.mirror


def test_ten_thousand_names() -> None:
    bench = Mirrored()
    bench.run("for n in range(10_000): globals()[f'v{n}'] = n if n % 2 else [n]")
    assert len(bench.mirror) == 10_001
    assert set(bench.run("v77 = 'new'; v78.append(1)").changed) == {"v77", "v78"}
