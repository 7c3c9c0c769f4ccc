"""One round of the kill benchmark: run a cell, kill somebody at a random moment, see what is left, compare."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zmqkernel.client import Client, Execution
from zmqkernel.paths import Session
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import Position, SessionInfoReply

from . import ground
from .check import Answered, check, check_seen
from .ground import Ground
from .place import Place, kill
from .witness import Witness

PATIENCE = 60.0
"""Seconds for anything that must happen after a kill; the machine may be busy."""
SUPERVISORS = ("supervisor", "both", "everybody")
IN_CELL = {"os._exit": ground.EXIT, "os.abort": ground.ABORT, "null pointer": ground.NULL}
CALLS = {
    "flood": ["flood()"],
    "submitted": ["chain()"],
    "queued": ["flood()", "chain()", "chain()", "chain()"],
    "GIL held": ["hold({exponent})"],
    "large": ["large()"],
    "input": ["ask()"],
    "below Python": ["below()"],
    "idle": [],
    "starting": ["chain()"],
}
"""Moment: the cells that are submitted for it."""


class Broken(Exception):
    """The round cannot go on; the text says what did not happen."""


@dataclass
class Result:
    """Of one round. ``seconds``: from the kill until everything was answered and a new cell had run."""

    killed: str
    moment: str
    kills: int = 0
    seconds: float = 0.0
    executions: int = 0
    records: int = 0
    lines: int = 0
    broken: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)


class Player:
    """Plays rounds on one session, with one client that stays and one that reads along."""

    def __init__(self, place: Place, name: str, seed: int, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.random = random.Random(seed)
        self.session: Session = place.session(name)
        self.ground = Ground(place.home / f"ground-{name}")
        self.client = Client.connect(self.session, sender="benchmark", timeout=patience)
        self.begin = self._end = Position()
        self.witness = Witness(self.session, place.home / f"notes-{name}", self.begin)
        self._place = place
        self._name = name
        self._cell = 0
        self._runs: dict[int, Execution] = {}
        self._cells: list[int] = []
        self._visitor: Witness | None = None
        self._read: dict[int, Answered] = {}
        self._gone: set[int] = set()
        self.kills = 0

    # --- what a round does -------------------------------------------------------------------------------------------

    def play(self, killed: str, moment: str) -> Result:
        """One round. Broken promises are in the result; the session can be used on unless it says ``gave up``."""
        result = Result(killed, moment)
        self._runs, self._cells, self._read, self.kills = {}, [], {}, 0
        self._gone = {0}
        try:
            before = self._settled()
            self._prepare(moment, by_visitor=killed == "client")
            self._strike(killed, moment, before)
            struck = time.monotonic()
            self._recover(killed)
            self._finish(moment)
            self._probe()
            result.seconds = time.monotonic() - struck
        except (Broken, ZmqKernelError) as error:
            # Whatever the product answers instead of what it promises is a result of the benchmark, not its end.
            result.broken.append(f"gave up: {type(error).__name__}: {error}")
        result.kills = self.kills
        self._compare(result)
        return result

    def submit(self, call: str) -> int:
        """Submit a cell; returns its number."""
        number = self.new_cell()
        self._runs[number] = self.client.execute(self.ground.code(number, call))
        return number

    def new_cell(self) -> int:
        """A number for a cell of this round."""
        self._cell += 1
        self._cells.append(self._cell)
        return self._cell

    def _prepare(self, moment: str, by_visitor: bool) -> None:
        exponent = self.random.choice((1_500_000, 1_500_000, 6_000_000))
        calls = [call.format(exponent=exponent) for call in CALLS[moment]]
        if by_visitor:
            for call in calls[:1]:
                cell = self.new_cell()
                notes = self._place.home / f"visitor-{self._name}-{cell}"
                self._visitor = Witness(self.session, notes, self.begin, self.ground.code(cell, call))
        else:
            for call in calls:
                self.submit(call)
        if moment in ("submitted", "starting", "idle"):
            time.sleep(self.random.random() * (0.4 if by_visitor else 0.004))
            return
        first = self._cells[0]
        self._wait(lambda: any(self.ground.noted(first).returned.values()), "the cell to print")
        time.sleep(self.random.random() * self.random.choice((0.002, 0.02, 0.2)))

    def _strike(self, killed: str, moment: str, before: SessionInfoReply) -> None:
        kernel, supervisor = before.kernel_pid, before.supervisor_pid
        if killed in ("client", "everybody"):
            for client in (self._visitor, self.witness):
                if client is not None:
                    client.kill()
                    self.kills += 1
            self.witness.start()
        if killed in IN_CELL:
            self.ground.command(self._cells[0], IN_CELL[killed])
            self._gone.add(kernel)
            self.kills += 1
        elif killed == "supervisor":
            self._kill(supervisor)
        elif killed in ("both", "everybody"):
            for pid in self.random.sample([kernel, supervisor], 2):
                self._kill(pid)
        elif killed == "STOP+KILL":
            kill(kernel, signal.SIGSTOP)
            time.sleep(self.random.random() * 0.1)
            self._kill(kernel)
        elif killed != "client":
            self._kill(kernel, signal.Signals[killed])
        if moment == "starting":
            self._strike_again(killed)

    def _strike_again(self, killed: str) -> None:
        """The next one while it starts."""

        def successor() -> int:
            if killed in SUPERVISORS:
                with contextlib.suppress(OSError, ValueError):  # nobody has signed yet
                    pid = int(json.loads(self.session.lock_file.read_bytes())["pid"])
                    return 0 if pid in self._gone else pid
                return 0
            pid = self.client.info().kernel_pid
            return 0 if pid in self._gone else pid

        self._wait(lambda: bool(self._turn() or successor()), "a successor")
        time.sleep(self.random.random() * 0.3)
        pid = successor()
        if pid:
            self._kill(pid)

    def _kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        self._gone.add(pid)
        if pid and kill(pid, number):
            self.kills += 1

    # --- afterwards --------------------------------------------------------------------------------------------------

    def _recover(self, killed: str) -> None:
        """Wait until the session has noticed. A kernel that waits for its back-off is restarted now."""
        if killed == "client":
            return

        def is_back() -> bool:
            info = self.client.info()
            if info.supervisor_pid in self._gone:
                return False
            if info.state in ("restarting", "dead"):
                self.client.restart()
                return True
            return info.kernel_pid not in self._gone

        self._wait(is_back, f"the session to notice the death of {killed}", errors=True)

    def _finish(self, moment: str) -> None:
        """Let what still runs come to its end, and take the answers of our client."""
        for cell in self._cells:
            self.ground.command(cell, ground.STOP)
        if moment == "input":
            self._answer()
        for cell, run in self._runs.items():
            self._take(cell, run)

    def _take(self, cell: int, run: Execution) -> None:
        self._read[cell] = answered = Answered()
        deadline = time.monotonic() + self.patience
        while True:
            output = run.next(1.0)
            if output is None and run.done:
                break
            if time.monotonic() > deadline:
                answered.whole = False
                raise Broken(f"no answer to cell {cell} in {self.patience:.0f} s")
            if output is not None and output.msg_type == "stream" and output.content["name"] == "stdout":
                answered.text += output.content["text"]
        if run.reply is not None:
            answered.statuses.append(run.reply.status)

    def _answer(self) -> None:
        """Answer the question of the cell, if it still lives."""

        def is_over() -> bool:
            info = self.client.info()
            if info.input is not None:
                self.client.answer(info.input.request, "yes")
                return True
            return not info.running and not info.queued

        self._wait(is_over, "the question to be asked again", errors=True)

    def _probe(self) -> None:
        """The session works: a new cell is executed."""
        cell = self.submit("chain()")
        run = self._runs[cell]
        self._take(cell, run)
        if run.reply is None or run.reply.status != "ok":
            raise Broken(f"a new cell was not executed: {run.reply}")

    def _settled(self) -> SessionInfoReply:
        """Nothing runs and the kernel is ready."""
        found: list[SessionInfoReply] = []

        def is_idle() -> bool:
            found.append(self.client.info())
            return found[-1].state == "idle" and not found[-1].queued and bool(found[-1].kernel_pid)

        self._wait(is_idle, "the session to be idle")
        return found[-1]

    def _compare(self, result: Result) -> None:
        records: list[Record] = []
        try:
            self._wait(self._journal_is_whole(records), "all cells to be answered", errors=True)
        except Broken as error:
            result.broken.append(str(error))
        end = records[-1].seq if records else self.begin.seq
        if not self.witness.wait_for(end, self.patience):
            result.broken.append(f"the client that reads along did not get to {end}")
        seen = self.witness.take(end)
        if seen and seen[0][0] != self.begin.seq + 1:
            result.broken.append(f"the client that reads along got {seen[0][0]} after {self.begin.seq}")
        noted = {cell: self.ground.noted(cell) for cell in self._cells}
        if self._visitor is not None:
            self._visitor.kill()
            visited, self._visitor = self._visitor.take(end), None
            result.broken += check_seen(records, visited)
        result.broken += check(records, self.begin.seq, noted, self._read, seen)
        result.executions, result.records = len(self._cells), len(records)
        result.lines = sum(sum(note.returned.values()) for note in noted.values())
        if result.broken:
            result.evidence = self._evidence(records, noted, seen)
        if records:
            self.begin = self._end
        for cell in self._cells:
            self.ground.forget(cell)

    def _journal_is_whole(self, into: list[Record]) -> Callable[[], bool]:
        """Reads the journal of this round into a list; true when every request in it has its reply."""

        def is_whole() -> bool:
            into.clear()
            deadline = time.monotonic() + self.patience
            with self.client.another() as reader:
                following = reader.follow(self.begin, until_end=True)
                while not following.finished:
                    record = following.next(1.0)
                    if record is not None:
                        into.append(record)
                    elif time.monotonic() > deadline:
                        raise Broken(f"the journal could not be read in {self.patience:.0f} s")
                self._end = following.position
            open_ = {one.execution for one in into if one.kind == "submit"}
            return not open_ - {one.execution for one in into if one.kind == "reply"}

        return is_whole

    def _evidence(self, records: list[Record], noted: dict[int, ground.Noted], seen: list[tuple[int, int]]) -> Any:
        log = self.session.log_file
        kept = records if len(records) < 2000 else records[:1000] + records[-1000:]
        return {
            "noted": {cell: [note.begun, note.returned] for cell, note in noted.items()},
            "answered": {cell: answered.statuses for cell, answered in self._read.items()},
            "seen": [seen[:1], seen[-1:]],
            "supervisor.log": log.read_text(errors="replace")[-4000:] if log.exists() else "",
            "records": [_short(record) for record in kept],
        }

    def _turn(self) -> bool:
        """Let the blocking client work: it has no thread of its own. Never true."""
        with contextlib.suppress(ZmqKernelError):  # the session may be away just now: that is what we wait for to end
            self.client.connected  # noqa: B018  asking is the work
        return False

    def _wait(self, ready: Callable[[], bool], what: str, errors: bool = False) -> None:
        """Until it is so. ``errors``: those of the session count as not yet."""
        deadline = time.monotonic() + self.patience
        last: ZmqKernelError | None = None
        while True:
            try:
                if ready():
                    return
            except ZmqKernelError as error:
                if not errors:
                    raise
                last = error  # told when time is up
            if time.monotonic() > deadline:
                raise Broken(f"waited {self.patience:.0f} s for {what}" + (f" ({last})" if last else ""))
            time.sleep(0.005)

    def close(self) -> None:
        """Leave, and end the session: one that is broken may be very busy. What comes back of it the place ends."""
        self.witness.kill()
        if self._visitor:
            self._visitor.kill()
        self.client.close()
        written = json.loads(self.session.settings_file.read_bytes())
        for key in ("supervisor_pid", "kernel_pid"):
            self._place.kill(int(written.get(key) or 0))


def _short(record: Record) -> list[object]:
    content = record.content.decode(errors="replace")
    return [record.seq, record.kind, record.msg_type, record.execution, content[:300], content[-100:]]
