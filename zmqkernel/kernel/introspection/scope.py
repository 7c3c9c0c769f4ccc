"""What one request looks at, and how: the namespace, the policy, the budget."""

from __future__ import annotations

import ast
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .adapters import MOST
from .budget import Budget
from .expressions import Found, evaluate, parse
from .lookup import UNKNOWN

EVALUATE = "evaluate"
SECONDS = 1.0
"""How long users' code may take in the ``evaluate`` policy."""
HARMLESS = (
    ast.Attribute,
    ast.Constant,
    ast.Load,
    ast.Name,
    ast.Slice,
    ast.Subscript,
    ast.Tuple,
    ast.UnaryOp,
    ast.unaryop,
)
"""What ``evaluate`` runs: never a call, which may do anything again."""

Answer = TypeVar("Answer")
_busy = threading.Lock()


class Scope:
    """The namespace of a request. ``safe`` runs nothing; ``evaluate`` runs properties, ``__getitem__`` and ``__dir__``."""

    def __init__(self, namespace: Mapping[str, Any], shell: Any = None, policy: str = "safe") -> None:
        self.namespace = namespace
        self.shell = shell
        self.evaluates = policy == EVALUATE
        self.budget = Budget(SECONDS) if self.evaluates else Budget()

    def find(self, source: str) -> Found | None:
        """What ``source`` names; an opaque thing is not given."""
        found = evaluate(source, self.namespace) if source else None
        if self.evaluates and source and (found is None or found.is_opaque or found.value is UNKNOWN):
            return self._run(source) or found
        return found

    def _run(self, source: str) -> Found | None:
        node = parse(source)
        if node is None or not all(isinstance(part, HARMLESS) for part in ast.walk(node)):
            return None
        try:
            expression = ast.fix_missing_locations(ast.Expression(node))
            return Found(eval(compile(expression, "<introspection>", "eval"), dict(self.namespace)))
        except BaseException:  # noqa: BLE001  user code: whatever it raises, also SystemExit, means that nothing is known
            return None

    def more_names(self, found: Found) -> list[str]:
        """Names that only ``dir()`` tells, in the ``evaluate`` policy."""
        if not self.evaluates or found.value is UNKNOWN:
            return []
        try:
            return [name for name in dir(found.value) if type(name) is str]
        except BaseException:  # noqa: BLE001  user code, as above
            return []

    def more_keys(self, found: Found) -> list[Any]:
        """Keys that only the object itself tells, in the ``evaluate`` policy."""
        if not self.evaluates or found.value is UNKNOWN:
            return []
        for name in ("_ipython_key_completions_", "keys"):
            try:
                keys = getattr(found.value, name)()
                return [key for key, _ in zip(keys, range(MOST), strict=False)]
            except BaseException:  # noqa: BLE001  user code, as above
                continue
        return []


def answered(scope: Scope, answer: Callable[[Scope], Answer]) -> Answer:
    """The answer to a request. With ``evaluate`` it comes from a thread of its own: when it hangs, the safe answer is given.

    One such thread at a time: while one hangs, ``evaluate`` is refused.
    """
    if not scope.evaluates:
        return answer(scope)
    results: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    if _busy.acquire(blocking=False):

        def run() -> None:
            try:
                results.put(answer(scope))
            finally:
                _busy.release()

        threading.Thread(target=run, name="introspection, evaluate", daemon=True).start()
        try:
            return results.get(timeout=SECONDS)
        except queue.Empty:
            pass  # it hangs, or raised what the log has
    safe = Scope(scope.namespace, scope.shell)
    safe.budget.incomplete = True
    return answer(safe)
