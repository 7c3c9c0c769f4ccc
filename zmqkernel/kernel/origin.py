"""Cells that stand in a document (``metadata.zmqkernel.origin`` of the execute_request).

Such a cell is compiled with the document's path as its filename and with its place in it as line numbers, so tracebacks,
``inspect.getsource``, the debugger and diagnostics need no mapping. ``linecache`` shows the text that was *executed*, though
the file on disk differs: the executed lines are laid over the disk's text, for as long as the process lives. While the
cell runs, ``__file__`` is the document's path; the working directory stays what it was.

Not covered: code that a cell magic compiles under a name of its own (``%%time`` says ``<timed exec>``; ``%%capture`` is
covered), and the column of a selection that begins within a line.
"""

from __future__ import annotations

import io
import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..protocol.messages import Origin

if TYPE_CHECKING:
    from .shell import ZMQInteractiveShell

_MISSING = object()


@contextmanager
def executed_at(shell: ZMQInteractiveShell, origin: Origin, code: str) -> Iterator[None]:
    """While this is open, ``shell.run_cell(code)`` runs as the lines of the document that it stands in."""
    names: dict[str, Any] = shell.user_ns
    before = names.get("__file__", _MISSING)
    if origin.path:
        names["__file__"] = origin.path
    shell.compile.enter(Place(origin.path or origin.uri, origin.line, code))
    try:
        yield
    finally:
        shell.compile.leave()
        if before is not _MISSING:
            names["__file__"] = before
        elif names.get("__file__") == origin.path:
            del names["__file__"]


class Place:
    """Where ``code`` stands: from ``line`` (counted from 0) of the document ``name`` on."""

    def __init__(self, name: str, line: int, code: str) -> None:
        self.name = name
        self._line = line
        self._code = code.rstrip("\n")

    def line_of(self, code: str) -> int | None:
        """The line of the cell, or of its tail that a cell magic runs; None when ``code`` is something else."""
        code = code.rstrip("\n")  # IPython ends a magic's body with a newline
        head = self._code.removesuffix(code) if code else self._code
        if head and (head == self._code or not head.endswith("\n")):
            return None
        return self._line + head.count("\n")


class ExecutedText:
    """What linecache shows for documents: the text on disk, and over it what was executed."""

    def __init__(self) -> None:
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._disk: dict[str, list[str]] = {}
        self._executed: dict[str, list[tuple[int, list[str]]]] = {}

    def record(self, name: str, line: int, text: str) -> None:
        """``text`` was executed as the lines of ``name`` from ``line`` on."""
        if self._stamps.get(name, ()) != (stamp := _stamp(name)):
            self._stamps[name] = stamp
            self._disk[name] = _read(name)
        lines = split_lines(text)
        end = line + len(lines)
        older = [(at, old) for at, old in self._executed.get(name, []) if at < line or at + len(old) > end]
        self._executed[name] = [*older, (line, lines)]
        whole = list(self._disk[name])
        for at, executed in self._executed[name]:
            whole.extend(["\n"] * (at - len(whole)))
            whole[at : at + len(executed)] = executed
        # mtime None: linecache.checkcache never replaces it with the text on disk.
        linecache.cache[name] = (sum(map(len, whole)), None, whole, name)


def split_lines(text: str) -> list[str]:
    """The lines as Python counts them, each ending in a newline."""
    return [line if line.endswith("\n") else line + "\n" for line in io.StringIO(text, newline=None)]


def _stamp(name: str) -> tuple[int, int] | None:
    try:
        status = Path(name).stat()
    except (OSError, ValueError):
        return None  # not saved yet, or no file at all (untitled:Untitled-1)
    return status.st_mtime_ns, status.st_size


def _read(name: str) -> list[str]:
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            return split_lines(file.read())
    except (OSError, ValueError):
        return []
