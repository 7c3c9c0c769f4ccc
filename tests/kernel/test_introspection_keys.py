"""Keys and columns: what is found, and that accepting it leaves exactly one quote and one bracket."""

from __future__ import annotations

import ast
import collections
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqkernel.kernel.introspection import complete, inspect


class Layer:
    def __init__(self) -> None:
        self._modules: dict[str, Any] = {}
        self._parameters: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("run")

    def __getitem__(self, name: object) -> Any:
        raise AssertionError("run")


class Named(dict[str, int]):
    """Leaves reading to dict."""

    def extra(self) -> None: ...


net = Layer()
net._modules["conv"] = net._modules["0"] = inner = Layer()
inner._parameters["weight"] = "w"
NAMESPACE: dict[str, Any] = {
    "d": {"one": 1, "two words": {"deeper": [{"last": 1}]}, "größe €": 2, "it's": 3, 'say "x"': 4, "back\\slash": 5,
          "new\nline": 6},
    "mixed": {1: "a", -25: "b", 2.5: "c", (1, "x"): "d", (1, "y", 3): "e", b"by": "f", None: "h"},
    "named": Named(kay=1),
    "default": collections.defaultdict(int, zz=1),
    "net": net,
    "xs": [{"q": SimpleNamespace(deep=1)}],
    "t": collections.namedtuple("T", "left right")("text", 2),
}  # fmt: skip


def accepted(code: str, names: dict[str, Any] | None = None, closed: str = "") -> list[str]:
    """The code after accepting each match at the ``|`` in it, or at its end."""
    at = code.index("|") if "|" in code else len(code)
    code = code.replace("|", "", 1) + closed
    reply = complete(code, at, NAMESPACE if names is None else names, None)
    return [code[: reply.cursor_start] + match + code[reply.cursor_end :] for match in reply.matches]


PAIRS = ["", "]", '"', '"]', '" ]']


@pytest.mark.parametrize("closed", PAIRS)
@pytest.mark.parametrize("key", list(NAMESPACE["d"]))
def test_whatever_an_editor_has_put_behind_the_cursor(key: str, closed: str) -> None:
    texts = accepted('d["|', closed=closed)
    values = [ast.literal_eval(ast.parse(text, mode="eval").body.slice) for text in texts]  # type: ignore[attr-defined]
    assert values == list(NAMESPACE["d"])
    assert all(text.rstrip().endswith('"]') or text.endswith('" ]') for text in texts)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('print(d["on|)', 'print(d["one"])'),
        ('print(d["on|"])', 'print(d["one"])'),
        ('[d["on|]', '[d["one"]]'),
        ('[d["on|"]]', '[d["one"]]'),
        ('[d["on|"], d["x"]]', '[d["one"], d["x"]]'),
        ('d["on|e"] + 1', 'd["one"] + 1'),
        ('d["two| words"]', 'd["two words"]'),
        ('d["on| + d["x"]', 'd["one"] + d["x"]'),
        ("f\"{d['on|']}\"", "f\"{d['one']}\""),
        ("f\"{d['on|", "f\"{d['one']"),
        ("x = [\n  d['on|],\n]", "x = [\n  d['one'],\n]"),
        ("f(d['on|\n)", "f(d['one']\n)"),
        ("d['it|", "d['it\\'s']"),
        ("d['it\\'|", "d['it\\'s']"),
        ('d["gr|', 'd["größe €"]'),
        ("d[r'back|", "d[r'back\\slash']"),
        ("d[|", "d['one']"),
        ("d[|]", "d['one']"),
        ("mixed[-2|", "mixed[-25]"),
        ("mixed[2.|]", "mixed[2.5]"),
        ("mixed[1, '|", "mixed[1, 'x']"),
        ("mixed[1, 'y', |]", "mixed[1, 'y', 3]"),
        ("mixed[(1, '|')]", "mixed[(1, 'x')]"),
        ("mixed[b'|", "mixed[b'by']"),
        ("d['two words']['|", "d['two words']['deeper']"),
        ("d['two words']['deeper'][0]['|", "d['two words']['deeper'][0]['last']"),
        ("d.get('on|", "d.get('one'"),
        ("d.get('on|')", "d.get('one')"),
        ("default['|", "default['zz']"),
        ("named['|", "named['kay']"),
        ("net['|", "net['conv']"),
        ("net.co|", "net.conv"),
        ("net.conv.wei|", "net.conv.weight"),
        ("net[0].wei|", "net[0].weight"),
        ("xs[0]['q'].de|", "xs[0]['q'].deep"),
        ("xs[:1].app|", "xs[:1].append"),
        ("t[0].upp|", "t[0].upper"),
        ("t.left.upp|", "t.left.upper"),
    ],
)
def test_accepting(code: str, expected: str) -> None:
    assert accepted(code)[:1] == [expected]


def test_tuple_keys_whole() -> None:
    assert "mixed[(1, 'x')]" in accepted("mixed[|]")
    assert accepted("mixed[2, '") == []


