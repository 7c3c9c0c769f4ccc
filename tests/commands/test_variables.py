"""``zmqkernel vars`` in words."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from zmqkernel.commands.variables import as_json, memory, table
from zmqkernel.protocol.mirror import Changes, Entry, Mirror, MirrorReply, pack


class FakeClient:
    """Has a mirror of these entries."""

    def __init__(self, entries: dict[str, Entry], *, stale: bool = False, truncated: bool = False) -> None:
        self._copy = Mirror()
        changes = Changes({name: msgspec.Raw(pack(entry)) for name, entry in entries.items()})
        self._copy.take(MirrorReply(1, 3, "m7", 7, full=True, stale=stale, truncated=truncated), changes)

    def mirror(self) -> Mirror:
        return self._copy


ENTRIES = {
    "z": Entry("variable", "int", value="1", count=2, size=28),
    "df": Entry("variable", "pandas.DataFrame", [2, 3], size=5_000_000, count=1, items={"'a'": Entry("variable")}),
    "f": Entry("function", "function", signature="(q)", doc="What it does.", count=4),
    "a": Entry("variable", "A", attributes={"b": Entry("variable")}),
}


def rows(order: str, **keys: Any) -> list[str]:
    client: Any = FakeClient(ENTRIES, **keys)
    return table(client, order).splitlines()


def test_a_table() -> None:
    assert rows("name") == [
        "NAME  TYPE       SIZE   IN   VALUE",
        "a     A                      .b",
        "df    DataFrame  2 x 3  [1]  'a'",
        "f     function          [4]  f(q) # What it does.",
        "z     int               [2]  1",
    ]


def test_orders() -> None:
    assert [row.split()[0] for row in rows("size")[1:]] == ["df", "z", "f", "a"]
    assert "5.0 MB" in rows("size")[1]
    assert [row.split()[0] for row in rows("recent")[1:]] == ["z", "df", "f", "a"]


def test_notes() -> None:
    assert rows("name", stale=True, truncated=True)[:2] == [
        "(the kernel that had these variables is dead)",
        "(there are more: not everything had room)",
    ]
    nobody: Any = FakeClient({})
    assert table(nobody, "name") == "there are no variables"


def test_json() -> None:
    client: Any = FakeClient(ENTRIES)
    told = json.loads(as_json(client))
    assert (told["generation"], told["stale"], list(told["variables"])) == (3, False, ["a", "df", "f", "z"])
    assert told["variables"]["df"] == {
        "kind": "variable",
        "type": "pandas.DataFrame",
        "shape": [2, 3],
        "size": 5_000_000,
        "items": {"'a'": {"kind": "variable"}},
        "count": 1,
    }


def test_memory() -> None:
    assert [memory(n) for n in (0, 12, 1500, 2_000_000, 3_000_000_000)] == ["", "12 B", "1.5 kB", "2.0 MB", "3.0 GB"]
