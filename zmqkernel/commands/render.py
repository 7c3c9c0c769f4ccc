"""Outputs as text on a terminal or in a pipe."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..paths import write_private

Json = dict[str, Any]

IMAGES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/svg+xml": "svg"}
TEXTS = ("text/plain", "text/markdown", "text/latex", "application/json", "text/html")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


class Renderer:
    """Writes what executions say. ``prompts``: results are announced with ``Out[n]:``. A picture becomes a file in ``images``
    that is named by its content: the same picture is always the same file.

    On a terminal, ``clear_output`` and updates of the display that was last are done in place; in a pipe, nothing that was
    written can be taken back, so an update is written again and ``clear_output`` does nothing.
    """

    def __init__(self, images: Path, *, prompts: bool, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._images = images
        self._prompts = prompts
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.terminal = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = self.terminal and not os.environ.get("NO_COLOR")
        self._written = ""
        self._last_display = ("", "")
        self._clear_first = False
        self._trouble = ""
        self._show: dict[str, Callable[[Json], None]] = {
            "stream": self._stream,
            "execute_result": self._result,
            "display_data": self._display,
            "update_display_data": self._update,
            "error": self._error,
            "clear_output": self._clear_output,
        }

    def another(self) -> Renderer:
        """A second one for the same terminal, for another thread."""
        renderer = Renderer(self._images, prompts=self._prompts, out=self._out, err=self._err)
        renderer._trouble = self._trouble
        return renderer

    def begin(self) -> None:
        """Another execution begins: what was written before stays."""
        self._written, self._last_display, self._clear_first = "", ("", ""), False

    def show(self, msg_type: str, content: Json) -> None:
        """Write an output; other messages are nothing to see."""
        show = self._show.get(msg_type)
        if show is None:
            return
        if self._clear_first and msg_type != "clear_output":
            self._clear_first = False
            self._erase(self._written)
            self._written = ""
        show(content)
        self._out.flush()

    def payload(self, payload: list[Json] | None) -> tuple[str | None, bool]:
        """Write what a reply's payload wants to be paged; returns (text for the next input, does the user want to leave)."""
        following, leave = None, False
        for item in payload or []:
            if item.get("source") == "page":
                self._write(self._plain(_text_of(item.get("data", {}))) + "\n")
            elif item.get("source") == "set_next_input":
                following = str(item.get("text", ""))
            elif item.get("source") == "ask_exit":
                leave = True
        self._out.flush()
        return following, leave

    def note(self, text: str) -> None:
        """A word of ours, dim, on a line of its own."""
        self._line_start()
        self._write(f"\x1b[2m{text}\x1b[0m\n" if self._colours else f"{text}\n")
        self._out.flush()

    def trouble(self, text: str) -> None:
        """Say on standard error what keeps the session from going on, once; and once (for an empty text) that it is over."""
        if text == self._trouble:
            return
        self._trouble = text
        self._line_start()
        self._out.flush()
        print(f"trouble: {text}" if text else "the trouble is over: the session goes on", file=self._err, flush=True)

    def end(self) -> None:
        """The execution is over: the next thing begins on a line of its own."""
        self._line_start()
        self._out.flush()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._written += text
        self._last_display = ("", "")
        if len(self._written) > 100_000:  # more than a screen: too far up to be taken back
            self._written = self._written[-50_000:]

    def _plain(self, text: str) -> str:
        """IPython's own text, without its colours where none are wanted."""
        return text if self._colours else _ESCAPES.sub("", text)

    def _line_start(self) -> None:
        if self._written and not self._written.endswith("\n"):
            self._write("\n")

    def _stream(self, content: Json) -> None:
        text = str(content.get("text", ""))
        if content.get("name") != "stderr":
            self._write(text)
            return
        self._out.flush()
        self._err.write(text)
        self._err.flush()
        if self.terminal and self._err.isatty():
            self._written += text
            self._last_display = ("", "")

    def _result(self, content: Json) -> None:
        self._line_start()
        text = self._bundle(content.get("data", {}))
        if self._prompts and content.get("execution_count") is not None:
            head = f"Out[{content['execution_count']}]: "
            text = head + ("\n" if "\n" in text else "") + text
        self._write(text + "\n")

    def _display(self, content: Json) -> None:
        self._line_start()
        text = self._bundle(content.get("data", {})) + "\n"
        self._write(text)
        self._last_display = (_display_id(content), text)

    def _update(self, content: Json) -> None:
        display_id, text = self._last_display
        if self.terminal and display_id and display_id == _display_id(content):
            self._erase(text)
            self._written = self._written[: -len(text)]
        self._display(content)

    def _error(self, content: Json) -> None:
        self._line_start()
        line = f"{content.get('ename')}: {content.get('evalue')}"
        inside = content.get("ename") == "StdinNotImplementedError"  # raised by the kernel's own input()
        text = self._plain(line if inside else "\n".join(content.get("traceback") or [line]))
        self._out.flush()
        self._err.write(text.rstrip("\n") + "\n")
        self._err.flush()

    def _clear_output(self, content: Json) -> None:
        if content.get("wait"):
            self._clear_first = True
            return
        self._erase(self._written)
        self._written = ""

    def _erase(self, text: str) -> None:
        """Take back ``text``, which was written last, as far as the screen reaches."""
        if not self.terminal:
            return
        size = shutil.get_terminal_size()
        lines = _ESCAPES.sub("", text).split("\n")
        rows = sum(max(0, len(line) - 1) // max(size.columns, 1) for line in lines) + len(lines) - 1
        up = min(rows, size.lines - 1)
        self._out.write(f"\r\x1b[{up}A\x1b[J" if up else "\r\x1b[J")

    def _bundle(self, data: Json) -> str:
        for mime, ending in IMAGES.items():
            if mime in data:
                return self._image(data[mime], mime, ending)
        return _text_of(data)

    def _image(self, data: Any, mime: str, ending: str) -> str:
        raw = str(data).encode() if mime == "image/svg+xml" else base64.b64decode(data)
        self._images.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._images / f"{hashlib.sha256(raw).hexdigest()[:16]}.{ending}"
        if not path.exists():
            write_private(path, raw)
        return f"[{mime}: {path.as_uri()}]"


def _display_id(content: Json) -> str:
    return str((content.get("transient") or {}).get("display_id") or "")


def _text_of(data: Json) -> str:
    """The most readable text of a MIME bundle."""
    mime = next((mime for mime in TEXTS if mime in data), None)
    return str(data[mime]) if mime else f"[{', '.join(data) or 'nothing to show'}]"
