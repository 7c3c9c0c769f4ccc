"""Events in words."""

from __future__ import annotations

from typing import Any

import pytest

from zmqkernel.client import REWIND
from zmqkernel.commands.listing import first_line, kept, resumed
from zmqkernel.commands.story import bytes_text, event_text


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        (
            "gap",
            {"reason": "retention", "from": 1, "to": 500},
            "records 1 to 500 are no longer kept (settings journal_size and journal_age)",
        ),
        (
            "gap",
            {"reason": "cap", "bytes": 12_345_678, "cap": 1_000_000_000},
            "output beyond 1.0 GB is cut here (12 MB) (setting output_cap)",
        ),
        ("gap", {"reason": "cap"}, "output is cut here (setting output_cap)"),
        ("gap", {"reason": "unknown"}, "something may be missing here, and nobody knows how much"),
        (
            "gap",
            {"reason": "unknown", "why": "it kept nothing"},
            "something may be missing here, and nobody knows how much: it kept nothing",
        ),
        ("gap", {"reason": "damage", "bytes": 17}, "something is missing here, it was damaged (17 bytes)"),
        (
            "gap",
            {"reason": "the journal was damaged", "bytes": 1500},
            "something is missing here: the journal was damaged (1.5 KB)",
        ),
        ("gap", {}, "something may be missing here, and nobody knows how much"),
        ("resumed", {"executions": {"a": "b"}}, "1 cell that was kept runs again"),
        ("resumed", {"executions": {"a": "b", "c": "d"}}, "2 cells that were kept run again"),
        ("dropped", {"executions": {"a": ""}}, "1 cell that was kept will not run: dropped"),
        ("trouble", {"text": "the disk is full"}, "trouble: the disk is full"),
        ("trouble", {"text": ""}, "the trouble is over: the session goes on"),
        (
            "adopted",
            {"pid": 7},
            "the supervisor died and another took over: the kernel goes on, the variables are there",
        ),
        (
            "terminated",
            {"reason": "the supervisor was told to end (SIGTERM)"},
            "the supervisor was told to end (SIGTERM)",
        ),
        ("close", {}, "the session was shut down"),
        (REWIND, {}, "a power failure took what came after this"),
        ("state", {"pending": [1]}, ""),
        ("input_closed", {}, ""),
        ("of a later version", {}, ""),
    ],
)
def test_events(name: str, data: dict[str, Any], text: str) -> None:
    assert event_text(name, data) == text


def test_kept_cells() -> None:
    assert event_text("held", {"executions": ["a", "b"]}) == kept(2)
    assert kept(1) == (
        "1 cell that waited when the kernel died was kept: zmqkernel resume runs it, zmqkernel resume --drop forgets it"
    )
    assert [resumed(number, drop=drop) for number, drop in ((0, False), (1, False), (2, True))] == [
        "no cells are kept",
        "1 cell runs again; see it: zmqkernel attach",
        "forgot 2 cells",
    ]


def test_first_lines_and_sizes() -> None:
    assert first_line("\n  x = 1\n") == "x = 1"
    assert first_line("x\ny") == "x  ..."
    assert first_line("x" * 200) == "x" * 79 + "…"
    assert first_line("") == "(the journal no longer has its code)"
    assert [bytes_text(size) for size in (0, 999, 1000, 12_300_000, 5 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 KB",
        "12 MB",
        "5000.0 GB",
    ]
