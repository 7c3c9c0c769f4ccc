"""The static side with jedi, in a child process that runs the bridge's interpreter and looks into the session's."""

from __future__ import annotations

import sys
from typing import Any

from ..merge import Item
from .child import Child
from .static import Location, Signature, Spot


class JediStatic:
    """See ``jedi_child.py`` for the other end."""

    def __init__(self, python: str, project: str) -> None:
        self.child = Child([sys.executable, "-P", "-m", "lsp_bridge.static.jedi_child", python, project])

    async def complete(self, spot: Spot) -> list[Item] | None:
        found: list[list[Any]] | None = await self._ask("complete", spot)
        if found is None:
            return None
        return [Item(name, kind, source="static", ref=ref) for name, kind, ref in found]

    async def resolve(self, ref: Any) -> str | None:
        return await self.child.ask("resolve", {"ref": ref})

    async def hover(self, spot: Spot) -> str | None:
        return await self._ask("hover", spot)

    async def signature(self, spot: Spot) -> list[Signature] | None:
        found: list[list[Any]] | None = await self._ask("signature", spot)
        return None if found is None else [Signature(*one) for one in found]

    async def definition(self, spot: Spot) -> list[Location] | None:
        found: list[list[Any]] | None = await self._ask("definition", spot)
        return None if found is None else [Location(*one) for one in found]

    def warm(self, text: str, path: str) -> None:
        self.child.tell("warm", {"text": text, "path": path})

    def close(self) -> None:
        self.child.close()

    async def _ask(self, do: str, spot: Spot) -> Any:
        return await self.child.ask(do, spot._asdict())
