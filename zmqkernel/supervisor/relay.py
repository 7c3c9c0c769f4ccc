"""The relay: what the kernel says becomes records and iopub messages; what is pending is answered exactly once."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import Any

import msgspec

from ..protocol import journal as format
from ..protocol.errors import RemoteProtocolError
from ..protocol.journal import Record
from ..protocol.messages import (
    Error,
    ErrorReply,
    ExecuteReply,
    InputRequest,
    Metadata,
    Ours,
    PendingInput,
    Position,
    Status,
    Stream,
)
from ..protocol.wire import EMPTY, Message, as_object, encode
from .cursor import Epochs
from .door import Door
from .journal import Journal
from .process import Death

REMEMBERED = 10_000
"""How many executions are remembered, to refuse a msg_id that comes again and to own late output."""

UNANSWERED = 1000

_metadata = msgspec.json.Decoder(Metadata).decode


class Execution(msgspec.Struct, eq=False):
    """An execute_request that was journaled."""

    header: bytes
    seq: int
    sender: str
    document: str
    ours: bytes


class Pending(msgspec.Struct, eq=False):
    """A request without an answer yet. ``channel`` is the door's; ``ours``: the reply goes by the journal alone."""

    channel: str
    idents: list[bytes]
    header: bytes
    msg_type: str
    ours: bool


