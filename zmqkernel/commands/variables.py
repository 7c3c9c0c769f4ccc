"""``zmqkernel vars``: the variables of a session, from the supervisor's mirror."""

from __future__ import annotations

import shutil
import sys

import msgspec

from ..client.blocking import Client
from ..protocol.mirror import Entry, Mirror

HEAD = ("NAME", "TYPE", "SIZE", "IN", "VALUE")
MOST = (30, 30, 14, 8)
"""Characters of the columns but the last."""
WIDTH = 200
"""Characters of a line that goes to no terminal."""
SCALES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def table(client: Client, order: str) -> str:
    """The variables in columns. ``order``: name, size or recent."""
    mirror = client.mirror()
    entries = _sorted(mirror, order)
    notes = ["(the kernel that had these variables is dead)"] if mirror.stale else []
    notes += ["(there are more: not everything had room)"] if mirror.truncated else []
    if not entries:
        return "\n".join(notes) or "there are no variables"
    rows = [HEAD, *(_row(name, entry, order) for name, entry in entries)]
    widths = [min(most, max(len(row[at]) for row in rows)) for at, most in enumerate(MOST)]
    line = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
    lines: list[str] = []
    for row in rows:
        cells = [_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(_cut("  ".join([*cells, row[-1]]).rstrip(), line))
    return "\n".join(notes + lines)


def as_json(client: Client) -> str:
    """Everything that is known."""
    mirror = client.mirror()
    known = {
        "generation": mirror.generation,
        "stale": mirror.stale,
        "execution_count": mirror.execution_count,
        "truncated": mirror.truncated,
        "variables": dict(sorted(mirror.entries().items())),
    }
    return msgspec.json.encode(known).decode()


def _sorted(mirror: Mirror, order: str) -> list[tuple[str, Entry]]:
    entries = list(mirror.entries().items())
    if order == "size":
        return sorted(entries, key=lambda one: -one[1].size)
    return entries if order == "recent" else sorted(entries, key=lambda one: one[0])


def _row(name: str, entry: Entry, order: str) -> tuple[str, ...]:
    shown = name + entry.signature if entry.kind in ("function", "class") else entry.value
    said = " ".join(filter(None, [shown or entry.dtype or _names(entry), f"# {entry.doc}" if entry.doc else ""]))
    size = memory(entry.size) if order == "size" else _extent(entry)
    kind = entry.kind if entry.kind != "variable" else entry.type.rpartition(".")[2]
    return name, kind, size, f"[{entry.count}]" if entry.count else "", " ".join(said.split())


def _extent(entry: Entry) -> str:
    if entry.shape is not None:
        return " x ".join(map(str, entry.shape)) or "scalar"
    return "" if entry.length is None else str(entry.length)


def _names(entry: Entry) -> str:
    """Of something without a value: what is in it."""
    return ", ".join([*entry.items, *(f".{name}" for name in entry.attributes)])


def memory(size: int) -> str:
    """Bytes as a person says them; nothing when they are not known."""
    for unit, scale in SCALES:
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B" if size else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
