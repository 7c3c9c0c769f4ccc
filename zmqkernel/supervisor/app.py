"""The supervisor's loop: one thread, one poller. A turn reads what is there, commits the journal, then sends."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from ..paths import Session, remove_tree
from ..protocol.connection import ConnectionInfo
from ..protocol.identity import kernel_info
from ..protocol.messages import ServeRequest, SessionInfoReply
from ..protocol.wire import Message, Wire
from .cursor import Cursor, Epochs
from .door import REQUESTS, Door
from .doors import Doors, Served
from .guard import guard, key_of, publish_connection_file
from .journal import Journal
from .lifeline import Kernel
from .link_dir import remains
from .lock import Lock
from .log import log
from .memory import frugal
from .process import OWN
from .recall import Recall, read_one
from .record import SessionRecord
from .relay import OUTPUT_CAP, Relay
from .requests import Requests

REGULAR = 5.0
"""Seconds between looks at what rarely changes."""
STAGED = 8 * 1024 * 1024
"""Bytes of records that wait for a disk that refuses, before the kernel has to wait."""
LOCK_GONE = (
    "the session's state directory was removed: what runs goes on, but nobody can come back to it. Save what you need."
)
BURST = 1000
"""Records after which memory is given back."""
NO_KERNEL_IDLE = 10.0
"""A supervisor without a kernel leaves after so many seconds without a follower."""


def start(session: Session, record: SessionRecord, kernel: Kernel, lock: Lock) -> Supervisor:
    """Open the door; :meth:`Supervisor.run` serves it."""
    try:
        supervisor = Supervisor(session, record, kernel, lock)
    except BaseException:
        kernel.abandon()
        raise
    lock.note(ready=True)
    return supervisor


class Supervisor:
    """Wires the rooms together and runs the loop."""

    def __init__(self, session: Session, record: SessionRecord, kernel: Kernel, lock: Lock) -> None:
        self._lock = lock
        self._session = session
        self._record = record
        self._kernel = kernel
        self._context = zmq.Context(io_threads=1)
        self._poller = zmq.Poller()
        key = key_of(session) or os.urandom(32).hex()
        self._info = ConnectionInfo.ipc(str(session.sockets / "door"), key, record.kernel)
        door = Door(self._context, self._info, Wire(key, os.urandom(8).hex(), "zmqkernel"))
        self._doors = Doors(self._context, self._poller, door)
        publish_connection_file(session, self._info)
        recall = Recall()
        self._journal = Journal(session.directory, recall.see, first_record=self._note_state)
        self._only_reads = not kernel.wanted and not recall.pending and not remains(session.directory)
        record.begin_epoch(self._journal.last, self._only_reads)
        epochs = Epochs(record.epoch, {int(epoch): end for epoch, end in record.epoch_ends.items()})
        recall.fill(lambda seq: read_one(self._journal, seq))
        self._relay = Relay(self._doors, self._journal, epochs, recall)
        self._relay.cap = int(record.output_cap) or OUTPUT_CAP
        self._journal.size_limit = int(record.journal_size) or self._journal.size_limit
        self._journal.age_limit = record.journal_age * 86400.0 or self._journal.age_limit
        self._cursor = Cursor(self._journal, self._relay.epochs, self._send_page, time.monotonic)
        self._requests = Requests(self._relay, self._cursor, self)
        self._poller.register(self._journal.wake, zmq.POLLIN)
        self._terminated = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poller.register(self._terminated, zmq.POLLIN)
        self._stop = self._unclean = False
        self._quiet_since = time.monotonic()
        self._regular_due = time.monotonic() + 1.0  # nothing of it is for a client that waits for the door
        self._give_back: Callable[[], None] | None = None
        self._trimmed = 0
        self._trouble = ""
        self._forwards: deque[tuple[int, str, Message]] = deque()
        self._started, self._started_monotonic = time.time(), time.monotonic()
        self._open(recall)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until shut down."""
        signal.signal(signal.SIGTERM, lambda *_: os.eventfd_write(self._terminated, 1))
        more = False
        while not self._stop:
            ready = {source for source, _ in self._poller.poll(self._patience(more))}
            more = self._turn(ready)
        self._leave()

    def _patience(self, more: bool) -> int:
        """How long to sleep, in ms."""
        # Where the kernel is not read, it does not matter how much it has to say.
        if more or not (self._deaf or self._kernel.ready_to_sleep()):
            return 0
        wait = min(
            self._regular_due - time.monotonic(), self._kernel.deadline(self._relay.is_busy), self._doors.patience
        )
        if self._journal.has_staged:
            wait = min(wait, 0.05)  # the disk refuses
        return max(0, math.ceil(wait * 1000))

    @property
    def _deaf(self) -> bool:
        """The kernel has to wait: for a plain subscriber that does not read, or for the disk."""
        return self._doors.stalled or self._journal.staged_bytes > STAGED

    def _turn(self, ready: set[Any]) -> bool:
        for served in list(self._doors.served):
            if served.pidfd in ready or served.given_up:  # what its manager was answered has left with the last turn
                self._let_go(served)
        for door in list(self._doors.all):
            self._listen(door, ready)
        more = False
        if self._deaf:
            time.sleep(0.002)  # what the kernel has to say stays readable meanwhile: the poller would not wait
        else:
            more = self._kernel.receive(self._relay, ready)
        self._kernel.tick(ready)
        if self._kernel.pid != self._record.kernel_pid:
            self._save()
        if self._relay.state == "dead":
            self._requests.answer_waiting()
        if self._terminated in ready:
            self._terminate()
        committed = self._commit()
        more |= self._cursor.pump()
        self._say_lost()
        if time.monotonic() >= self._regular_due:
            self._regular()
        return more and committed

    def _listen(self, door: Door, ready: set[Any]) -> None:
        sockets = door.sockets
        if sockets["iopub"] in ready:
            door.subscriptions()
        if sockets["hb"] in ready:
            door.echo()
        for channel in REQUESTS:
            if sockets[channel] in ready:
                for message in door.messages(channel):
                    self._requests.handle(door, channel, message)

    def _commit(self) -> bool:
        """Write the turn's records, then send what they allow. False: the disk refuses, and what needs it waits."""
        written = self._journal.commit()
        if self._journal.trouble != self._trouble:
            self._say_trouble()
        if written:
            self._kernel.confirm()
        while self._forwards and self._forwards[0][0] <= self._journal.last:
            _, channel, message = self._forwards.popleft()
            self._kernel.send(channel, message)
        self._doors.flush(self._journal.last)
        return written

    def _say_trouble(self) -> None:
        """At once, and not by the journal, which is what has the trouble."""
        self._trouble = self._cursor.trouble = self._journal.trouble
        log(f"journal: {self._trouble or 'all is well again'}")
        self._cursor.heartbeat(after=0.0)
        if not self._trouble:
            self._relay.event("trouble", {"text": ""})

    def _regular(self) -> None:
        """Every few seconds."""
        if self._give_back is None:
            self._give_back = frugal()
        if self._journal.last - self._trimmed > BURST:
            self._trimmed = self._journal.last
            self._give_back()
        self._regular_due = time.monotonic() + REGULAR
        self._cursor.heartbeat()
        self._kernel.check()
        guard(self._session, self._doors, self._info)
        # By the clock of the start: one that is set a year ahead must not cost the journal.
        now = self._started + time.monotonic() - self._started_monotonic
        self._journal.prune(min(self._relay.needed(), self._cursor.needed()), now)
        if not self._lock.is_in_place():
            self._lock_is_gone()
        if self._cursor.followers or self._kernel.wanted:
            self._quiet_since = time.monotonic()
        elif time.monotonic() - self._quiet_since > NO_KERNEL_IDLE:
            self._stop = True

    def _lock_is_gone(self) -> None:
        """Somebody has removed the state directory, or the lock in it."""
        if self._session.lock_file.exists():
            log(
                "another supervisor has this session: the lock was removed and made anew; this one leaves it everything"
            )
            os._exit(1)
        self._cursor.trouble = LOCK_GONE
        log(LOCK_GONE)

    def _send_page(self, follower: Any, page: Any, frames: list[bytes]) -> bool:
        message = self._doors.wire.message(
            "journal_page", page, parent=follower.request, idents=[follower.ident], buffers=[b"".join(frames)]
        )
        return self._doors.main.page(message)

    # --- beginning and end -------------------------------------------------------------------------------------------

    def _open(self, recall: Recall) -> None:
        record = self._record
        if self._kernel.taken_over:
            record.adopted += 1
            record.unclean = False  # nothing is lost: the kernel kept what it said
        content = {"epoch": record.epoch, "unclean": record.unclean, "name": record.name, "path": record.project}
        if not self._only_reads:  # looking at a session leaves no trace in it
            self._relay.event("open", content)
        for damage in self._journal.damage:
            # A supervisor that is killed while it writes leaves one as well: that was shown to nobody, and is written again.
            if damage.torn and record.rebooted:
                self._relay.event("gap", {"reason": "damage", "bytes": damage.end - damage.start})
        self._say_lost()
        if record.kernel == OWN and not record.python:
            self._requests.kernel_info(kernel_info())
        self._kernel.attach(self._context, self._poller, self._relay, recall, self._requests.kernel_info)
        if not self._kernel.wanted:
            self._relay.state = "dead"
        self._record.supervisor_pid = os.getpid()
        self._save()

    def _note_state(self) -> None:
        """A segment of the journal begins."""
        self._relay.note_state()

    def _say_lost(self) -> None:
        """Records that cannot be read any more."""
        for lost in self._journal.take_lost():
            self._relay.event("gap", {"reason": "damage", "from": lost.first, "to": lost.last})

    def _save(self, closed: bool = False) -> None:
        if self._only_reads and not self._kernel.wanted:
            return
        self._record.kernel_pid = self._kernel.pid
        self._record.wanted = self._kernel.wanted
        self._record.closed = closed or (self._record.closed and not self._kernel.wanted)
        if closed:
            self._record.unclean = False
        self._record.seq = self._journal.last
        try:
            self._record.save(self._session)
        except OSError as error:
            # For those who look while no supervisor runs; what decides is the journal, the lock and the link directory.
            log(f"session.json cannot be written: {error}")

    def _terminate(self) -> None:
        """SIGTERM: the machine goes down, or somebody ends us by hand. The session ends in order, and was not shut down."""
        os.eventfd_read(self._terminated)
        self._relay.event("terminated", {"reason": "the supervisor was told to end (SIGTERM)"})
        self._kernel.shut_down(False, self._stop_unclean)

    def _stop_unclean(self) -> None:
        self._stop = self._unclean = True

    def _leave(self) -> None:
        self._lock.note(ready=False)
        if self._kernel.wanted and not self._unclean:
            self._relay.event("close", {})
        self._commit()
        self._cursor.pump()
        self._journal.close()
        self._save(closed=self._record.closed or (self._kernel.wanted and not self._unclean))
        for path in (self._session.connection_file, self._session.jupyter_file):
            path.unlink(missing_ok=True)
        self._doors.close_all()
        self._context.term()
        remove_tree(self._session.sockets)
        remove_tree(self._session.link_dir)
        if self._record.ephemeral and self._record.closed:
            remove_tree(self._session.directory)

    # --- Lifeline: what requests ask of the kernel's owner -----------------------------------------------------------

    def forward(self, channel: str, message: Message, after: int = 0) -> None:
        """Pass a client's message to the kernel when the journal has record ``after``: what a kernel is asked must not be
        unknown to the next supervisor."""
        if after:
            self._forwards.append((after, channel, message))
        else:
            self._kernel.send(channel, message)

    def interrupt(self, door: Door) -> None:
        """Interrupt the running cell, and nothing when none runs. A Jupyter kernel manager interrupts before it shuts down: where
        the session is not its own, that is only for a cell that came in at its door."""
        served = self._doors.served_at(door)
        running = self._relay.pending.get(self._relay.running)
        if served is not None and served.owner != self._record.owner and (running is None or running.door is not door):
            return
        if self._relay.state == "busy":
            self._kernel.interrupt()

    def shut_down(self, restart: bool, answer: Callable[[], None]) -> None:
        """End the kernel, politely first; then start another or end the session. ``answer`` is called then."""

        def ended() -> None:
            if not restart:
                # Before the answer: whoever wants the session now must wait until we are gone, not knock at this door.
                self._lock.note(ready=False)
            answer()
            if not restart:
                self._stop = True

        self._kernel.shut_down(restart, ended)

    def describe(self) -> SessionInfoReply:
        """session_info_reply."""
        relay, record = self._relay, self._record
        executions = relay.unanswered()
        return SessionInfoReply(
            name=record.name,
            path=record.project,
            state=relay.state,
            kernel_pid=self._kernel.pid,
            supervisor_pid=os.getpid(),
            connection_file=str(self._session.connection_file),
            epoch=record.epoch,
            seq=self._journal.last,
            unclean=record.unclean,
            kernel_name=record.kernel,
            generation=self._kernel.generation,
            running=relay.running,
            queued=[key for key in executions if key != relay.running],
            clients=self._cursor.senders(),
            input=relay.input,
            started=self._started,
            held=list(relay.held),
            trouble=self._trouble,
            adopted=record.adopted,
            served=[served.file for served in self._doors.served],
        )

    # --- served doors ------------------------------------------------------------------------------------------------

    def serve(self, wanted: ServeRequest) -> None:
        """Open a door for a Jupyter kernel manager."""
        self._doors.serve(wanted)
        if wanted.created and not self._record.owner:
            self._record.owner, self._record.ephemeral = wanted.owner, wanted.ephemeral
            self._save()

    def asked_to_end(self, door: Door, restart: bool, answer: Callable[[], None]) -> None:
        """A shutdown_request at ``door``. A Jupyter kernel manager ends only what is its own; else it only lets go."""
        served = self._doors.served_at(door)

        def done() -> None:
            answer()
            if served is not None:
                served.given_up = True

        if served is None or served.owner == self._record.owner or (restart and not self._others()):
            self.shut_down(restart, done)
            return
        if restart:
            self._relay.tell(door, "Not restarted: others are attached to this session. zmqkernel restart does it.\n")
        done()

    def _others(self) -> bool:
        """Is anybody attached beside one Jupyter kernel manager?"""
        return len(self._doors.served) > 1 or bool(self._cursor.senders())

    def _let_go(self, served: Served) -> None:
        """A host process has ended, or its manager was answered: close its door, end what was only for it."""
        self._doors.close(served)
        if served.ephemeral and not served.given_up and not self._doors.served and not self._cursor.senders():
            self.shut_down(False, _nothing)


def _nothing() -> None:
    """Nobody waits for the end."""
