"""What clients ask: one table, message type to method. Everything else goes to the kernel as it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from .. import __version__
from ..protocol.errors import RemoteProtocolError, ZmqKernelError
from ..protocol.messages import (
    FEATURES,
    AnswerRequest,
    ErrorReply,
    ExecuteRequest,
    FollowCredit,
    FollowRequest,
    InputReply,
    KernelInfoReply,
    LanguageInfo,
    OkReply,
    PendingInput,
    ResumeReply,
    ResumeRequest,
    ServeRequest,
    ShutdownRequest,
    Status,
    Submitted,
    UnfollowRequest,
)
from ..protocol.wire import EMPTY, Message, Wire, encode
from .cursor import Cursor
from .door import Door
from .endings import refuse
from .log import log
from .recall import Execution
from .relay import Pending, Relay

COMMS = ("comm_open", "comm_msg", "comm_close")
SUBSHELLS = ("create_subshell_request", "delete_subshell_request", "list_subshell_request")
CONTROL = ("debug_request", "usage_request", *SUBSHELLS)
"""Requests that belong on the kernel's own control channel."""

ONCE = frozenset({"interrupt_request", "shutdown_request", "answer_request", "resume_request"})
"""Requests that would do harm when somebody sends them a second time; everything else asks, or is told apart otherwise."""
OBEYED = 1000
"""How many of them are remembered."""
NO_KERNEL_REASON = "the session has no kernel; zmqkernel restart starts one"
NO_KERNEL = KernelInfoReply(
    implementation="zmqkernel",
    implementation_version=__version__,
    language_info=LanguageInfo("python", "", "text/x-python", ".py", "ipython3", "python", "python"),
    banner="This session has no kernel: zmqkernel restart starts one.",
    supported_features=FEATURES,
)
"""The kernel_info_reply of a session in which no kernel has started yet: only its journal can be read."""


class Asked(NamedTuple):
    """A message, and where it came in."""

    door: Door
    channel: str
    message: Message


class Lifeline(Protocol):
    """What only the owner of the kernel process can do; the app."""

    def forward(self, channel: str, message: Message, after: int = 0) -> None: ...
    def interrupt(self, door: Door) -> None: ...
    def asked_to_end(self, door: Door, restart: bool, answer: Callable[[], None]) -> None: ...
    def serve(self, wanted: ServeRequest) -> None: ...
    def describe(self) -> Any: ...


