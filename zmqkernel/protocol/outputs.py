"""Folding the messages of one execution into what a person should see.

Streams are joined and obey ``\\r``, ``\\b`` and the erase-in-line escapes, ``clear_output`` (with ``wait``) empties,
displays with the same id are updated in place. One fold per execution; a display id may be updated from another
execution, so folds that share ids share a :class:`Displays`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Json = dict[str, Any]

RANKING: tuple[str, ...] = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.plotly.v1+json",
    "application/vnd.vegalite.v5+json",
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "text/markdown",
    "text/latex",
    "application/json",
    "text/plain",
)
"""Richest first, as JupyterLab and VS Code have it."""

_SPECIAL = re.compile("[\r\x08\x1b]")
_UNFINISHED = re.compile(r"\x1b(\[[012]?)?\Z")
_CONTROL = re.compile(r"\r\n|\n|\r|\x08|\x1b\[[012]?K")


def best_mime(data: Json, accepts: Sequence[str] = RANKING) -> str | None:
    """The MIME type of a bundle to show: the first of ``accepts`` that it has, else its first text type, else None."""
    for mime in accepts:
        if mime in data:
            return mime
    return next((mime for mime in data if mime.startswith("text/")), None)


class StreamText:
    """The text of a stream as a terminal would show it. Only the last line can still change."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._line: str = ""
        self._column = 0
        self._escape = ""

    def write(self, text: str) -> None:
        """Take the next piece. A piece may end anywhere, also between ``\\r`` and ``\\n`` and inside an escape sequence."""
        if self._escape:
            text, self._escape = self._escape + text, ""
        if self._column == len(self._line) and not _SPECIAL.search(text):
            before, newline, rest = text.rpartition("\n")
            if newline:
                self._done.append(self._line + before + newline)
                self._line = rest
            else:
                self._line += text
            self._column = len(self._line)
            return
        unfinished = _UNFINISHED.search(text)
        if unfinished:
            text, self._escape = text[: unfinished.start()], unfinished.group()
        start = 0
        for match in _CONTROL.finditer(text):
            self._put(text[start : match.start()])
            self._control(match.group())
            start = match.end()
        self._put(text[start:])

    def _put(self, text: str) -> None:
        if not text:
            return
        if "\x1b" in self._line and self._column == 0:
            self._line = ""  # columns mean nothing in a coloured line: a redraw replaces it
        self._line = self._line[: self._column] + text + self._line[self._column + len(text) :]
        self._column += len(text)

    def _control(self, code: str) -> None:
        if code in ("\n", "\r\n"):
            self._done.append(self._line + "\n")
            self._line, self._column = "", 0
        elif code == "\r":
            self._column = 0
        elif code == "\b":
            self._column = max(0, self._column - 1)
        elif code == "\x1b[2K":
            self._line, self._column = "", 0
        elif code == "\x1b[1K":
            self._line = " " * self._column + self._line[self._column :]
        else:
            self._line = self._line[: self._column]

    def __str__(self) -> str:
        if len(self._done) > 1:
            self._done = ["".join(self._done)]
        return (self._done[0] if self._done else "") + self._line


class Output(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing to show. The fields are those of an nbformat output; ``display_id`` is ours to find it again."""

    output_type: Literal["stream", "display_data", "execute_result", "error"]
    name: str | None = None
    text: str | None = None
    data: Json | None = None
    metadata: Json | None = None
    execution_count: int | None = None
    ename: str | None = None
    evalue: str | None = None
    traceback: list[str] | None = None
    display_id: str | None = None


class Displays:
    """Which folds show which display id, so that an update from anywhere reaches all of them."""

    def __init__(self) -> None:
        self._folds: dict[str, list[Fold]] = {}

    def shown(self, display_id: str, fold: Fold) -> None:
        folds = self._folds.setdefault(display_id, [])
        if fold not in folds:
            folds.append(fold)

    def update(self, display_id: str, content: Json) -> list[Fold]:
        """Apply an update_display_data; returns the folds that changed."""
        return [fold for fold in self._folds.get(display_id, ()) if fold.update(display_id, content)]


class Fold:
    """The outputs of one execution so far."""

    def __init__(self, displays: Displays | None = None) -> None:
        self._items: list[Output | tuple[str, StreamText]] = []
        self._displays = displays or Displays()
        self._clear_first = False

    def add(self, msg_type: str, content: Json) -> list[Fold]:
        """Take an iopub message of this execution; returns the folds that changed (mostly this one, or none)."""
        if msg_type == "update_display_data":
            display_id = _display_id(content)
            return self._displays.update(display_id, content) if display_id else []
        if msg_type == "clear_output":
            if content.get("wait"):
                self._clear_first = True
                return []
            self._items.clear()
            return [self]
        if msg_type not in ("stream", "display_data", "execute_result", "error"):
            return []
        if self._clear_first:
            self._items.clear()
            self._clear_first = False
        if msg_type == "stream":
            self._stream(content["name"], content["text"])
        else:
            self._items.append(self._rich(msg_type, content))
        return [self]

    def update(self, display_id: str, content: Json) -> bool:
        """Replace the data of the displays with this id; True when there is one."""
        found = False
        for item in self._items:
            if isinstance(item, Output) and item.display_id == display_id:
                item.data, item.metadata = content.get("data", {}), content.get("metadata", {})
                found = True
        return found

    @property
    def outputs(self) -> list[Output]:
        """What to show now, oldest first. A new list; the rich items in it are shared."""
        return [
            item if isinstance(item, Output) else Output(output_type="stream", name=item[0], text=str(item[1]))
            for item in self._items
        ]

    def _stream(self, name: str, text: str) -> None:
        last = self._items[-1] if self._items else None
        if not isinstance(last, tuple) or last[0] != name:
            last = (name, StreamText())
            self._items.append(last)
        last[1].write(text)

    def _rich(self, msg_type: str, content: Json) -> Output:
        if msg_type == "error":
            return Output(
                output_type="error",
                ename=content.get("ename", ""),
                evalue=content.get("evalue", ""),
                traceback=content.get("traceback", []),
            )
        display_id = _display_id(content)
        if display_id:
            self._displays.shown(display_id, self)
        return Output(
            output_type="execute_result" if msg_type == "execute_result" else "display_data",
            data=content.get("data", {}),
            metadata=content.get("metadata", {}),
            execution_count=content.get("execution_count"),
            display_id=display_id,
        )


def _display_id(content: Json) -> str | None:
    transient: Any = content.get("transient") or {}
    return transient.get("display_id")
