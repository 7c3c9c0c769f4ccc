"""When a session's kernel gives way to a new one, and why: the variables are gone, and everybody who looks is told.

A supervisor that died does no harm to a kernel of ours: the next one opens the session and takes it over (``adopted``).
"""

from __future__ import annotations

import msgspec

from zmqkernel.protocol.journal import Record

ENDS = frozenset({"kernel_died", "close", "open", "kernel_started"})
"""After any of these events, no kernel that ran before has its variables still; unless ADOPTED follows an ``open``."""

ADOPTED = "adopted"


class Replaced(msgspec.Struct, frozen=True):
    """A new kernel has begun. ``expected``: somebody wanted it so."""

    reason: str
    expected: bool


class Kernels:
    """The kernels of one session, as its journal tells of them."""

    def __init__(self) -> None:
        self._had = False
        self._cause: Replaced | None = None

    def take(self, record: Record) -> Replaced | None:
        """Take a record; says so when it is a kernel that begins in the place of another."""
        if record.kind == "event" and record.msg_type == ADOPTED:
            self._had, self._cause = True, None
        if record.kind != "event" or record.msg_type not in ENDS:
            return None
        if record.msg_type == "kernel_started":
            cause, self._cause = self._cause or Replaced("the kernel was restarted", True), None
            had, self._had = self._had, True
            return cause if had else None
        # What came first is why; a supervisor that opens the journal again later is not.
        self._cause = self._cause or _cause(record)
        return None


def _cause(record: Record) -> Replaced | None:
    facts = record.data
    if record.msg_type == "kernel_died":
        return None if facts.get("expected") else Replaced(str(facts.get("reason", "the kernel died")), False)
    if record.msg_type == "open" and facts.get("unclean"):
        return Replaced("the session's supervisor died", False)
    return Replaced("the session was shut down", True)
