"""Results of benchmarks that run in bounded batches: one JSON line each, appended, so that batches add up."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every benchmark of this sort understands."""
    parser.add_argument(
        "--record", type=Path, help="append the results to this file (JSON lines); the summary is of all in it"
    )


class Batch:
    """What this run found. ``all`` has what earlier runs wrote into the same file as well."""

    def __init__(self, benchmark: str, path: Path | None) -> None:
        self.benchmark = benchmark
        self.path = path
        self.name = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
        self.all: list[dict[str, Any]] = read(path, benchmark) if path else []
        self.new: list[dict[str, Any]] = []

    def add(self, result: dict[str, Any]) -> None:
        """Keep a result, and write it down at once."""
        result = {"benchmark": self.benchmark, "batch": self.name, **result}
        self.new.append(result)
        self.all.append(result)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(result) + "\n")

    def evidence(self, name: str, data: dict[str, Any]) -> Path:
        """Write out what shows that a promise was broken; returns where."""
        folder = (
            Path(f"{self.path}.evidence")
            if self.path
            else Path(tempfile.gettempdir()) / f"zmqkernel-{self.benchmark}.evidence"
        )
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}-{name}.json"
        path.write_text(json.dumps(data, indent=1, default=repr) + "\n")
        return path

    @property
    def is_broken(self) -> bool:
        """Was a promise broken in this run?"""
        return any(result.get("broken") for result in self.new)


def read(path: Path, benchmark: str) -> list[dict[str, Any]]:
    """The results of one benchmark in a file; none when there is no file yet."""
    if not path.exists():
        return []
    results = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [result for result in results if result["benchmark"] == benchmark]


def table(head: list[str], rows: list[list[object]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *[[str(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
