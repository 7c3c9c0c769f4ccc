"""When a client starts its session's supervisor again: what goes on by itself after somebody killed it.

Rules:

1. A connection that is down for a moment is a supervisor that died, or one that left. ``session.json`` says which: a
   session that was shut down stays so, and its clients are told.
2. Somebody else may be faster: the kernel, another client. Who finds the lock taken waits; of two that start one at the
   same time the second finds it up, and that is no failure.
3. Attempts begin at least one second apart, and after failures ever more rarely.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from ..paths import Session
from ..protocol.connection import ConnectionInfo
from .discovery import Revived, is_door_of, revive

DOWN_SECONDS = 0.25
"""How long a connection is down before anybody does something: most often it is back at once."""

SPREAD_SECONDS = 0.25
"""Clients of one session wait so differently that one of them has begun before the others look."""

AGAIN_SECONDS = 1.0
LONGEST_SECONDS = 30.0
"""The times between the beginnings of two attempts: the first, and what doubling it ends at."""

LOOK_SECONDS = 0.05
"""How often a face looks whether an attempt has come to its end."""

NEVER = float("inf")


class Revival:
    """The decision, without I/O: what happens is told with its time, and :attr:`due` says when to begin an attempt."""

    def __init__(self, now: float, *, at_once: bool, spread: float = 0.0) -> None:
        """``at_once``: the connection that was never up counts as down."""
        self.under_way = False
        self.closed = False
        """The session was shut down: nothing is ever due again."""
        self._spread = spread
        self._up = False
        self._not_before = now
        self._wait = AGAIN_SECONDS
        self.due = now + DOWN_SECONDS + spread if at_once else NEVER

    def connection(self, up: bool, now: float) -> None:
        """The connection came up, or broke."""
        if up:
            self._up, self.due, self._wait = True, NEVER, AGAIN_SECONDS
        elif self._up:
            self._up = False
            self._plan(now + DOWN_SECONDS + self._spread)

    def begin(self, now: float) -> None:
        """An attempt begins."""
        self.under_way, self.due = True, NEVER
        self._not_before = now + self._wait
        self._wait = min(2 * self._wait, LONGEST_SECONDS)

    def ended(self, outcome: Revived, now: float) -> None:
        """The attempt is over. Where a supervisor is up the connection comes by itself; if not, there is a next time."""
        self.under_way = False
        if outcome == "closed":
            self.close()
        elif not self._up:
            self._plan(now + DOWN_SECONDS)

    def close(self) -> None:
        """The session was shut down."""
        self.closed, self.due = True, NEVER

    def _plan(self, at: float) -> None:
        self.due = NEVER if self.closed or self.under_way else max(at, self._not_before)


class Reviver:
    """Does what a :class:`Revival` decides, in a thread of its own: a start takes up to a second."""

    def __init__(
        self,
        session: Session | None,
        info: ConnectionInfo,
        clock: Callable[[], float],
        *,
        at_once: bool,
        attempt: Callable[[Session], Revived] = revive,
        is_door: Callable[[Session, ConnectionInfo], bool] = is_door_of,
    ) -> None:
        """For the client of ``session``; None is a door of somebody else, which we cannot open again. ``at_once``: also when
        the first connection does not come."""
        self._session = session
        self._info = info
        self._clock = clock
        self._attempt = attempt
        self._is_door = is_door
        self._revival = Revival(clock(), at_once=at_once, spread=random.uniform(0, SPREAD_SECONDS))
        self._outcomes: list[Revived] = []
        self._was_up = False
        self._check_at = NEVER

    @property
    def under_way(self) -> bool:
        """A supervisor is being started now."""
        return self._revival.under_way

    @property
    def closed(self) -> bool:
        """The session was shut down; this client is of no more use."""
        return self._revival.closed

    def connection(self, up: bool) -> None:
        """The connection came up, or broke."""
        self._revival.connection(up, self._clock())
        # A session that was shut down and started again has another key: it would not even understand us.
        self._check_at = self._clock() + DOWN_SECONDS if up and self._was_up else NEVER
        self._was_up = self._was_up or up

    def turn(self) -> float:
        """Do what is due; returns when to call again, on the clock."""
        now = self._clock()
        if self._session is None or self.closed:
            return NEVER
        if self._outcomes:
            self._revival.ended(self._outcomes.pop(), now)
        if self._check_at <= now:
            self._check_at = NEVER
            if not self._is_door(self._session, self._info):
                self._revival.close()
        if self._revival.due <= now:
            self._revival.begin(now)
            # A daemon: a program that ends does not wait for it, and the supervisor is on its own by then.
            threading.Thread(target=self._run, args=(self._session,), name="revival", daemon=True).start()
        return min(self._revival.due, self._check_at, now + LOOK_SECONDS if self.under_way else NEVER)

    def _run(self, session: Session) -> None:
        outcome: Revived = "failed"
        try:
            outcome = self._attempt(session)
        finally:
            self._outcomes.append(outcome)  # whatever it raised must not leave the client waiting for this thread
