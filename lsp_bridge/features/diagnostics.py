"""textDocument/publishDiagnostics: exceptions, at the line of the executed code that raised them.

Not for an interrupt. One is gone when its cell is run again, when the kernel is another one, and when its line is edited.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..outputs import Execution
from ..results import plain_text, shown
from ..rpc import Rpc
from ..structures import Diagnostic, Location, Position, Range, RelatedInformation
from ..view import View
from ..workspace import Workspace, real_path

_FRAME = re.compile(
    r'^\s*File (?:"(?P<quoted>[^"]+)", line |(?P<path>.+?):)(?P<line>\d+)(?:, in (?P<name>.*))?$', re.MULTILINE
)


ERROR = 1
"""As DiagnosticSeverity."""


class Frame(NamedTuple):
    """A frame of a traceback; ``line`` counts from 0."""

    path: str
    line: int
    name: str


class Shown(NamedTuple):
    """An exception that is shown: ``mark`` remembers its line."""

    execution: Execution
    mark: str
    frames: list[Frame]


def register(rpc: Rpc, workspace: Workspace) -> None:
    found: WeakKeyDictionary[View, dict[str, Shown]] = WeakKeyDictionary()
    published: WeakKeyDictionary[View, list[Diagnostic]] = WeakKeyDictionary()

    def changed(view: View, executions: list[Execution]) -> None:
        known = found.setdefault(view, {})
        for execution in executions:
            if execution.state == "error" and execution.execution not in known and not view.replaying:
                frames = frames_of(execution)
                line = line_of(view, execution, frames)
                if line is not None:
                    known[execution.execution] = Shown(execution, view.marks.add(line), frames)
        for name in [name for name, one in known.items() if not _holds(view, one)]:
            view.marks.remove(known.pop(name).mark)
        diagnostics = [_diagnostic(view, one) for one in known.values()] if workspace.is_open(view) else []
        if diagnostics != published.get(view, []):
            published[view] = diagnostics
            facts = {"uri": view.document.uri, "version": view.document.version, "diagnostics": diagnostics}
            rpc.notify("textDocument/publishDiagnostics", facts)

    workspace.observers.append(changed)


def frames_of(execution: Execution) -> list[Frame]:
    """The frames of the error that ended an execution, the innermost last."""
    errors = [output for output in execution.fold.outputs if output.output_type == "error"]
    if not errors:
        return []
    return [
        Frame(
            os.path.realpath(os.path.expanduser(match["quoted"] or match["path"])),
            int(match["line"]) - 1,
            (match["name"] or "").strip(),
        )
        for match in _FRAME.finditer(plain_text(errors[-1]))
    ]


def line_of(view: View, execution: Execution, frames: list[Frame]) -> int | None:
    """The line of the innermost frame in the executed code, where it stands now; None when that is not to be shown."""
    anchor = view.anchors.get(execution.execution)
    if anchor is None or view.stale(execution.execution) or execution.earlier_kernel or _interrupted(execution):
        return None
    path, first = real_path(view.document.uri), execution.origin.line
    rows = execution.code.count("\n") + 1
    own = [frame.line for frame in frames if frame.path == path and 0 <= frame.line - first < rows]
    return view.first_code_line(anchor) + (own[-1] - first if own else 0)


def _interrupted(execution: Execution) -> bool:
    return any(output.ename == "KeyboardInterrupt" for output in execution.fold.outputs)


def _holds(view: View, one: Shown) -> bool:
    there = any(execution is one.execution for execution, _ in shown(view))
    return there and not one.execution.earlier_kernel and not view.marks.touched(one.mark)


def _diagnostic(view: View, one: Shown) -> Diagnostic:
    line = view.marks.line(one.mark) or 0
    error = next(output for output in reversed(one.execution.fold.outputs) if output.output_type == "error")
    where = view.document.lines_range(line, line + 1)
    indent = len(view.document.content(line)) - len(view.document.content(line).lstrip())
    return Diagnostic(
        Range(Position(line, indent), where.end),
        f"{error.ename}: {error.evalue}".rstrip(": "),
        ERROR,
        source="zmqkernel",
        code=error.ename,
        related_information=[
            RelatedInformation(
                Location(Path(frame.path).as_uri(), Range(Position(frame.line, 0), Position(frame.line, 0))),
                f"in {frame.name}" if frame.name else "from here",
            )
            for frame in one.frames
            if Path(frame.path).is_absolute()
        ],
    )
