"""What is shown of executions where an editor has only LSP: which one belongs to a cell, and its state in few words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zmqkernel.protocol.cells import Cell
from zmqkernel.protocol.outputs import Output

from .anchors import Anchor
from .outputs import Execution
from .view import View

MAX_LABEL = 80
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SHAPE = re.compile(r"(\d+) rows (?:x|×) (\d+) columns")
_TABLE = re.compile(
    r'<table[^>]*class="dataframe".*?<thead>(?P<head>.*?)</thead>\s*<tbody>(?P<body>.*?)</tbody>', re.DOTALL
)
_WORDS = {"ok": "✓", "error": "✗", "died": "✗ kernel died", "aborted": "not run", "waiting": "waits for input"}


def of_cell(view: View, cell: Cell) -> Execution | None:
    """The newest run of a whole cell."""
    there = {anchor.execution for anchor in view.anchors.all if anchor.whole and anchor.first == cell.start_line}
    return next((one for one in reversed(view.executions.all.values()) if one.execution in there), None)


def shown(view: View) -> Iterator[tuple[Execution, Anchor]]:
    """The executions that have a place, oldest first."""
    for execution in view.executions.all.values():
        anchor = view.anchors.get(execution.execution)
        if anchor:
            yield execution, anchor


def state_text(execution: Execution, *, stale: bool, before: int = 0) -> str:
    """The count, how it went, how long it took; ``before``: how many run before it."""
    state = _WORDS.get(execution.state, execution.state)
    if execution.state == "queued" and before:
        state = f"queued, {before} before it"
    parts = [f"[{execution.count}]" if execution.count else "", state, duration_text(execution.duration)]
    text = " ".join(filter(None, parts))
    if execution.earlier_kernel:
        text += " · earlier kernel"
    return f"{text} · stale" if stale else text


def duration_text(seconds: float | None) -> str:
    """A duration as people say it; empty below a millisecond and while it is not known."""
    if seconds is None or seconds < 0.001:
        return ""
    if seconds < 0.0095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def value_of(execution: Execution) -> Output | None:
    """What the last expression of an execution gave."""
    values = [output for output in execution.fold.outputs if output.output_type == "execute_result"]
    return values[-1] if values else None


def value_label(value: Output) -> str:
    """A value in one short line: its shape if it says one, else its text."""
    data = value.data or {}
    text = plain_text(value)
    html = str(data.get("text/html", ""))
    shape = _SHAPE.search(text) or _SHAPE.search(html)
    if shape:
        return f"{shape[1]} × {shape[2]}"
    table = _TABLE.search(html)
    if table:  # a small DataFrame does not say how large it is; the row of names has one more, for the index
        names = table["head"].partition("</tr>")[0].count("<th")
        return f"{table['body'].count('<tr')} × {max(0, names - 1)}"
    line = " ".join(text.split())
    return line if len(line) <= MAX_LABEL else f"{line[: MAX_LABEL - 1]}…"


def plain_text(output: Output) -> str:
    """The text of an output, without colours."""
    if output.output_type == "error":
        text = "\n".join(output.traceback or []) or f"{output.ename}: {output.evalue}"
    elif output.output_type == "stream":
        text = output.text or ""
    else:
        plain = (output.data or {}).get("text/plain", "")
        text = "".join(plain) if isinstance(plain, list) else str(plain)  # pyright: ignore[reportUnknownArgumentType]
    return _ANSI.sub("", text)
