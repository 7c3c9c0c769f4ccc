"""An editor without a screen that asks about places, and applies the edits that it is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lsp_bridge.documents import Document, Encoding, Point
from lsp_bridge.structures import ContentChange, Position, Range
from tests.bridge.bare_editor import BareEditor, Json

OWNER: Json = {"siblings": []}


class Asker(BareEditor):
    """``ours`` is ``initializationOptions.zmqkernel``; ``labels``: the editor knows labelDetails."""

    def __init__(
        self, folder: Path, *, ours: Json | None = OWNER, encoding: str = "utf-16", labels: bool = True
    ) -> None:
        self._ours = ours
        self._labels = labels
        super().__init__(folder, encodings=[encoding])
        self.encoding: Encoding = "utf-8" if encoding == "utf-8" else "utf-16"
        self.texts: dict[str, Document] = {}

    def request(self, method: str, params: Any) -> Any:
        if method == "initialize":
            params["initializationOptions"] = {"zmqkernel": self._ours} if self._ours is not None else None
            item = {"completionItem": {"labelDetailsSupport": self._labels}}
            params["capabilities"]["textDocument"] = {"completion": item}
        return super().request(method, params)

    def open(self, path: Path) -> str:
        uri = super().open(path)
        self.texts[uri] = Document(uri, path.read_bytes().decode(), 1, self.encoding)
        return uri

    def type(self, uri: str, line: int, text: str) -> None:
        """Put ``text`` in the place of a line; ``|`` in it is where the cursor is, else it is at the end."""
        document = self.texts[uri]
        before, _, after = text.partition("|")
        place = document.lines_range(line, line + 1)
        start, end = place.start, place.end
        self.edit(uri, (start.line, start.character), (end.line, end.character), before + after)
        document.apply(ContentChange(before + after, place))
        self.cursor = document.position(Point(line, len(before)))

    def ask(self, uri: str, what: str) -> Any:
        """The answer about the cursor."""
        return self.request(f"textDocument/{what}", self.at(uri))

    def at(self, uri: str) -> Json:
        return {
            "textDocument": {"uri": uri},
            "position": {"line": self.cursor.line, "character": self.cursor.character},
        }

    def completed(self, uri: str, line: int, text: str) -> Json:
        """Type a line and ask for completions: label to item, in the order of the sort texts."""
        self.type(uri, line, text)
        items = self.ask(uri, "completion")["items"]
        return {item["label"]: item for item in sorted(items, key=lambda item: item["sortText"])}

    def accept(self, uri: str, line: int, item: Json) -> str:
        """The line as it is after an item was taken."""
        edit = item["textEdit"]
        start, end = (Position(**edit["range"][side]) for side in ("start", "end"))
        assert start <= self.cursor <= end
        document = self.texts[uri]
        document.apply(ContentChange(edit["newText"], Range(start, end)))
        return document.content(line)

    def hovered(self, uri: str, line: int, text: str) -> str:
        """Type a line and hover where the cursor is."""
        self.type(uri, line, text)
        hover = self.ask(uri, "hover")
        return hover["contents"]["value"] if hover else ""


def alive(pid: int) -> bool:
    """Is this process there, and no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone since the listing
    return [child for child in found if child != os.getpid()]
