"""The journal as a story for people: what ran, who ran it, what came out. Shared by ``log`` and ``attach``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ..client.follow import REWIND
from ..protocol.journal import OUTPUTS, Record
from ..protocol.messages import Metadata
from . import listing
from .render import Json, Renderer

SHUT_DOWN = "the session was shut down"

_metadata = msgspec.json.Decoder(Metadata).decode


def sender_of(submit: Record) -> str:
    """Who ran what this ``submit`` asks for: as the client signs, else its user and the begin of its identity."""
    header = submit.message().header
    sender = _metadata(submit.metadata).zmqkernel.sender
    return sender or f"{header.username or 'somebody'} ({header.session[:8]})"


class Told(msgspec.Struct):
    """What is known about an execution. ``place`` is ``file:line`` or empty."""

    sender: str = "somebody"
    place: str = ""
    code: str = ""
    begun: bool = False


class Story:
    """Tells records, one after the other."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._executions: dict[str, Told] = {}
        self._current = ""

    def sender(self, execution: str) -> str:
        """Who ran this execution."""
        return self._executions.get(execution, Told()).sender

    def note_submit(self, record: Record) -> None:
        """Remember a ``submit``: what it says is told when the code begins to run."""
        ours = _metadata(record.metadata).zmqkernel
        place = ""
        if ours.origin and ours.origin.uri:
            place = f"{unquote(urlsplit(ours.origin.uri).path).rpartition('/')[2]}:{ours.origin.line + 1}"
        self._executions[record.execution] = Told(sender_of(record), place, str(record.data.get("code", "")))

    def tell(self, record: Record) -> None:
        """Show one record."""
        if record.kind == "event":
            self._event(record)
        elif record.kind == "submit":
            self.note_submit(record)
        elif record.kind == "reply":
            self._reply(record)
        elif record.kind == "input":
            self._enter(record, "")
            self._renderer.note(f"asks: {record.data.get('prompt', '')}")
        elif record.kind == "answer":
            value = record.data.get("value")
            self._renderer.note("answered" + (f": {value}" if value is not None else ""))
        elif record.msg_type == "execute_input":
            data = record.data
            self._enter(record, f"In [{data.get('execution_count')}]", str(data.get("code", "")))
        elif record.msg_type in OUTPUTS:
            if record.execution:
                self._enter(record, "")
            self._renderer.show(record.msg_type, record.data)

    def _enter(self, record: Record, label: str, code: str = "") -> None:
        """Say which execution the next output belongs to, when that is another than before."""
        if record.execution == self._current and not label:
            return
        self._current = record.execution
        known = self._executions.setdefault(record.execution, Told())
        again = " (continued)" if known.begun else ""
        known.begun = True
        self._renderer.end()
        self._renderer.begin()
        when = time.strftime("%H:%M:%S", time.localtime(record.time))
        words = [str(record.seq), when, known.sender, known.place, label + again]
        self._renderer.note("── " + "  ".join(word for word in words if word))
        for line in (code or known.code).splitlines():
            self._renderer.note(f"│ {line}")
        known.code = ""  # told once

    def _reply(self, record: Record) -> None:
        if record.data.get("status") == "aborted":
            self._enter(record, "")
            self._renderer.note("not executed: a cell before it failed")

    def _event(self, record: Record) -> None:
        text = event_text(record.msg_type, record.data)
        if text:
            self._renderer.note(f"── {record.seq}  {text}")


def event_text(name: str, data: dict[str, Any]) -> str:
    """An event in words; empty when there is nothing a person wants to know."""
    say = _EVENTS.get(name)
    return say(data) if say else ""


def _open(data: Json) -> str:
    return "the session was opened" + ("; its last end was no shutdown" if data.get("unclean") else "")


def _kernel_started(data: Json) -> str:
    first = int(data.get("generation") or 1) == 1
    return f"kernel {data.get('pid')} started" if first else "a new kernel was started: the variables are gone"


def _kernel_died(data: Json) -> str:
    return "the kernel ended" if data.get("expected") else str(data.get("reason", "the kernel died"))


def _gap(data: Json) -> str:
    """Why something is missing, and how much: the numbers are those that the event has."""
    reason = str(data.get("reason", "unknown"))
    size = f" ({bytes_text(data['bytes'])})" if isinstance(data.get("bytes"), int) else ""
    if reason == "retention":
        which = f"records {data['from']} to {data['to']}" if "from" in data and "to" in data else "the oldest records"
        return f"{which} are no longer kept (settings journal_size and journal_age)"
    if reason == "cap":
        limit = f" beyond {bytes_text(data['cap'])}" if isinstance(data.get("cap"), int) else ""
        return f"output{limit} is cut here{size} (setting output_cap)"
    why = f": {data['why']}" if data.get("why") else ""
    if reason == "unknown":
        return f"something may be missing here, and nobody knows how much{why}"
    if reason == "damage":
        return f"something is missing here, it was damaged{size}{why}"
    return f"something is missing here: {reason}{size}"


def _held(data: Json) -> str:
    return listing.kept(len(data.get("executions") or ()))


def _resumed(data: Json) -> str:
    number = len(data.get("executions") or ())
    return f"{listing.cells(number)} that {'was' if number == 1 else 'were'} kept run{'s' if number == 1 else ''} again"


def _dropped(data: Json) -> str:
    number = len(data.get("executions") or ())
    return f"{listing.cells(number)} that {'was' if number == 1 else 'were'} kept will not run: dropped"


def _adopted(_data: Json) -> str:
    return "the supervisor died and another took over: the kernel goes on, the variables are there"


def _trouble(data: Json) -> str:
    text = data.get("text")
    return f"trouble: {text}" if text else "the trouble is over: the session goes on"


def bytes_text(number: int) -> str:
    """A size as people read it."""
    size = float(number)
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


_EVENTS: dict[str, Callable[[Json], str]] = {
    "open": _open,
    "kernel_started": _kernel_started,
    "kernel_died": _kernel_died,
    "gap": _gap,
    "held": _held,
    "resumed": _resumed,
    "dropped": _dropped,
    "adopted": _adopted,
    "trouble": _trouble,
    "terminated": lambda data: str(data.get("reason", "the supervisor was told to end")),
    "close": lambda _data: SHUT_DOWN,
    REWIND: lambda _data: "a power failure took what came after this",
}
"""What is not here is not shown: ``state`` (for the next supervisor) and ``input_closed``."""
