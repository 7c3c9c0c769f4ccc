"""Medians, ratios to the first subject, and the limits that they are held to, as a markdown table and as JSON."""

from __future__ import annotations

import statistics
from typing import Any

from .figures import RELAY, Samples

REFERENCE = "ipykernel"
BARE = "zmqkernel bare"
DOOR = "zmqkernel door"
COLUMNS = [REFERENCE, "async-kernel", BARE, DOOR, "echo", "run_cell"]

LIMITS: dict[str, dict[str, float]] = {
    "start to kernel_info": {BARE: 0.25, DOOR: 0.45},
    "start to first execute_reply": {BARE: 0.55, DOOR: 0.75},
    "pass, clock": {BARE: 0.25, DOOR: 0.36},
    "pass, processor time": {BARE: 0.22, DOOR: 0.36},
    "100k prints": {BARE: 0.40, DOOR: 0.50},
    "20k display_data": {BARE: 0.10, DOOR: 0.20},
    "live output lag": {BARE: 0.02, DOOR: 0.03},
    "RSS after first reply": {BARE: 0.70},
}
"""Largest ratio to ipykernel."""
SUPERVISOR_MEGABYTES = 25.0

UNITS = {"RSS after first reply": "MB", "RSS of the supervisor": "MB", RELAY: "of the kernel's"}


def summary(samples: Samples) -> dict[str, dict[str, dict[str, Any]]]:
    """Figure, subject: median, p95, number of values, ratio of the medians, limit, kept."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for figure, by_subject in samples.values.items():
        reference = by_subject.get(REFERENCE)
        rows = result[figure] = {}
        for subject, values in by_subject.items():
            row = rows[subject] = {"median": statistics.median(values), "p95": p95(values), "n": len(values)}
            if reference:
                row["ratio"] = row["median"] / statistics.median(reference)
            if limit := LIMITS.get(figure, {}).get(subject):
                row |= {"limit": limit, "kept": row["ratio"] <= limit}
            if exact := samples.exact.get(figure, {}).get(subject):
                row["exact"] = min(exact)
        if figure == "RSS of the supervisor" and DOOR in rows:
            rows[DOOR] |= {"limit": SUPERVISOR_MEGABYTES, "kept": rows[DOOR]["median"] <= SUPERVISOR_MEGABYTES}
    # Only the door has a supervisor: what it costs is held against a whole cell of the reference.
    rows, cell = result.get("pass, processor time of the supervisor", {}), result.get("pass, processor time", {})
    if DOOR in rows and REFERENCE in cell:
        rows[DOOR]["ratio"] = rows[DOOR]["median"] / cell[REFERENCE]["median"]
    rows = result.get("pass, clock", {})
    if BARE in rows and DOOR in rows:
        added = {key: rows[DOOR][key] - rows[BARE][key] for key in ("median", "p95")}
        result["pass, clock, what the door adds"] = {DOOR: {**added, "n": rows[DOOR]["n"]}}
    return result


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def markdown(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    """One table: ipykernel in milliseconds or megabytes (p95 in brackets), the others as ratio, with limits beside."""
    columns = [name for name in COLUMNS if any(name in rows for rows in figures.values())]
    lines = [f"| figure | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for figure, rows in figures.items():
        unit = UNITS.get(figure, "ms")
        lines.append(f"| {figure} | {' | '.join(_cell(rows.get(name), name, unit) for name in columns)} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None, name: str, unit: str) -> str:
    if row is None:
        return "-"
    absolute = f"{_number(row['median'])} ({_number(row['p95'])}) {unit}"
    if name == REFERENCE or "ratio" not in row:
        text = absolute
    else:
        text = f"**{row['ratio']:.3f}** {absolute}"
    if "limit" in row:
        text += f", limit {row['limit']:g} {'ok' if row['kept'] else 'MISSED'}"
    if "exact" in row and row["exact"] < 1:
        text += f", only {row['exact']:.1%} arrived"
    return text


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
