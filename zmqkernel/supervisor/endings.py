"""What becomes of requests when the kernel dies, or a supervisor did: everything is answered exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..protocol.messages import (
    AdoptReply,
    Error,
    ErrorReply,
    ExecuteReply,
    InputReply,
    InputRequest,
    PendingInput,
    Status,
)
from ..protocol.wire import EMPTY, Message, encode
from .process import Death
from .relay import Relay


def kernel_died(relay: Relay, death: Death, expected: bool, exact: bool) -> None:
    """Answer everything that is pending with the reason.

    ``exact``: the kernel says at once when it begins a cell, so one that has not begun was certainly not executed.
    """
    relay.event("kernel_died", _told_of(death, expected), relay.running)
    relay.buried, relay.generation = relay.generation, 0
    relay.close_input()
    relay.mirror.kernel_gone()
    waiting = relay.unanswered()
    if not relay.running and not exact and waiting:
        relay.running = waiting[0]  # it may have died before it could say that it had begun
    held = [] if expected else [request for request in waiting if request != relay.running]
    if held:
        relay.held.update((request, relay.executions[request].seq) for request in held)
        relay.event("held", {"executions": held})
    for request in list(relay.pending):
        reason, detail = _why(death, expected, request == relay.running, request in held)
        refuse(relay, request, reason, detail)
    relay.running = ""


def refuse(relay: Relay, request: str, reason: str, detail: list[str]) -> None:
    """Answer a pending request with an error of ename KernelDied."""
    pending = relay.pending.pop(request)
    wire = relay.doors.wire
    name = "KernelDied"
    reply_type = pending.msg_type.removesuffix("_request") + "_reply"
    if pending.msg_type != "execute_request":
        relay.reply_to(pending, wire.message(reply_type, ErrorReply(name, reason), parent=pending.header))
        return
    traceback = [*detail, f"{name}: {reason}"]
    relay.publish(wire.message("error", Error(name, reason, traceback), parent=pending.header), request)
    content = ExecuteReply(status="error", ename=name, evalue=reason, traceback=traceback, execution_count=0)
    reply = wire.message("execute_reply", content, parent=pending.header)
    record = relay.stage("reply", reply, request)
    if not pending.ours:
        relay.reply_to(pending, relay.told(reply, request, record.seq), record.seq)
    relay.publish(wire.message("status", Status("idle"), parent=pending.header), request)


def reconcile(relay: Relay, kernel: AdoptReply, new: set[str], send: Callable[[str, Message], None]) -> None:
    """The kernel that was taken over has said what it is at: send again what did not reach it; ``new`` has yet to be sent."""
    for request in relay.unanswered():
        if request not in (kernel.running, *kernel.queued, *new):
            record = relay.read(relay.executions[request].seq)
            if record is not None:
                send("shell", record.message())
    if not kernel.input:
        relay.close_input()
    elif relay.input is None and relay.answered[0] == kernel.input and relay.answered[1]:
        parent = encode({"msg_id": kernel.input, "msg_type": "input_request"})
        send("stdin", relay.doors.wire.message("input_reply", InputReply(relay.answered[1]), parent=parent))
    elif relay.input is None:
        # A password that did not arrive, and that nobody has noted: it has to be asked for again.
        relay.input = PendingInput(kernel.input, kernel.running, "Password: ", password=True)
        content = InputRequest("Password: ", True)
        parent = _header(relay, kernel.running)
        asked = relay.doors.wire.message("input_request", content, parent=parent, msg_id=kernel.input)
        relay.stage("input", asked, kernel.running)
    state = "busy" if kernel.running else "idle"
    if state != relay.state:
        relay.set_state(state)
    relay.running = kernel.running


def lose(relay: Relay) -> None:
    """A foreign kernel was taken over: what it said meanwhile is lost, and so are the replies to what it has done."""
    relay.close_input()
    for request in list(relay.pending):
        refuse(relay, request, "its reply was lost: the session's supervisor died while this ran", [])
    relay.running = ""


def _header(relay: Relay, execution: str) -> bytes:
    known = relay.executions.get(execution)
    return known.header if known else EMPTY


def _told_of(death: Death, expected: bool) -> dict[str, Any]:
    return {
        "reason": death.reason,
        "signal": death.signal,
        "exit_code": death.exit_code,
        "expected": expected,
        "line": death.line,
        "fault": death.fault,
        "log": death.log,
    }


def _why(death: Death, expected: bool, running: bool, held: bool) -> tuple[str, list[str]]:
    """(reason in one sentence, lines of detail) for a request that gets no other answer."""
    if expected:
        return "the kernel was restarted or shut down" + ("" if running else " before this cell's turn"), []
    if running:
        return death.reason + (f" at {death.line}" if death.line else ""), death.traceback
    if held:
        return f"not executed: {death.reason} before this cell's turn. It is kept: zmqkernel resume runs it", []
    return death.reason, []
