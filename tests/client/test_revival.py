"""When a client starts its session's supervisor again, with a clock in its hand; and how its two faces live through it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from zmqkernel.client.discovery import Revived
from zmqkernel.client.revival import AGAIN_SECONDS, DOWN_SECONDS, LONGEST_SECONDS, NEVER, Revival, Reviver
from zmqkernel.paths import Session
from zmqkernel.protocol.connection import ConnectionInfo
from zmqkernel.protocol.layout import connection_text

INFO = ConnectionInfo.decode(connection_text("/nowhere", "k", "zmqkernel"))


def test_a_short_break_is_no_death() -> None:
    revival = Revival(0.0, at_once=False)
    assert revival.due == NEVER
    revival.connection(True, 1.0)
    revival.connection(False, 5.0)
    assert revival.due == 5.0 + DOWN_SECONDS
    revival.connection(True, 5.1)
    assert revival.due == NEVER


def test_what_never_was_up_counts_only_where_a_start_was_asked_for() -> None:
    assert Revival(3.0, at_once=True, spread=0.1).due == 3.0 + DOWN_SECONDS + 0.1
    never = Revival(3.0, at_once=False)
    never.connection(False, 4.0)
    assert never.due == NEVER


def test_attempts_become_rare_and_a_connection_makes_them_frequent_again() -> None:
    revival = Revival(0.0, at_once=True)
    begins: list[float] = []
    for _ in range(9):
        begins.append(revival.due)
        revival.begin(revival.due)
        assert (revival.under_way, revival.due) == (True, NEVER)
        revival.ended("failed", begins[-1] + 0.01)
    waits = [later - earlier for earlier, later in itertools.pairwise(begins)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])
    now = revival.due
    revival.begin(now)
    revival.connection(True, now + 0.3)  # the door opens before the command is back
    revival.ended("started", now + 0.4)
    assert revival.due == NEVER
    revival.connection(False, now + 0.5)
    assert revival.due == pytest.approx(now + LONGEST_SECONDS)  # but never sooner than was planned
    revival.begin(revival.due)
    revival.connection(True, revival.due)
    assert AGAIN_SECONDS == 1.0


def test_a_session_that_was_shut_down_stays_so() -> None:
    revival = Revival(0.0, at_once=True)
    revival.begin(1.0)
    revival.ended("closed", 1.1)
    assert revival.closed
    revival.connection(True, 2.0)
    revival.connection(False, 3.0)
    assert revival.due == NEVER


class Attempts:
    """Takes the place of the starter; ``go`` lets it end."""

    def __init__(self, outcome: Revived | Exception) -> None:
        self.outcome: Revived | Exception = outcome
        self.count = 0
        self.go = threading.Event()

    def __call__(self, _session: Session) -> Revived:
        self.count += 1
        assert self.go.wait(20)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def turn_until(reviver: Reviver, ready: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(2000):
        reviver.turn()
        if ready():
            return
        pause.wait(0.01)
    raise AssertionError("waited in vain")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_starter_that_fails_in_any_way_is_over(tmp_path: Path) -> None:
    outcomes: list[Revived | Exception] = ["failed", "up", OSError("no processes left")]
    for outcome in outcomes:
        attempts = Attempts(outcome)
        now = [0.0]
        reviver = Reviver(Session(tmp_path, "x"), INFO, lambda: now[0], at_once=True, attempt=attempts)  # noqa: B023
        now[0] = 10.0
        turn_until(reviver, lambda: reviver.under_way and attempts.count == 1)  # noqa: B023
        attempts.go.set()
        turn_until(reviver, lambda: not reviver.under_way)  # noqa: B023
        assert not reviver.closed
        assert 10.0 + AGAIN_SECONDS <= reviver.turn() < 12.0


def test_a_foreign_door_is_nobodys_to_open() -> None:
    reviver = Reviver(None, INFO, lambda: 100.0, at_once=True)
    reviver.connection(True)
    reviver.connection(False)
    assert reviver.turn() == NEVER
    assert not reviver.under_way


def test_a_session_that_was_started_anew_is_another(tmp_path: Path) -> None:
    """After a shutdown and a start the same path has another key, and would drop whatever we sign."""
    now, ours = [0.0], [True]
    reviver = Reviver(
        Session(tmp_path, "x"), INFO, lambda: now[0], at_once=False, is_door=lambda _session, _info: ours[0]
    )
    reviver.connection(True)
    reviver.connection(False)
    reviver.connection(True)
    assert reviver.turn() == DOWN_SECONDS
    now[0] = 1.0
    assert reviver.turn() == NEVER
    assert not reviver.closed
    ours[0] = False
    reviver.connection(False)
    reviver.connection(True)
    now[0] = 2.0
    reviver.turn()
    assert reviver.closed
