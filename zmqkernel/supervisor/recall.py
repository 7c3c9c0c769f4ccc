"""What the journal tells the next supervisor: what was pending, what had been read of the kernel, what is kept.

:meth:`Recall.see` gets the records of the newest segment in order; a ``state`` record at its beginning stands for all
segments before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from ..protocol.journal import Record, records
from ..protocol.messages import Filter, InputReply, InputRequest, Metadata, Ours, PendingInput, Status
from ..protocol.wire import Message, encode
from .journal import Journal

REMEMBERED = 10_000
"""How many executions are remembered, to refuse a msg_id that comes again and to own late output."""

_metadata = msgspec.json.Decoder(Metadata).decode


class Execution(msgspec.Struct, eq=False):
    """An execute_request that was journaled. ``said`` counts the bytes it has put out, ``cut`` those beyond the cap.

    ``plain``: from a Jupyter client, which waits for the reply itself; a client of ours reads it in the journal.
    """

    header: bytes
    seq: int
    sender: str
    document: str
    ours: bytes
    plain: bool
    said: int = 0
    cut: int = 0


def execution_of(message: Message, seq: int) -> Execution:
    """What is known of an execute_request that is journaled at ``seq``."""
    try:
        ours = _metadata(message.metadata_json).zmqkernel
    except msgspec.MsgspecError:
        ours = Ours()  # another client's metadata uses our key for something else: then it says nothing to us
    header = message.header
    sender = ours.sender or f"{header.username or 'somebody'} ({header.session[:8]})"
    document = ours.origin.uri if ours.origin else ""
    told = encode(Ours(execution=message.msg_id, sender=sender, origin=ours.origin, resumed=ours.resumed))
    return Execution(message.header_json, seq, sender, document, told, plain=not ours.sender)


def _named(msg_id: str, seq: int) -> Execution:
    """An execute_request of which only the name is known."""
    header = encode({"msg_id": msg_id, "msg_type": "execute_request"})
    return Execution(header, seq, "", "", encode(Ours(execution=msg_id)), plain=True)


def remember(executions: OrderedDict[str, Execution], msg_id: str, execution: Execution) -> None:
    """Add the newest, forget the oldest beyond REMEMBERED."""
    executions[msg_id] = execution
    if len(executions) > REMEMBERED:
        executions.popitem(last=False)


class Recall:
    """The part of the relay's knowledge that survives the supervisor."""

    def __init__(self) -> None:
        self.executions: OrderedDict[str, Execution] = OrderedDict()
        self.pending: OrderedDict[str, int] = OrderedDict()
        """Execute_requests without a reply, and the number of their record."""
        self.held: OrderedDict[str, int] = OrderedDict()
        """Cells that waited when a kernel died and are kept, likewise."""
        self.input: PendingInput | None = None
        self.answered: tuple[str, str] = "", ""
        """The input_request that was answered last and its answer (empty for a password): it may not have arrived."""
        self.running = ""
        self.link: tuple[int, int, int] | None = None
        """How far the output of the kernel of now was journaled."""
        self.generation = 0
        """Of the kernel that lived when the last supervisor died; 0: none did."""
        self.buried = 0
        """Of the kernel that died last: everything that it has said is journaled."""

    def see(self, record: Record) -> None:
        """Take up one record."""
        if record.link is not None:
            self.link = record.link
        if record.kind == "event":
            handle = getattr(self, f"_{record.msg_type}", None)
            if handle is not None:
                handle(record.data)
        elif record.kind == "submit":
            self.pending[self._remember(record)] = record.seq
        elif record.kind == "reply":
            self.pending.pop(record.execution, None)
            self._settled(record.execution)
        elif record.kind == "input":
            asked = record.message()
            content = asked.read(InputRequest)
            self.input = PendingInput(asked.msg_id, record.execution, content.prompt, content.password)
        elif record.kind == "answer" and self.input is not None:
            value = "" if self.input.password else record.message().read(InputReply).value
            self.answered = self.input.request, value
            self.input = None
        elif record.msg_type == "status":
            self._status(record)

    def fill(self, read: Callable[[int], Record | None]) -> None:
        """Read again, by number, the execute_requests of which only the name is known and that are still needed."""
        for msg_id, seq in [*self.pending.items(), *self.held.items()]:
            record = read(seq)
            if record is not None and record.kind == "submit":
                self._remember(record)
            elif msg_id not in self.executions:
                self.executions[msg_id] = _named(msg_id, seq)  # its record is damaged: it is answered all the same

    def _remember(self, record: Record) -> str:
        message = record.message()
        remember(self.executions, message.msg_id, execution_of(message, record.seq))
        return message.msg_id

    # --- events ------------------------------------------------------------------------------------------------------

    def _state(self, content: dict[str, Any]) -> None:
        self.pending = OrderedDict(content["pending"])
        self.held = OrderedDict(content["held"])
        for msg_id, seq in content["known"].items():
            self.executions[msg_id] = _named(msg_id, seq)
        self.input = msgspec.convert(content["input"], PendingInput | None)
        self.answered = tuple(content["answered"])
        self.running = content["running"]
        self.link = tuple(content["link"]) if content["link"] else None
        self.generation, self.buried = content["generation"], content["buried"]

    def _kernel_started(self, content: dict[str, Any]) -> None:
        self.generation = content["generation"]
        self.link, self.input, self.running = None, None, ""

    def _kernel_died(self, _content: dict[str, Any]) -> None:
        self._close({})
        self.input, self.running = None, ""

    def _close(self, _content: dict[str, Any]) -> None:
        self.buried, self.generation, self.link = self.generation, 0, None

    def _input_closed(self, _content: dict[str, Any]) -> None:
        self.input = None

    def _held(self, content: dict[str, Any]) -> None:
        for msg_id in content["executions"]:
            if msg_id in self.executions:
                self.held[msg_id] = self.executions[msg_id].seq

    def _resumed(self, content: dict[str, Any]) -> None:
        for msg_id in content["executions"]:
            self.held.pop(msg_id, None)

    _dropped = _resumed

    def _status(self, record: Record) -> None:
        if record.execution not in self.executions:
            return
        busy = record.message().read(Status).execution_state == "busy"
        self.running = record.execution if busy else ""
        if not busy:
            self._settled(record.execution)

    def _settled(self, execution: str) -> None:
        if self.input is not None and self.input.execution == execution:
            self.input = None


def read_one(journal: Journal, seq: int) -> Record | None:
    """The record with this number, if it is still there."""
    _, frames = journal.read(seq - 1, 1, Filter())
    found = records(frames[0])[0] if frames else None
    return found if found is not None and found.seq == seq else None
