"""The journal as a story for people: what ran, who ran it, what came out. Shared by ``log`` and ``attach``."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ..client.follow import REWIND
from ..protocol.journal import OUTPUTS, Record
from ..protocol.messages import Metadata
from .render import Renderer

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
    if name == "open":
        return "the session was opened" + ("; its last end was no shutdown" if data.get("unclean") else "")
    if name == "kernel_started":
        first = int(data.get("generation") or 1) == 1
        return f"kernel {data.get('pid')} started" if first else "a new kernel was started: the variables are gone"
    if name == "kernel_died":
        expected = data.get("expected")
        return "the kernel ended" if expected else str(data.get("reason", "the kernel died"))
    if name == "gap":
        return f"something is missing here: {data.get('reason', 'unknown')}"
    if name == "close":
        return "the session was shut down"
    if name == REWIND:
        return "a power failure took what came after this"
    return ""