class Requests:
    """Handles what comes in at the door."""

    def __init__(self, relay: Relay, cursor: Cursor, lifeline: Lifeline) -> None:
        self._relay = relay
        self._doors = relay.doors
        self._obeyed: deque[bytes] = deque(maxlen=OBEYED)
        self._cursor = cursor
        self._lifeline = lifeline
        self._kernel_info = b""
        self._waiting_for_info: list[Asked] = []
        self._handlers: dict[str, Callable[[Asked], None]] = {
            "execute_request": self._execute,
            "kernel_info_request": self._info,
            "interrupt_request": self._interrupt,
            "shutdown_request": self._shutdown,
            "input_reply": self._input_reply,
            "follow_request": self._follow,
            "follow_credit": self._credit,
            "unfollow_request": self._unfollow,
            "answer_request": self._answer,
            "session_info_request": self._session_info,
            "resume_request": self._resume,
            "serve_request": self._serve,
            "mirror_request": self._mirror,
        }

    def handle(self, door: Door, channel: str, message: Message) -> None:
        """One message of a client. The one error boundary for what clients send."""
        asked = Asked(door, channel, message)
        try:
            if message.msg_type in ONCE and self._is_repeated(message.header_json):
                raise RemoteProtocolError(f"{message.msg_id} was obeyed already")
            self._handlers.get(message.msg_type, self._forward)(asked)
        except ZmqKernelError as error:
            log(f"requests: {message.msg_type} of {message.header.session[:8]}: {error}")
            if message.msg_type.endswith("_request"):
                self._reply(asked, ErrorReply(type(error).__name__, str(error)))

    def _is_repeated(self, header: bytes) -> bool:
        if header in self._obeyed:
            return True
        self._obeyed.append(header)
        return False

    def _reply(self, asked: Asked, content: Any, msg_type: str = "", after: int = 0) -> None:
        request = asked.message
        msg_type = msg_type or request.msg_type.removesuffix("_request") + "_reply"
        reply = self._doors.wire.message(msg_type, content, parent=request.header_json, idents=request.idents)
        asked.door.send(asked.channel, reply, after)

    # --- to the kernel -----------------------------------------------------------------------------------------------

    def _execute(self, asked: Asked) -> None:
        message = asked.message
        known = self._relay.executions.get(message.msg_id)
        if known is not None and asked.channel == "shell" and known.header != message.header_json:
            # Two clients of one Jupyter kernel manager have one session, and both count their messages from 1.
            if message.msg_id in self._relay.pending:
                raise RemoteProtocolError(f"another message with the msg_id {message.msg_id} is being executed")
            known = None
        if known is None:
            message.read(ExecuteRequest)  # what no kernel could run is not journaled
            known = self._submit(message, self._pending(asked, ours=asked.channel == "control"))
        if asked.channel == "control":
            self._reply(asked, Submitted(self._relay.position(known.seq)), "submitted", known.seq)

    def _submit(self, message: Message, pending: Pending) -> Execution:
        relay = self._relay
        # remember() before stage(): the record belongs to the document that the request names
        known = relay.remember(message, relay.journal.next)
        relay.stage("submit", message, message.msg_id)
        relay.pend(message.msg_id, pending)
        if relay.state == "dead":
            refuse(relay, message.msg_id, NO_KERNEL_REASON, [])
        else:
            self._lifeline.forward("shell", message, known.seq)
        return known

    def _forward(self, asked: Asked) -> None:
        message = asked.message
        if message.msg_type not in COMMS:
            if not message.msg_type.endswith("_request"):
                raise RemoteProtocolError(f"a message of unknown type {message.msg_type!r}")
            self._relay.pend(message.msg_id, self._pending(asked, ours=False))
            if self._relay.state == "dead":
                refuse(self._relay, message.msg_id, NO_KERNEL_REASON, [])
                return
        # A comm message must not overtake the cell before it; a completion may.
        after = self._relay.journal.next - 1 if message.msg_type in COMMS else 0
        self._lifeline.forward("control" if message.msg_type in CONTROL else "shell", message, after)

    def _pending(self, asked: Asked, ours: bool) -> Pending:
        message = asked.message
        return Pending(asked.channel, message.idents, message.header_json, message.msg_type, ours, asked.door)

    def _resume(self, asked: Asked) -> None:
        relay, wanted = self._relay, asked.message.read(ResumeRequest)
        chosen = [key for key in relay.held if not wanted.executions or key in wanted.executions]
        if relay.state == "dead" and not wanted.drop:
            raise RemoteProtocolError(NO_KERNEL_REASON)
        done: dict[str, str] = {}
        for old in chosen:
            record = relay.read(relay.held.pop(old))
            if wanted.drop or record is None:
                done[old] = ""
                continue
            message = _again(record.message(), self._doors.wire)
            done[old] = message.msg_id
            self._submit(message, Pending("control", [], message.header_json, "execute_request", True, self._doors))
        if done:
            relay.event("dropped" if wanted.drop else "resumed", {"executions": done})
        self._reply(asked, ResumeReply(done))

    def _interrupt(self, asked: Asked) -> None:
        self._lifeline.interrupt(asked.door)
        self._reply(asked, OkReply())

    def _shutdown(self, asked: Asked) -> None:
        restart = asked.message.read(ShutdownRequest).restart
        done = {"status": "ok", "restart": restart}
        self._lifeline.asked_to_end(asked.door, restart, lambda: self._reply(asked, done))

    # --- kernel_info: answered here, whatever the kernel does --------------------------------------------------------

    def kernel_info(self, content: KernelInfoReply) -> None:
        """What the kernel says about itself: keep it, with what the door adds, and answer those who wait."""
        content.supported_features = [*content.supported_features, *FEATURES]
        self._kernel_info = encode(content)
        self.answer_waiting()

    def answer_waiting(self) -> None:
        """Nobody needs to wait for the kernel any longer: it has spoken, or there is none."""
        waiting, self._waiting_for_info = self._waiting_for_info, []
        for asked in waiting:
            self._info(asked)

    def _info(self, asked: Asked) -> None:
        if not self._kernel_info and self._relay.state != "dead":
            self._waiting_for_info.append(asked)
            return
        header = asked.message.header_json
        self._status(asked.door, "busy", header)
        self._reply(asked, self._kernel_info or NO_KERNEL)
        self._status(asked.door, "idle", header)
        running = self._relay.executions.get(self._relay.running)
        if running is not None:
            # A client that only looks at the last status must see the truth.
            self._status(asked.door, "busy", running.header)

    def _status(self, door: Door, state: str, parent: bytes) -> None:
        door.publish(self._doors.wire.message("status", Status(state), parent=parent))

    # --- stdin -------------------------------------------------------------------------------------------------------

    def _input_reply(self, asked: Asked) -> None:
        message, waits = asked.message, self._relay.input
        pending = self._relay.pending.get(waits.execution) if waits else None
        if waits is None or pending is None or pending.idents[:1] != message.idents[:1]:
            raise RemoteProtocolError("an input_reply that nobody waits for")
        self._deliver(waits, message.read(InputReply).value)

    def _answer(self, asked: Asked) -> None:
        content = asked.message.read(AnswerRequest)
        waits = self._relay.input
        if waits is None or waits.request != content.request:
            self._reply(asked, ErrorReply("TooLate", "this input was answered or closed already"))
            return
        self._deliver(waits, content.value)
        self._reply(asked, OkReply())

    def _deliver(self, waits: PendingInput, value: str) -> None:
        relay, wire = self._relay, self._doors.wire
        relay.input = None
        relay.answered = waits.request, "" if waits.password else value
        # The parent says which question this answers: a kernel that was taken over may get it twice.
        parent = encode({"msg_id": waits.request, "msg_type": "input_request"})
        answer = wire.message("input_reply", InputReply(value), parent=parent)
        self._lifeline.forward("stdin", answer)
        shown = wire.message("input_reply", EMPTY, parent=parent, msg_id=answer.msg_id) if waits.password else answer
        relay.stage("answer", shown, waits.execution)

    # --- ours --------------------------------------------------------------------------------------------------------

    def _follow(self, asked: Asked) -> None:
        message = asked.message
        ours = message.metadata.get("zmqkernel") or {}
        sender = str(ours.get("sender") or message.header.session[:8])
        wanted = message.read(FollowRequest)
        reply = self._cursor.follow(message.msg_id, message.idents[0], message.header_json, sender, wanted)
        self._reply(asked, reply)

    def _credit(self, asked: Asked) -> None:
        content = asked.message.read(FollowCredit)
        self._cursor.credit(content.follow, asked.message.idents[0], content.credit)

    def _unfollow(self, asked: Asked) -> None:
        self._cursor.unfollow(asked.message.read(UnfollowRequest).follow)
        self._reply(asked, OkReply())

    def _session_info(self, asked: Asked) -> None:
        self._reply(asked, self._lifeline.describe())

    def _serve(self, asked: Asked) -> None:
        self._lifeline.serve(asked.message.read(ServeRequest))
        self._reply(asked, OkReply())

    def _mirror(self, asked: Asked) -> None:
        asked.door.send(asked.channel, self._relay.mirror.answer(asked.door, asked.message))


def _again(message: Message, wire: Wire) -> Message:
    """The same cell as a new execution, of the same sender."""
    metadata = message.metadata
    ours: dict[str, Any] = metadata.setdefault("zmqkernel", {})
    ours["resumed"] = message.msg_id
    ours.setdefault("sender", f"{message.header.username or 'somebody'} ({message.header.session[:8]})")
    return wire.message("execute_request", message.content_json, metadata=metadata, buffers=message.buffers)
