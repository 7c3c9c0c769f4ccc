"""Stream text for plain subscribers: pieces that follow one another at once leave as one message.

The kernel's text is read as soon as the first line is there, so a loop that prints ten lines would be two or three messages,
and as many outputs in the notebook that nbclient writes. So the first text of a cell waits a moment; what comes later does
not. (ipykernel waits for 200 ms.) The next message of another kind, the end of the cell if nothing else, lets it go at once.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from ..protocol.messages import Stream
from ..protocol.wire import Message, encode

HOLD = 0.002
"""Seconds for which text waits for more."""
MOST = 64 * 1024
"""Bytes of text beyond which it waits no longer."""


class Piece(NamedTuple):
    """An iopub message, and what :meth:`Door.publish` was told about it."""

    message: Message
    detail: str
    after: int


class Pieces:
    """The text that waits; all of one stream and one execution."""

    def __init__(self) -> None:
        self._held: list[Piece] = []
        self._size = 0
        self._until = 0.0
        self._flows = b""
        """The request whose text was the last to leave."""

    @property
    def patience(self) -> float:
        """Seconds until what is held is due."""
        return max(0.0, self._until - time.monotonic()) if self._held else 3600.0

    def add(self, piece: Piece) -> Piece | None:
        """Hold a stream message; returns what was held and does not belong together with it."""
        before = None
        first = self._held[0] if self._held else piece
        if (first.detail, first.message.parent_json) != (piece.detail, piece.message.parent_json) or self._size > MOST:
            before = self.take()
        if not self._held:
            self._until = 0.0 if piece.message.parent_json == self._flows else time.monotonic() + HOLD
        self._held.append(piece)
        self._size += len(piece.message.content_json)
        return before

    def take(self) -> Piece | None:
        """What is held, as one message; it has the header and the metadata of its last piece."""
        held, self._held, self._size = self._held, [], 0
        if held:
            self._flows = held[0].message.parent_json
        if len(held) < 2:
            return held[0] if held else None
        contents = [piece.message.read(Stream) for piece in held]
        whole = encode(Stream(contents[0].name, "".join(content.text for content in contents)))
        message = msgspec.structs.replace(held[-1].message, content_json=whole)
        return Piece(message, held[0].detail, max(piece.after for piece in held))
