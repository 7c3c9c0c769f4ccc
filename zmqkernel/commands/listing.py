"""Sessions in words: ``zmqkernel list`` and ``zmqkernel info``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..client.discovery import SessionState
from ..protocol.messages import SessionInfoReply

HEAD = ("NAME", "STATE", "PATH")

SHOWN = 10
"""So many of the cells that are kept are listed."""

WIDTH = 80
"""Characters of a cell's first line that are shown."""


def table(states: list[SessionState]) -> str:
    """All sessions, below a line that says what the columns are."""
    if not states:
        return "there is no session yet: zmqkernel start"
    rows = [HEAD, *((state.name, state.state, _path(state)) for state in states)]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{width}}  {state:<10}  {path}" for name, state, path in rows)


def describe(state: SessionState, live: SessionInfoReply | None, sender: str = "", held: Sequence[str] = ()) -> str:
    """One session; ``live`` is what its supervisor says, ``sender`` who runs the cell that runs now, ``held`` the code of the
    cells that are kept."""
    facts = [("session", state.name), ("project", state.path), ("state", state.state + _ended(state))]
    if state.trouble:
        facts.append(("trouble", state.trouble))
    if live is not None:
        cell = f"a cell of {sender}" if live.running else "nothing"
        waiting = f", {len(live.queued)} waiting" if live.queued else ""
        facts.append(("runs", cell + waiting))
        if live.input is not None:
            facts.append(("asks", live.input.prompt or "input() waits for an answer"))
        facts.append(("up for", duration(time.time() - live.started)))
        facts.append(("attached", ", ".join(dict.fromkeys(live.clients)) or "nobody"))
    if held:
        facts.append(
            ("kept", f"{cells(len(held))}: zmqkernel resume runs {them(len(held))}, --drop forgets {them(len(held))}")
        )
        facts += [("", first_line(code)) for code in held[:SHOWN]]
        facts += [("", f"... and {len(held) - SHOWN} more")] if len(held) > SHOWN else []
    if state.kernel_pid:
        facts.append(("kernel", f"process {state.kernel_pid}" + (f" ({live.kernel_name})" if live else "")))
    if state.supervisor_pid:
        facts.append(("supervisor", f"process {state.supervisor_pid}"))
    facts.append(("journal", f"{state.seq} records"))
    facts.append(("connection", state.connection_file))
    return "\n".join(f"{name + ':' if name else '':<12}{value}" for name, value in facts)


def resumed(number: int, *, drop: bool) -> str:
    """What ``zmqkernel resume`` did."""
    if not number:
        return "no cells are kept"
    if drop:
        return f"forgot {cells(number)}"
    return f"{cells(number)} run{'s' if number == 1 else ''} again; see {them(number)}: zmqkernel attach"


def kept(number: int) -> str:
    """What is said where somebody may want to run them."""
    was = "was" if number == 1 else "were"
    return (
        f"{cells(number)} that waited when the kernel died {was} kept: "
        f"zmqkernel resume runs {them(number)}, zmqkernel resume --drop forgets {them(number)}"
    )


def cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def them(number: int) -> str:
    return "it" if number == 1 else "them"


def first_line(code: str) -> str:
    """What a person knows a cell by."""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    if not lines:
        return "(the journal no longer has its code)"
    line = lines[0] if len(lines[0]) <= WIDTH else lines[0][: WIDTH - 1] + "…"
    return line + ("  ..." if len(lines) > 1 else "")


def duration(seconds: float) -> str:
    """A time as a person says it: its two largest units."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days} d"] * bool(days) + [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join([*parts, f"{rest} s"][:2])


def _path(state: SessionState) -> str:
    notes = ["its last end was no shutdown"] if state.unclean else []
    notes += [f"{cells(len(state.held))} kept"] if state.held else []
    notes += [state.trouble] if state.trouble else []
    return state.path + (f"  ({'; '.join(notes)})" if notes else "")


def _ended(state: SessionState) -> str:
    return " (its last end was no shutdown)" if state.unclean else ""
