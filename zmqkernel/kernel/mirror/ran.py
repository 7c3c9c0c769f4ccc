"""A cell that was executed, and the names that it certainly binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property


class Ran:
    """A cell that was executed. ``failed``: what it would bind at its end may not be bound."""

    def __init__(self, msg_id: str, count: int, code: str, failed: bool) -> None:
        self.msg_id = msg_id
        self.count = count
        self.code = code
        self.failed = failed

    @cached_property
    def binds(self) -> frozenset[str]:
        """Names that its statements bind for certain; what stands below an ``if`` may not have run."""
        try:
            lines = [line if line[:1] not in "%!" else "" for line in self.code.split("\n")]
            body = ast.parse("\n".join(lines)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return frozenset()  # another language, or what IPython makes of it
        return frozenset(_bound(body))


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from _bound(node.body)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            if isinstance(node, ast.AnnAssign) and node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                named = ast.walk(target)
                yield from (one.id for one in named if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
