"""What the executions of one document have put out, folded from journal records, and when to tell the editor.

The editor gets whole snapshots: one that is never sent costs nothing, so a busy cell and a slow editor cannot pile up work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import ExecuteReply, Metadata, Origin, Ours
from zmqkernel.protocol.outputs import Displays, Fold, Output

from .anchors import Ran
from .kernels import ADOPTED, ENDS

State = Literal["queued", "running", "waiting", "ok", "error", "aborted", "died"]

INTERVAL = 0.05
"""Seconds between two notifications of one execution, at least."""
BYTES_PER_SECOND = 8_000_000
"""A large snapshot is sent more rarely, so that they come to about this much."""
MAX_TEXT = 1_000_000
"""Characters of one output that an editor gets; of more it gets the two ends."""


class Execution:
    """One execution as it is now."""

    def __init__(self, execution: str, displays: Displays) -> None:
        self.execution = execution
        self.code = ""
        self.origin = Origin()
        self.sender = ""
        self.state: State = "queued"
        self.count: int | None = None
        self.number = 0
        """Its place in the journal, 0 before that is known: what was submitted first runs first."""
        self.earlier_kernel = False
        """The kernel in which it ran is gone, and its variables are."""
        self.fold = Fold(displays)
        self._began = 0.0
        self._duration: float | None = None

    @property
    def finished(self) -> bool:
        return self.state not in ("queued", "running", "waiting")

    @property
    def duration(self) -> float | None:
        """Seconds, once it is known."""
        return self._duration

    @property
    def began(self) -> float:
        """Unix time, 0 before it runs."""
        return self._began

    @property
    def ran(self) -> Ran:
        return Ran(self.execution, self.code, self.origin.line, self.origin.cell, self.origin.column)

    def submitted(self, code: str, sender: str, origin: Origin) -> None:
        """The request is known."""
        self.code, self.sender, self.origin = code, sender, origin

    def running(self, time: float) -> None:
        if self.state == "queued":
            self.state, self._began = "running", time

    def waits(self, waits: bool) -> None:
        """Does it wait for the answer to an ``input()``?"""
        if not self.finished:
            self.state = "waiting" if waits else "running"

    def replied(self, reply: ExecuteReply, time: float) -> None:
        """The end, as the execute_reply has it."""
        died = reply.status == "error" and reply.ename == "KernelDied"
        self.state = "died" if died else "ok" if reply.status == "ok" else "error"
        if reply.status in ("aborted", "abort"):
            self.state = "aborted"
        self.count = reply.execution_count or self.count
        if self._began:
            self._duration = max(0.0, time - self._began)

    def snapshot(self) -> dict[str, Any]:
        """What the editor is told, but for the place."""
        facts: dict[str, Any] = {
            "execution": self.execution,
            "count": self.count,
            "state": self.state,
            "sender": self.sender,
            "earlierKernel": self.earlier_kernel,
            "outputs": [_shortened(output) for output in self.fold.outputs],
        }
        if self._duration is not None:
            facts["duration"] = round(self._duration, 6)
        return facts


def _shortened(output: Output) -> Output:
    text = output.text
    if text is None or len(text) <= MAX_TEXT:
        return output
    half = MAX_TEXT // 2
    gap = f"\n... {len(text) - 2 * half} characters left out: see zmqkernel log ...\n"
    return msgspec.structs.replace(output, text=text[:half] + gap + text[-half:])


def has_code(text: str) -> bool:
    """Is there anything to run, or are there only comments and blank lines?"""
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n"))


class Input(msgspec.Struct):
    """An ``input()`` that waits for its answer."""

    execution: str
    request: str
    prompt: str
    password: bool


class Executions:
    """All executions of one document, oldest first, and the ``input()`` that wait."""

    def __init__(self) -> None:
        self._displays = Displays()
        self.all: dict[str, Execution] = {}
        self.inputs: dict[str, Input] = {}
        self._doubted: list[Execution] = []
        """Of an earlier kernel, unless the supervisor that has just opened the session takes that over."""

    def get(self, execution: str) -> Execution:
        """The execution with this id, made if it is new."""
        known = self.all.get(execution)
        if known is None:
            known = self.all[execution] = Execution(execution, self._displays)
        return known

    def forget(self, executions: Iterable[str]) -> None:
        """Nobody will see these again; what still runs stays, for its ``input()``."""
        for execution in executions:
            known = self.all.get(execution)
            if known and known.finished:
                del self.all[execution]

    def take(self, record: Record) -> list[Execution]:
        """Take a record; returns the executions that changed."""
        if record.kind == "event":
            return self._event(record)
        if record.kind == "submit":
            return self._submit(record)
        if record.execution not in self.all:
            return []  # of a silent execution, or from before the part of the journal that is kept
        execution = self.all[record.execution]
        if record.kind == "iopub":
            return self._iopub(execution, record)
        if record.kind == "reply":
            execution.replied(record.message().read(ExecuteReply), record.time)
            return [execution]
        if record.kind == "input":
            request, content = record.message().msg_id, record.data
            prompt, password = content.get("prompt", ""), bool(content.get("password"))
            self.inputs[request] = Input(execution.execution, request, prompt, password)
            execution.waits(True)
        elif record.kind == "answer":
            self.inputs = {key: one for key, one in self.inputs.items() if one.execution != execution.execution}
            execution.waits(False)
        return [execution]

    def _event(self, record: Record) -> list[Execution]:
        if record.msg_type == "input_closed":
            closed = self.inputs.pop(record.data.get("request", ""), None)
            waited = self.all.get(closed.execution) if closed else None
            if waited:
                waited.waits(False)
            return [waited] if waited else []
        if record.msg_type == ADOPTED:
            there, self._doubted = self._doubted, []
            for one in there:
                one.earlier_kernel = False
            return there
        if record.msg_type not in ENDS:
            return []
        # What is queued may still run in the new kernel.
        gone = [one for one in self.all.values() if one.state != "queued" and not one.earlier_kernel]
        for one in gone:
            one.earlier_kernel = True
        self._doubted = gone if record.msg_type == "open" else []
        return gone

    def _submit(self, record: Record) -> list[Execution]:
        content = record.data
        if content.get("silent") or not has_code(content.get("code", "")):
            return []
        header = record.message().header
        try:
            ours = msgspec.json.decode(record.metadata, type=Metadata).zmqkernel
        except msgspec.MsgspecError:
            ours = Ours()  # another client's metadata uses our key for something else
        sender = ours.sender or f"{header.username or 'somebody'} ({header.session[:8]})"
        execution = self.get(record.execution)
        execution.submitted(content.get("code", ""), sender, ours.origin or Origin())
        execution.number = record.seq
        return [execution]

    def _iopub(self, execution: Execution, record: Record) -> list[Execution]:
        content = record.data
        if record.msg_type == "status":
            if content.get("execution_state") != "busy" or execution.finished:
                return []
            execution.running(record.time)
            return [execution]
        if record.msg_type == "execute_input":
            execution.count = content.get("execution_count")
            return [execution]
        changed = execution.fold.add(record.msg_type, content)
        if changed == [execution.fold]:
            return [execution]
        return [known for known in self.all.values() if known.fold in changed] if changed else []


class Pace:
    """Decides when the editor is told of an execution: at most every INTERVAL and at its end, not while the editor is slow."""

    def __init__(self, send: Callable[[str], int], congested: Callable[[], bool]) -> None:
        """``send`` tells the editor of one execution and returns how many bytes that took."""
        self._send = send
        self._congested = congested
        self._not_before: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def changed(self, executions: Iterable[str], *, at_once: bool = False) -> None:
        """Note a change; ``at_once`` (the end of an execution) does not wait for the interval."""
        loop = asyncio.get_running_loop()
        for execution in executions:
            timer = self._timers.get(execution)
            if timer and at_once:
                timer.cancel()
            elif timer:
                continue
            # Never sent from here: records come in runs, and the run is one change.
            wait = 0.0 if at_once else max(0.0, self._not_before.get(execution, 0.0) - loop.time())
            self._timers[execution] = loop.call_later(wait, self._due, execution)

    def now(self, execution: str) -> None:
        """Tell it before anything else is said, however slow the editor is."""
        timer = self._timers.pop(execution, None)
        if timer:
            timer.cancel()
        self._send_and_wait(execution)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, execution: str) -> None:
        loop = asyncio.get_running_loop()
        if self._congested():
            self._timers[execution] = loop.call_later(INTERVAL, self._due, execution)
            return
        self._timers.pop(execution, None)
        self._send_and_wait(execution)

    def _send_and_wait(self, execution: str) -> None:
        size = self._send(execution)
        self._not_before[execution] = asyncio.get_running_loop().time() + max(INTERVAL, size / BYTES_PER_SECOND)
