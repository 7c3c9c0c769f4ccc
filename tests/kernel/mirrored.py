"""A namespace, and the copy of its mirror that a client would have: code is executed, then one pass is made."""

from __future__ import annotations

import itertools
from typing import Any

from zmqkernel.kernel.mirror.namespace import Chunk, Namespace
from zmqkernel.kernel.mirror.ran import Ran
from zmqkernel.protocol.mirror import Changes, Entry, Mirror, MirrorReply, unpack_changes


class Mirrored:
    """``names`` is the namespace of ``__main__``; cells count from 1, ``m1`` is the first one's msg_id."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", "get_ipython": len, "_i": "", "_3": 3}
        self.hidden: dict[str, Any] = {"get_ipython": len}
        self.namespace = Namespace(lambda: self.names, lambda: self.hidden)
        self.mirror = Mirror()
        self.chunks: list[Chunk] = []
        self._count = itertools.count(1)

    def run(self, code: str, *, failed: bool = False) -> Changes:
        """Execute a cell, make a pass; what the pass told."""
        number = next(self._count)
        exec(code, self.names)
        self.names.pop("__builtins__", None)
        return self.look(Ran(f"m{number}", number, code, failed))

    def look(self, *cells: Ran, full: bool = False) -> Changes:
        """A pass."""
        self.chunks = [chunk for chunk in self.namespace.look(list(cells), full) if chunk is not None]
        told = Changes({}, [], {}, [])
        for chunk in self.chunks:
            changes = unpack_changes(chunk.body)
            told.changed.update(changes.changed)
            told.types.update(changes.types)
            told.removed += changes.removed
            told.types_removed += changes.types_removed
            delta = chunk.delta
            reply = MirrorReply(delta.number, 1, delta.execution, delta.execution_count, full=delta.full)
            self.mirror.take(reply, changes)
        return told

    def __getitem__(self, name: str) -> Entry:
        entry = self.mirror.get(name)
        assert entry is not None, f"{name} is not mirrored; there are {self.mirror.names()}"
        return entry
