"""What clients ask: one table, message type to method. Everything else goes to the kernel as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from .. import __version__
from ..protocol.errors import RemoteProtocolError
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
    ShutdownRequest,
    Status,
    Submitted,
    UnfollowRequest,
)
from ..protocol.wire import EMPTY, Message, encode
from .cursor import Cursor
from .relay import Pending, Relay

COMMS = ("comm_open", "comm_msg", "comm_close")
SUBSHELLS = ("create_subshell_request", "delete_subshell_request", "list_subshell_request")
CONTROL = ("debug_request", "usage_request", *SUBSHELLS)
"""Requests that belong on the kernel's own control channel."""

NO_KERNEL = KernelInfoReply(
    implementation="zmqkernel",
    implementation_version=__version__,
    language_info=LanguageInfo("python", "", "text/x-python", ".py", "ipython3", "python", "python"),
    banner="This session has no kernel: zmqkernel restart starts one.",
    supported_features=FEATURES,
)
"""The kernel_info_reply of a session in which no kernel has started yet: only its journal can be read."""


class Lifeline(Protocol):
    """What only the owner of the kernel process can do; the app."""

    def forward(self, channel: str, message: Message) -> None: ...
    def interrupt(self) -> None: ...
    def shut_down(self, restart: bool, answer: Callable[[], None]) -> None: ...
    def describe(self) -> Any: ...


class Requests:
    """Handles what comes in at the door."""

    def __init__(self, relay: Relay, cursor: Cursor, lifeline: Lifeline) -> None:
        self._relay = relay
        self._door = relay.door
        self._cursor = cursor
        self._lifeline = lifeline
        self._kernel_info = b""
        self._waiting_for_info: list[tuple[str, Message]] = []
        self._handlers: dict[str, Callable[[str, Message], None]] = {
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
        }

    def handle(self, channel: str, message: Message) -> None:
        """One message of a client. The one error boundary for what clients send."""
        try:
            self._handlers.get(message.msg_type, self._forward)(channel, message)
        except RemoteProtocolError as error:
            os.write(2, f"requests: {message.msg_type} of {message.header.session[:8]}: {error}\n".encode())
            if message.msg_type.endswith("_request"):
                self._reply(channel, message, ErrorReply("RemoteProtocolError", str(error)))

    def _reply(self, channel: str, request: Message, content: Any, msg_type: str = "") -> None:
        msg_type = msg_type or request.msg_type.removesuffix("_request") + "_reply"
        reply = self._door.wire.message(msg_type, content, parent=request.header_json, idents=request.idents)
        self._door.send(channel, reply)

    # --- to the kernel -----------------------------------------------------------------------------------------------

    def _execute(self, channel: str, message: Message) -> None:
        relay = self._relay
        known = relay.executions.get(message.msg_id)
        if known is None:
            message.read(ExecuteRequest)  # what no kernel could run is not journaled
            # remember() before stage(): the record belongs to the document that the request names
            known = relay.remember(message, relay.journal.next)
            relay.stage("submit", message, message.msg_id)
            self._pend(channel, message, ours=channel == "control")
            if relay.state == "dead":
                relay.refuse(message.msg_id, "the session has no kernel; zmqkernel restart starts one", [])
            else:
                self._lifeline.forward("shell", message)
        if channel == "control":
            self._reply(channel, message, Submitted(relay.position(known.seq)), "submitted")

    def _forward(self, channel: str, message: Message) -> None:
        if message.msg_type not in COMMS:
            if not message.msg_type.endswith("_request"):
                raise RemoteProtocolError(f"a message of unknown type {message.msg_type!r}")
            self._pend(channel, message, ours=False)
            if self._relay.state == "dead":
                self._relay.refuse(message.msg_id, "the session has no kernel; zmqkernel restart starts one", [])
                return
        self._lifeline.forward("control" if message.msg_type in CONTROL else "shell", message)

    def _pend(self, channel: str, message: Message, ours: bool) -> None:
        pending = Pending(channel, message.idents, message.header_json, message.msg_type, ours)
        self._relay.pend(message.msg_id, pending)

    def _interrupt(self, channel: str, message: Message) -> None:
        self._lifeline.interrupt()
        self._reply(channel, message, OkReply())

    def _shutdown(self, channel: str, message: Message) -> None:
        restart = message.read(ShutdownRequest).restart
        self._lifeline.shut_down(restart, lambda: self._reply(channel, message, {"status": "ok", "restart": restart}))

    # --- kernel_info: answered here, whatever the kernel does --------------------------------------------------------

    def kernel_info(self, content: KernelInfoReply) -> None:
        """What the kernel says about itself: keep it, with what the door adds, and answer those who wait."""
        content.supported_features = [*content.supported_features, *FEATURES]
        self._kernel_info = encode(content)
        self.answer_waiting()

    def answer_waiting(self) -> None:
        """Nobody needs to wait for the kernel any longer: it has spoken, or there is none."""
        waiting, self._waiting_for_info = self._waiting_for_info, []
        for channel, request in waiting:
            self._info(channel, request)

    def _info(self, channel: str, message: Message) -> None:
        if not self._kernel_info and self._relay.state != "dead":
            self._waiting_for_info.append((channel, message))
            return
        self._status("busy", message.header_json)
        self._reply(channel, message, self._kernel_info or NO_KERNEL)
        self._status("idle", message.header_json)
        running = self._relay.executions.get(self._relay.running)
        if running is not None:
            self._status("busy", running.header)  # a client that only looks at the last status must see the truth

    def _status(self, state: str, parent: bytes) -> None:
        self._door.publish(self._door.wire.message("status", Status(state), parent=parent))

    # --- stdin -------------------------------------------------------------------------------------------------------

    def _input_reply(self, _channel: str, message: Message) -> None:
        waits = self._relay.input
        asked = self._relay.pending.get(waits.execution) if waits else None
        if waits is None or asked is None or asked.idents[:1] != message.idents[:1]:
            raise RemoteProtocolError("an input_reply that nobody waits for")
        self._deliver(waits, message.read(InputReply).value)

    def _answer(self, channel: str, message: Message) -> None:
        content = message.read(AnswerRequest)
        waits = self._relay.input
        if waits is None or waits.request != content.request:
            self._reply(channel, message, ErrorReply("TooLate", "this input was answered or closed already"))
            return
        self._deliver(waits, content.value)
        self._reply(channel, message, OkReply())

    def _deliver(self, waits: PendingInput, value: str) -> None:
        self._relay.input = None
        wire = self._door.wire
        answer = wire.message("input_reply", InputReply(value))
        self._lifeline.forward("stdin", answer)
        shown = answer if not waits.password else wire.message("input_reply", EMPTY, msg_id=answer.msg_id)
        self._relay.stage("answer", shown, waits.execution)

    # --- ours --------------------------------------------------------------------------------------------------------

    def _follow(self, channel: str, message: Message) -> None:
        ours = message.metadata.get("zmqkernel") or {}
        sender = str(ours.get("sender") or message.header.session[:8])
        wanted = message.read(FollowRequest)
        reply = self._cursor.follow(message.msg_id, message.idents[0], message.header_json, sender, wanted)
        self._reply(channel, message, reply)

    def _credit(self, _channel: str, message: Message) -> None:
        content = message.read(FollowCredit)
        self._cursor.credit(content.follow, message.idents[0], content.credit)

    def _unfollow(self, channel: str, message: Message) -> None:
        self._cursor.unfollow(message.read(UnfollowRequest).follow)
        self._reply(channel, message, OkReply())

    def _session_info(self, channel: str, message: Message) -> None:
        self._reply(channel, message, self._lifeline.describe())
