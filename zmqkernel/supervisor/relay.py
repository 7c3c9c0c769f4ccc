"""The relay: what the kernel says becomes records and iopub messages; what is pending is answered exactly once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from ..protocol import journal as format
from ..protocol.errors import RemoteProtocolError
from ..protocol.journal import Record
from ..protocol.messages import (
    Header,
    InputRequest,
    PendingInput,
    Position,
    Status,
    Stream,
)
from ..protocol.wire import EMPTY, Message, as_object
from .cursor import Epochs
from .door import Door
from .doors import Doors
from .journal import Journal
from .link import Taken
from .log import log
from .mirror import Mirror
from .recall import Execution, Recall, execution_of, read_one, remember

UNANSWERED = 1000
"""How many requests that run no code are waited for."""
OUTPUT_CAP = 1 << 30
"""Bytes of output of one execution that are kept."""
CAPPED = frozenset({"stream", "display_data", "update_display_data", "execute_result"})
NAMED = 1000
"""Executions that a state record names, to refuse a msg_id that comes again."""


class Pending(msgspec.Struct, eq=False):
    """A request without an answer yet. ``channel`` is the door's; ``ours``: the reply goes by the journal alone.

    ``door`` is where the client stands; all of them when only the journal has told of it.
    """

    channel: str
    idents: list[bytes]
    header: bytes
    msg_type: str
    ours: bool
    door: Door | Doors


class Relay:
    """Holds what is known about executions; every message of kernel and clients passes here once."""

    def __init__(self, doors: Doors, journal: Journal, epochs: Epochs, recall: Recall) -> None:
        self.doors = doors
        self.journal = journal
        self.epochs = epochs
        self.state = "starting"
        self.running = recall.running
        self.executions = recall.executions
        self.held = recall.held
        """Cells that waited when a kernel died, to the number of their record: kept until somebody says what to do."""
        self.input = recall.input
        self.answered = recall.answered
        """The input_request that was answered last, and the answer when it was no password."""
        self.pending: OrderedDict[str, Pending] = OrderedDict()
        for msg_id in recall.pending:
            self.pending[msg_id] = _recalled(self.executions[msg_id], doors)
        self.generation, self.buried = recall.generation, recall.buried
        """Of the kernel of now, and of the one that died last; 0: none."""
        self.link: Callable[[], Taken | None] = no_link
        """How far the kernel's output was taken: every record says so."""
        self.mirror = Mirror(doors.wire)
        self.cap = OUTPUT_CAP
        self._parent, self._parent_id = EMPTY, ""
        self.internal: dict[str, Any] = {}
        """msg_id of a request of the supervisor's own to the callable that gets the reply."""

    @property
    def is_busy(self) -> bool:
        """A cell runs, or was sent to the kernel."""
        return self.state == "busy" or any(one.msg_type == "execute_request" for one in self.pending.values())

    def pend(self, request: str, pending: Pending) -> None:
        """Wait for the kernel's answer. A kernel may drop what it does not know (``usage_request``): of requests that run
        no code only the newest UNANSWERED are waited for."""
        self.pending[request] = pending
        if len(self.pending) > UNANSWERED:
            oldest = (key for key, one in self.pending.items() if one.msg_type != "execute_request")
            self.pending.pop(next(oldest, ""), None)

    # --- journal ---------------------------------------------------------------------------------------------------

    def stage(self, kind: str, message: Message, execution: str) -> Record:
        """Journal a message with the turn's commit."""
        known = self.executions.get(execution)
        document = known.document if known else ""
        link = self.link()
        record = format.record_of(self.journal.next, time.time(), kind, message, execution, document, link)
        return self.journal.stage(record)

    def event(self, name: str, content: dict[str, Any], execution: str = "") -> None:
        """Journal an event."""
        known = self.executions.get(execution)
        document = known.document if known else ""
        self.journal.stage(format.event(self.journal.next, time.time(), name, content, execution, document))

    def remember(self, message: Message, seq: int) -> Execution:
        """Note an execute_request that is journaled at ``seq``."""
        known = execution_of(message, seq)
        remember(self.executions, message.msg_id, known)
        return known

    def read(self, seq: int) -> Record | None:
        """The record with this number, if it is still there."""
        return read_one(self.journal, seq)

    def note_state(self) -> None:
        """The first record of a new segment: with it the next supervisor needs no older one."""
        known = list(self.executions.items())[-NAMED:]
        content = {
            "pending": {key: self.executions[key].seq for key in self.unanswered()},
            "held": self.held,
            "known": {msg_id: one.seq for msg_id, one in known},
            "input": self.input,
            "answered": self.answered,
            "running": self.running,
            "link": self.link(),
            "generation": self.generation,
            "buried": self.buried,
        }
        self.event("state", content)

    def unanswered(self) -> list[str]:
        """The execute_requests that wait for their reply, oldest first."""
        return [
            key for key, one in self.pending.items() if one.msg_type == "execute_request" and key in self.executions
        ]

    def needed(self) -> int:
        """The oldest record that must stay in the journal."""
        seqs = [*self.held.values(), *(self.executions[key].seq for key in self.unanswered())]
        return min(seqs, default=self.journal.next)

    # --- from the kernel -------------------------------------------------------------------------------------------

    def text(self, stream: str, execution: str, text: str) -> None:
        """Stream text that the kernel or its children wrote."""
        if not self.skip(execution, len(text)):
            self._say(stream, execution, text)

    def _say(self, stream: str, execution: str, text: str) -> None:
        known = self.executions.get(execution)
        message = self.doors.wire.message("stream", Stream(stream, text), parent=known.header if known else EMPTY)
        self.publish(message, execution, f".{stream}")

    def skip(self, execution: str, size: int) -> bool:
        """Count ``size`` more bytes of output; True when its execution has put out more than is kept."""
        known = self.executions.get(execution)
        if known is None:
            return False
        known.said += size
        if known.said <= self.cap:
            return False
        if not known.cut:
            cap = f"{self.cap / 1e9:.3g} GB" if self.cap >= 1e8 else f"{self.cap / 1e6:.3g} MB"
            self._say("stderr", execution, f"\n[zmqkernel: this cell has put out {cap}; what follows is not kept]\n")
        known.cut += size
        return True

    def message(self, channel: str, message: Message) -> None:
        """A message of the kernel."""
        if message.msg_type == "mirror_delta":
            self.mirror.take(message, self.generation)  # it is in no journal
            return
        if message.parent_json != self._parent:  # the messages of a cell all have the same
            try:
                parent = message.parent
            except RemoteProtocolError as error:
                log(f"relay: {message.msg_type} of the kernel dropped: {error}")
                return
            self._parent, self._parent_id = message.parent_json, parent.msg_id if parent else ""
        execution = self._parent_id
        if channel == "iopub":
            self._iopub(message, execution)
        elif channel == "stdin":
            self._input_request(message, execution)
        else:
            self._reply(message, execution)

    def is_cut(self, execution: str) -> bool:
        """Has this execution put out more than is kept?"""
        known = self.executions.get(execution)
        return known is not None and known.cut > 0

    def _iopub(self, message: Message, execution: str) -> None:
        if message.msg_type == "iopub_welcome":
            return  # meant for the subscriber, which is this supervisor; the door welcomes its own
        if message.msg_type == "status":
            state = message.read(Status).execution_state
            if execution in self.internal:
                return
            self._note_status(state, execution)
            if execution not in self.executions and execution:
                self.doors.publish(message)  # of a completion or the like: nobody wants that in a journal
                return
        elif message.msg_type in CAPPED and self.skip(execution, _size(message)):
            return
        self.publish(message, execution)

    def _note_status(self, state: str, execution: str) -> None:
        known = self.executions.get(execution)
        if known is None:
            return
        self.running = execution if state == "busy" else ""
        self.state = state
        if state != "idle":
            return
        if known.cut:
            self.event("gap", {"reason": "cap", "bytes": known.cut, "cap": self.cap}, execution)
            known.cut = 0
        if self.input and self.input.execution == execution:
            self.close_input()

    def publish(self, message: Message, execution: str, detail: str = "") -> None:
        record = self.stage("iopub", message, execution)
        if self.doors.has_subscribers:
            self.doors.publish(self.told(message, execution, record.seq), detail, record.seq)

    def told(self, message: Message, execution: str, seq: int) -> Message:
        """The message as plain clients see it, with our key in its metadata."""
        known = self.executions.get(execution)
        ours = f'"zmqkernel":{{"epoch":{self.epochs.current},"seq":{seq}'.encode()
        if known and len(known.ours) > 2:
            ours += b"," + known.ours[1:]
        else:
            ours += b"}"
        metadata = message.metadata_json
        if metadata == EMPTY:
            joined = b"{" + ours + b"}"
        else:
            joined = b"{" + ours + (b"," + metadata.strip()[1:] if as_object(metadata) else b"}")
        return Message(
            message.header, message.header_json, message.parent_json, joined, message.content_json, message.buffers
        )

    def _reply(self, message: Message, request: str) -> None:
        hook = self.internal.pop(request, None)
        if hook is not None:
            hook(message)
            return
        pending = self.pending.pop(request, None)
        if pending is None:
            log(f"relay: {message.msg_type} to nothing that is pending: {request}")
            return
        if pending.msg_type == "execute_request":
            record = self.stage("reply", message, request)
            if not pending.ours:
                self.reply_to(pending, self.told(message, request, record.seq), record.seq)
            return
        self.reply_to(pending, message)

    def reply_to(self, pending: Pending, message: Message, after: int = 0) -> None:
        message.idents = pending.idents
        pending.door.send(pending.channel, message, after)

    def _input_request(self, message: Message, execution: str) -> None:
        content = message.read(InputRequest)
        record = self.stage("input", message, execution)
        self.input = PendingInput(message.msg_id, execution, content.prompt, content.password)
        pending = self.pending.get(execution)
        if pending is not None and not pending.ours:
            message.idents = pending.idents
            pending.door.send("stdin", message, record.seq)

    def close_input(self) -> None:
        """The pending input() waits no longer, though nobody answered."""
        if self.input is not None:
            self.event("input_closed", {"request": self.input.request}, self.input.execution)
            self.input = None

    # --- state -------------------------------------------------------------------------------------------------------

    def tell(self, door: Door, text: str) -> None:
        """Say something to those who stand at one door; it is no part of the session."""
        door.publish(self.doors.wire.message("stream", Stream("stderr", text)))

    def set_state(self, state: str) -> None:
        """The session's own state changed: tell everybody."""
        self.state = state
        self.publish(self.doors.wire.message("status", Status(state)), "")

    def position(self, seq: int) -> Position:
        return Position(self.epochs.current, seq)


def no_link() -> Taken | None:
    return None


def _recalled(execution: Execution, doors: Doors) -> Pending:
    """Of a request that was pending when the last supervisor died. A client of ours reads the reply in the journal; a plain
    one comes back with the identity that Jupyter's clients have: their header's session."""
    header = msgspec.json.decode(execution.header, type=Header)
    channel = "shell" if execution.plain else "control"
    idents = [header.session.encode()]
    return Pending(channel, idents, execution.header, "execute_request", not execution.plain, doors)


def _size(message: Message) -> int:
    return len(message.content_json) + sum(map(len, message.buffers))
