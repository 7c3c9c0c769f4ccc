"""What the bridge asks of static analysis, whoever does it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ..merge import Item


class Spot(NamedTuple):
    """A place in a text, which need not be on disk; line and column count from 0, columns in code points."""

    text: str
    line: int
    column: int
    path: str


class Location(NamedTuple):
    """A place in a file; line and column count from 0, columns in code points."""

    path: str
    line: int
    column: int


class Signature(NamedTuple):
    """One way to call something. ``parameters`` are parts of ``label``; ``active`` is the one at the cursor."""

    label: str
    doc: str
    parameters: list[str]
    active: int | None


class Static(Protocol):
    """Of several questions of one kind only the newest is answered: the others, as all that fail, get None. Each can be
    cancelled."""

    async def complete(self, spot: Spot, /) -> list[Item] | None: ...
    async def resolve(self, ref: Any, /) -> str | None:
        """Documentation of an item, in markdown, by the reference that it came with."""
        ...

    async def hover(self, spot: Spot, /) -> str | None:
        """Markdown."""
        ...

    async def signature(self, spot: Spot, /) -> list[Signature] | None: ...
    async def definition(self, spot: Spot, /) -> list[Location] | None: ...
    def warm(self, text: str, path: str, /) -> None:
        """This document was opened: get ready for it."""
        ...

    def close(self) -> None:
        """End whatever runs, at once; may be called in any thread."""
        ...


class NoStatic:
    """There is none: somebody else does that, or nobody."""

    async def complete(self, _spot: Spot, /) -> list[Item] | None:
        return []

    async def resolve(self, _ref: Any, /) -> str | None:
        return None

    async def hover(self, _spot: Spot, /) -> str | None:
        return None

    async def signature(self, _spot: Spot, /) -> list[Signature] | None:
        return []

    async def definition(self, _spot: Spot, /) -> list[Location] | None:
        return []

    def warm(self, _text: str, _path: str, /) -> None:
        pass

    def close(self) -> None:
        pass
