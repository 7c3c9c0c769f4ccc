"""``python -m lsp_bridge.static.jedi_child PYTHON PROJECT``: jedi, one question at a time.

A line of JSON comes on standard input: ``{"id", "do", "text", "path", "line", "column"}``. One with only the ``id`` goes out when
the work begins, then ``{"id", "result"}``, null for what jedi cannot do. PYTHON is the interpreter whose packages are looked at,
empty for the one that runs this.
When the input ends, because the bridge has gone, this process and those of jedi end at once, whatever they do.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import jedi  # pyright: ignore[reportMissingTypeStubs]
from jedi.api.environment import InterpreterEnvironment, create_environment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

Json = dict[str, Any]

MOST = 2000
KEPT = 4
"""Answers to completions whose items can still be asked about."""
MAX_DOC = 8000
_IMPORT = re.compile(r"^(?:import\s+([\w.]+)(?:\s+as\s+(\w+))?|from\s+([\w.]+)\s+import\s+(\w+))", re.MULTILINE)


class Analysis:
    """What jedi knows about texts."""

    def __init__(self, python: str, project: str, idle: Callable[[], bool]) -> None:
        """``idle``: does nobody wait?"""
        self._idle = idle
        self._project = jedi.Project(project or os.path.expanduser("~"), smart_sys_path=True)
        # The session's own interpreter, told to us by our own bridge: it is as safe as the session.
        self._environment: Any = create_environment(python, safe=False) if python else InterpreterEnvironment()
        self._kept: dict[int, Any] = {}
        self._number = 0

    def complete(self, asked: Json) -> list[list[Any]]:
        self._number += 1
        found: list[Any] = self._script(asked).complete(asked["line"] + 1, asked["column"])
        self._kept[self._number] = {name.name_with_symbols: name for name in found[:MOST]}
        self._kept.pop(self._number - KEPT, None)
        return [
            [name.name_with_symbols, _kind(name, len(found)), [self._number, name.name_with_symbols]]
            for name in found[:MOST]
            if name.type not in ("string", "path")
        ]

    def resolve(self, asked: Json) -> str | None:
        number, text = asked["ref"]
        name: Any = self._kept.get(number, {}).get(text)
        return _documentation(name) if name is not None else None

    def hover(self, asked: Json) -> str | None:
        script = self._script(asked)
        place = asked["line"] + 1, asked["column"]
        found: list[Any] = script.infer(*place) or script.goto(*place, follow_imports=True)
        texts = [text for name in found[:2] if (text := _documentation(name))]
        return "\n\n---\n\n".join(texts) or None

    def signature(self, asked: Json) -> list[list[Any]]:
        found: list[Any] = self._script(asked).get_signatures(asked["line"] + 1, asked["column"])
        return [
            [one.to_string(), one.docstring(raw=True)[:MAX_DOC], [param.to_string() for param in one.params], one.index]
            for one in found[:10]
        ]

    def definition(self, asked: Json) -> list[list[Any]]:
        found: list[Any] = self._script(asked).goto(
            asked["line"] + 1, asked["column"], follow_imports=True, follow_builtin_imports=True
        )
        return [
            [str(name.module_path), name.line - 1, name.column]
            for name in found
            if name.module_path and name.line is not None
        ]

    def warm(self, asked: Json) -> None:
        """Load what a document imports, as long as nobody waits."""
        text = asked["text"]
        lines = text.count("\n") + 1
        for match in list(_IMPORT.finditer(text))[:40]:
            name = match[2] or (match[1] or "").split(".")[0] or match[4]
            if not self._idle():
                return
            question = {**asked, "text": f"{text}\n{name}.", "line": lines, "column": len(name) + 1}
            self._script(question).complete(lines + 1, len(name) + 1)

    def _script(self, asked: Json) -> Any:
        return jedi.Script(
            asked["text"], path=asked["path"] or None, environment=self._environment, project=self._project
        )


def _kind(name: Any, number: int) -> str:
    """jedi follows an imported name to say what it is: not for hundreds of them."""
    return name.type if number <= 300 or name.type != "statement" else ""


def _documentation(name: Any) -> str | None:
    """Signature and docstring, in markdown."""
    lines = [signature.to_string() for signature in name.get_signatures()[:3]] or [name.description]
    doc = name.docstring(raw=True)[:MAX_DOC].strip()
    head = "```python\n" + "\n".join(lines) + "\n```"
    return f"{head}\n\n{doc}" if doc else head


def _read(questions: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        questions.put(line)
    os.killpg(0, signal.SIGKILL)  # the group is ours alone: jedi's helper processes go too


def main(python: str, project: str) -> None:
    """Serve until standard input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an import prints must not get between the answers
    questions = queue.SimpleQueue[bytes]()
    threading.Thread(target=_read, args=(questions,), daemon=True).start()
    analysis: Analysis | None = None
    while True:
        asked: Json = json.loads(questions.get())
        result: Any = None
        _write(out, {"id": asked["id"]})
        try:
            analysis = analysis or Analysis(python, project, questions.empty)
            result = getattr(analysis, asked["do"])(asked)
        except Exception as error:  # noqa: BLE001  jedi fails on odd code in many ways: then there is no answer
            sys.stderr.write(f"{asked['do']}: {type(error).__name__}: {error}\n")
        _write(out, {"id": asked["id"], "result": result})


def _write(out: BinaryIO, answer: Json) -> None:
    out.write(json.dumps(answer).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:3])
