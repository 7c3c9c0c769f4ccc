"""Sessions in words: ``zmqkernel list`` and ``zmqkernel info``."""

from __future__ import annotations

import time

from ..client.discovery import SessionState
from ..protocol.messages import SessionInfoReply

HEAD = ("NAME", "STATE", "PATH")


def table(states: list[SessionState]) -> str:
    """All sessions, below a line that says what the columns are."""
    if not states:
        return "there is no session yet: zmqkernel start"
    rows = [HEAD, *((state.name, state.state, _path(state)) for state in states)]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{width}}  {state:<10}  {path}" for name, state, path in rows)


def describe(state: SessionState, live: SessionInfoReply | None, sender: str) -> str:
    """One session; ``live`` is what its supervisor says, ``sender`` who runs the cell that runs now."""
    facts = [("session", state.name), ("project", state.path), ("state", state.state + _ended(state))]
    if live is not None:
        cell = f"a cell of {sender}" if live.running else "nothing"
        waiting = f", {len(live.queued)} waiting" if live.queued else ""
        facts.append(("runs", cell + waiting))
        if live.input is not None:
            facts.append(("asks", live.input.prompt or "input() waits for an answer"))
        facts.append(("up for", duration(time.time() - live.started)))
        facts.append(("attached", ", ".join(dict.fromkeys(live.clients)) or "nobody"))
    if state.kernel_pid:
        facts.append(("kernel", f"process {state.kernel_pid}" + (f" ({live.kernel_name})" if live else "")))
    if state.supervisor_pid:
        facts.append(("supervisor", f"process {state.supervisor_pid}"))
    facts.append(("journal", f"{state.seq} records"))
    facts.append(("connection", state.connection_file))
    return "\n".join(f"{name + ':':<12}{value}" for name, value in facts)


def duration(seconds: float) -> str:
    """A time as a person says it: its two largest units."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d"] * bool(days) + [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join([*parts, f"{rest} s"][:2])


def _path(state: SessionState) -> str:
    return state.path + ("  (ended without a shutdown)" if state.unclean else "")


def _ended(state: SessionState) -> str:
    return ", ended without a shutdown" if state.unclean else ""
