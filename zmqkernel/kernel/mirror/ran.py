"""A cell that was executed, and the names that it certainly binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

LONGEST_NOTHING = 500
"""Characters: a longer cell does something."""


class Ran:
    """A cell that was executed. ``failed``: what it would bind at its end may not be bound."""

    def __init__(self, msg_id: str, count: int, code: str, failed: bool) -> None:
        self.msg_id = msg_id
        self.count = count
        self.code = code
        self.failed = failed

    @cached_property
    def _body(self) -> list[ast.stmt] | None:
        """Its statements; None for another language, or what only IPython understands."""
        try:
            lines = [line if line[:1] not in "%!" else "" for line in self.code.split("\n")]
            return ast.parse("\n".join(lines)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None  # then nothing is known for certain

    @cached_property
    def binds(self) -> frozenset[str]:
        """Names that its statements bind for certain; what stands below an ``if`` may not have run."""
        return frozenset(_bound(self._body or []))

    @cached_property
    def is_nothing(self) -> bool:
        """Only ``pass``, constants and comments: nothing can have changed by it."""
        if len(self.code) > LONGEST_NOTHING or self.code.lstrip()[:1] in "%!" or "\n%" in self.code:
            return False
        body = self._body
        return body is not None and all(
            isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            for one in body
        )


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