class Relay:
    """Holds what is known about executions; every message of kernel and clients passes here once."""

    def __init__(self, door: Door, journal: Journal, epochs: Epochs) -> None:
        self.door = door
        self.journal = journal
        self.epochs = epochs
        self.state = "starting"
        self.running = ""
        self.pending: OrderedDict[str, Pending] = OrderedDict()
        self.executions: OrderedDict[str, Execution] = OrderedDict()
        self.input: PendingInput | None = None
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
        record = format.record_of(self.journal.next, time.time(), kind, message, execution, document)
        return self.journal.stage(record)

    def event(self, name: str, content: dict[str, Any], execution: str = "") -> None:
        """Journal an event."""
        known = self.executions.get(execution)
        document = known.document if known else ""
        self.journal.stage(format.event(self.journal.next, time.time(), name, content, execution, document))

    def remember(self, message: Message, seq: int) -> Execution:
        """Note an execute_request that is journaled at ``seq``."""
        try:
            ours = _metadata(message.metadata_json).zmqkernel
        except msgspec.MsgspecError:
            ours = Ours()  # another client's metadata uses our key for something else: then it says nothing to us
        header = message.header
        sender = ours.sender or f"{header.username or 'somebody'} ({header.session[:8]})"
        document = ours.origin.uri if ours.origin else ""
        told = encode(Ours(execution=message.msg_id, sender=sender, origin=ours.origin))
        known = Execution(header=message.header_json, seq=seq, sender=sender, document=document, ours=told)
        self.executions[message.msg_id] = known
        while len(self.executions) > REMEMBERED:
            self.executions.popitem(last=False)
        return known

    def recall(self, record: Record) -> None:
        """Take up what an old journal says."""
        if record.kind == "submit":
            message = record.message()
            self.remember(message, record.seq)
            self.pending[message.msg_id] = Pending("control", [], record.header, "execute_request", ours=True)
        elif record.kind == "reply":
            self.pending.pop(record.execution, None)

    def answer_orphans(self) -> None:
        """Answer what was pending when the last supervisor died; its kernel is gone with it."""
        for request in list(self.pending):
            self.refuse(request, "the session's supervisor died, and its kernel was ended", [])

    # --- from the kernel -------------------------------------------------------------------------------------------

    def text(self, stream: str, execution: str, text: str) -> None:
        """Stream text that the kernel or its children wrote."""
        known = self.executions.get(execution)
        message = self.door.wire.message("stream", Stream(stream, text), parent=known.header if known else EMPTY)
        self._publish(message, execution, f".{stream}")

    def message(self, channel: str, message: Message) -> None:
        """A message of the kernel."""
        if message.parent_json != self._parent:  # the messages of a cell all have the same
            try:
                parent = message.parent
            except RemoteProtocolError as error:
                os.write(2, f"relay: {message.msg_type} of the kernel dropped: {error}\n".encode())
                return
            self._parent, self._parent_id = message.parent_json, parent.msg_id if parent else ""
        execution = self._parent_id
        if channel == "iopub":
            self._iopub(message, execution)
        elif channel == "stdin":
            self._input_request(message, execution)
        else:
            self._reply(message, execution)

    def _iopub(self, message: Message, execution: str) -> None:
        if message.msg_type == "iopub_welcome":
            return  # meant for the subscriber, which is this supervisor; the door welcomes its own
        if message.msg_type == "status":
            state = message.read(Status).execution_state
            if execution in self.internal:
                return
            self._note_status(state, execution)
            if execution not in self.executions and execution:
                self.door.publish(message)  # of a completion or the like: nobody wants that in a journal
                return
        self._publish(message, execution)

    def _note_status(self, state: str, execution: str) -> None:
        if execution in self.executions:
            self.running = execution if state == "busy" else ""
            self.state = state
            if state == "idle" and self.input and self.input.execution == execution:
                self.close_input()

    def _publish(self, message: Message, execution: str, detail: str = "") -> None:
        record = self.stage("iopub", message, execution)
        if self.door.has_subscribers:
            self.door.publish(self._told(message, execution, record.seq), detail)

    def _told(self, message: Message, execution: str, seq: int) -> Message:
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
            os.write(2, f"relay: {message.msg_type} to nothing that is pending: {request}\n".encode())
            return
        if pending.msg_type == "execute_request":
            record = self.stage("reply", message, request)
            if not pending.ours:
                self._send_reply(pending, self._told(message, request, record.seq))
            return
        self._send_reply(pending, message)

    def _send_reply(self, pending: Pending, message: Message) -> None:
        message.idents = pending.idents
        self.door.send(pending.channel, message)

    def _input_request(self, message: Message, execution: str) -> None:
        content = message.read(InputRequest)
        self.stage("input", message, execution)
        self.input = PendingInput(message.msg_id, execution, content.prompt, content.password)
        pending = self.pending.get(execution)
        if pending is not None and not pending.ours:
            message.idents = pending.idents
            self.door.send("stdin", message)

    def close_input(self) -> None:
        """The pending input() waits no longer, though nobody answered."""
        if self.input is not None:
            self.event("input_closed", {"request": self.input.request}, self.input.execution)
            self.input = None

    # --- when there is no answer -----------------------------------------------------------------------------------

    def kernel_died(self, death: Death, expected: bool) -> None:
        """Answer everything that is pending with the reason."""
        where = f" at {death.line}" if death.line else ""
        running = self.running
        if not expected or self.pending:
            self.event(
                "kernel_died",
                {
                    "reason": death.reason,
                    "signal": death.signal,
                    "exit_code": death.exit_code,
                    "expected": expected,
                    "line": death.line,
                    "fault": death.fault,
                    "log": death.log,
                },
                running,
            )
        self.close_input()
        for request in list(self.pending):
            if not self.running and self.pending[request].msg_type == "execute_request":
                self.running = running = request  # it died before it could say that it had begun
            if expected:
                turn = " before this cell's turn" if request != running else ""
                reason = "the kernel was restarted or shut down" + turn
            elif request == running:
                reason = death.reason + where
            else:
                reason = f"not executed: {death.reason} before this cell's turn"
            self.refuse(request, reason, death.traceback if request == running else [])
        self.running = ""

    def refuse(self, request: str, reason: str, detail: list[str]) -> None:
        """Answer a pending request with an error of ename KernelDied."""
        pending = self.pending.pop(request)
        wire = self.door.wire
        name = "KernelDied"
        reply_type = pending.msg_type.removesuffix("_request") + "_reply"
        if pending.msg_type != "execute_request":
            self._send_reply(pending, wire.message(reply_type, ErrorReply(name, reason), parent=pending.header))
            return
        traceback = [*detail, f"{name}: {reason}"]
        self._publish(wire.message("error", Error(name, reason, traceback), parent=pending.header), request)
        content = ExecuteReply(status="error", ename=name, evalue=reason, traceback=traceback, execution_count=0)
        reply = wire.message("execute_reply", content, parent=pending.header)
        record = self.stage("reply", reply, request)
        if not pending.ours:
            self._send_reply(pending, self._told(reply, request, record.seq))
        self._publish(wire.message("status", Status("idle"), parent=pending.header), request)

    def set_state(self, state: str) -> None:
        """The session's own state changed: tell everybody."""
        self.state = state
        self._publish(self.door.wire.message("status", Status(state)), "")

    def position(self, seq: int) -> Position:
        return Position(self.epochs.current, seq)