@given(st.text(min_size=1, max_size=8), st.sampled_from("'\""), st.sampled_from(PAIRS), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_any_key(key: str, quote: str, closed: str, typed: int) -> None:
    """Accepting a key gives an expression that names that very key, whatever is in it and behind the cursor."""
    prefix = key[:typed] if key[:typed].isalnum() else ""
    code = f"d[{quote}{prefix}|"
    for text in accepted(code, {"d": {key: 1}}, closed.replace('"', quote)):
        assert eval(text, {"d": {key: "found"}}) == "found"


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"region": ["n", "s"], "größe €": [1, 2], 'it\'s "q"': [2, 3], 7: [3, 4]})
    frame["time"] = pandas.Timestamp("2020-01-01")
    several = pandas.DataFrame([[1, 2]], columns=pandas.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    rows = frame.set_index("region")
    names = {"df": frame, "s": frame["region"], "mi": several, "g": frame.groupby("region"), "rows": rows}
    return names | {"pandas": pandas}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('df["', ['df["region"]', 'df["größe €"]', 'df["it\'s \\"q\\""]', 'df["time"]']),
        ("df[", ["df['region']", "df['größe €']", "df['it\\'s \"q\"']", "df[7]", "df['time']"]),
        ("df[7|]", ["df[7]"]),
        ('df[["region", "t|"]]', ['df[["region", "time"]]']),
        ('df[["t', ['df[["time"']),
        ('df.loc[:, "t', ['df.loc[:, "time"]']),
        ('df.loc[0, ["t|"]]', ['df.loc[0, ["time"]]']),
        ('rows.loc["', ['rows.loc["n"]', 'rows.loc["s"]']),
        ('df.groupby("t', ['df.groupby("time"']),
        ('df.groupby("t|")', ['df.groupby("time")']),
        ('df.groupby(["region", "t|"])', ['df.groupby(["region", "time"])']),
        ('df.groupby("region")["t', ['df.groupby("region")["time"]']),
        ("df.groupby('region').agg({'t", ["df.groupby('region').agg({'time'"]),
        ('df.sort_values(by="t|")', ['df.sort_values(by="time")']),
        ('df.drop(columns=["t|"])', ['df.drop(columns=["time"])']),
        ('df.head()["t', ['df.head()["time"]']),
        ('df.plot(x="t', ['df.plot(x="time"']),
        ('df.query("t', []),
        ('g["t', ['g["time"]']),
        ("g.ti", ["g.time"]),
        ("df.region.str.upp", ["df.region.str.upper"]),
        ("df['time'].dt.is_month_st", ["df['time'].dt.is_month_start"]),
        ("df.loc[:, 'time'].dt.is_month_st", ["df.loc[:, 'time'].dt.is_month_start"]),
        ("x = df.groupby('region').aggr", ["x = df.groupby('region').aggregate"]),
        ("x = (df\n  .groupby('region')\n  .aggr", ["x = (df\n  .groupby('region')\n  .aggregate"]),
        ("df.rolling(2).media", ["df.rolling(2).median"]),
        ("s.str.upp", ["s.str.upper"]),
        ('mi["', ['mi["a"]']),
        ('mi["a", "', ['mi["a", "x"]', 'mi["a", "y"]']),
        ('sns.lineplot(df, x="t', ['sns.lineplot(df, x="time"']),
    ],
)
def test_pandas(code: str, expected: list[str], tables: dict[str, Any]) -> None:
    assert accepted(code, tables) == expected


def test_a_table_is_shown_without_any_repr(tables: dict[str, Any]) -> None:
    class Loud:
        def __repr__(self) -> str:
            raise AssertionError("run")

    frame = tables["pandas"].DataFrame({"a": [Loud(), 1], "b": ["x", "y"]})
    text = inspect("df", 2, 0, {"df": frame}, None).data["text/plain"]
    assert "Shape: 2 x 2" in text
    assert "Dtypes: a: object" in text
    assert "1  y" in text


def test_a_subclass_of_a_table_is_not_asked(tables: dict[str, Any]) -> None:
    class Mine(tables["pandas"].DataFrame):  # type: ignore[misc]
        @property
        def columns(self) -> Any:
            raise AssertionError("run")

    mine = Mine.__new__(Mine)
    assert accepted('df["', {"df": mine}) == []
    assert inspect("df", 1, 0, {"df": mine}, None).found


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    names = {"df": polars.DataFrame({"a": [1, 2], "b ö": ["x", "y"]}), "pl": polars}
    assert accepted('df["', names) == ['df["a"]', 'df["b ö"]']
    assert accepted('df.filter(pl.col("|"))', names) == ['df.filter(pl.col("a"))', 'df.filter(pl.col("b ö"))']
    assert accepted('df.select("b', names) == ['df.select("b ö"']
    assert "Dtypes: a: Int64, b ö: String" in inspect("df", 1, 0, names, None).data["text/plain"]


def test_numpy_records() -> None:
    numpy = pytest.importorskip("numpy")
    kind = [("left", "i4"), ("right", [("deep", "f8")])]
    names = {"r": numpy.zeros(2, dtype=kind), "rec": numpy.recarray(2, dtype=kind), "np": numpy}
    assert accepted('r["right"]["', names) == ['r["right"]["deep"]']
    assert accepted('r[0]["l', names) == ['r[0]["left"]']
    assert accepted('rec["l', names) == ['rec["left"]']
    assert complete("np.zeros(sh", 11, names, None).matches == ["shape="]


def test_what_does_not_fit_is_left_out_and_said() -> None:
    names = {"many": {f"key{n:06}": n for n in itertools.islice(itertools.count(), 150_000)}}
    reply = complete('many["', 6, names, None)
    assert 0 < len(reply.matches) <= 1000
    assert reply.metadata["zmqkernel"]["incomplete"] is True
    assert complete('many["key00001', 14, names, None).matches[0] == 'key000010"]'


def test_items_say_what_they_are() -> None:
    def first(code: str) -> dict[str, str]:
        return complete(code, len(code), NAMESPACE | {"df": 1}, None).metadata["zmqkernel"]["items"][0]

    assert first('d["on') == {
        "text": 'one"]', "kind": "key", "type": "int", "detail": "int", "source": "live", "label": "one",
    }  # fmt: skip
    assert (first("net").items() >= {"text": "net", "kind": "variable"}.items()) is True
    assert first("named.ext")["kind"] == "function"
    assert first("named.ext")["detail"] == "() -> None"
