"""The supervisor's loop: one thread, one poller. A turn reads what is there, commits the journal, then sends."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import zmq

from ..paths import Session, remove_tree, write_private
from ..protocol.connection import ConnectionInfo
from ..protocol.errors import RemoteProtocolError
from ..protocol.identity import kernel_info
from ..protocol.messages import SessionInfoReply
from ..protocol.wire import Message, Wire
from .begin import answer
from .cursor import Cursor, Epochs
from .door import REQUESTS, Door
from .journal import Journal
from .lifeline import Kernel
from .lock import Lock
from .process import OWN
from .record import SessionRecord
from .relay import Relay
from .requests import Requests

NO_KERNEL_IDLE = 10.0
"""A supervisor without a kernel leaves after so many seconds without a follower."""


def serve(session: Session, record: SessionRecord, kernel: Kernel, lock: Lock, writer: int) -> None:
    """Open the door, tell whoever called, and run until shut down."""
    try:
        supervisor = Supervisor(session, record, kernel, lock)
    except BaseException:
        kernel.abandon()
        raise
    lock.note(ready=True)
    answer(writer, session)
    supervisor.run()


class Supervisor:
    """Wires the rooms together and runs the loop."""

    def __init__(self, session: Session, record: SessionRecord, kernel: Kernel, lock: Lock) -> None:
        self._lock = lock
        self._session = session
        self._record = record
        self._kernel = kernel
        self._context = zmq.Context(io_threads=1)
        key = _key_of(session) or os.urandom(32).hex()
        info = ConnectionInfo.ipc(str(session.sockets / "door"), key, record.kernel)
        self._door = Door(self._context, info, Wire(key, os.urandom(8).hex(), "zmqkernel"))
        _publish_connection_file(session, info)
        # Opening the journal tells the relay what it says, so the relay comes first and gets its journal afterwards.
        epochs = Epochs(record.epoch, {int(epoch): end for epoch, end in record.epoch_ends.items()})
        self._relay = Relay(self._door, None, epochs)  # pyright: ignore[reportArgumentType]
        self._journal = Journal(session.directory, self._relay.recall)
        self._relay.journal = self._journal
        self._cursor = Cursor(self._journal, self._relay.epochs, self._send_page, time.monotonic)
        self._requests = Requests(self._relay, self._cursor, self)
        self._poller = zmq.Poller()
        for socket in self._door.sockets.values():
            self._poller.register(socket, zmq.POLLIN)
        self._stop = False
        self._quiet_since = time.monotonic()
        self._heartbeat_due = 0.0
        self._started = time.time()
        self._open()

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until shut down."""
        more = False
        while not self._stop:
            ready = {source for source, _ in self._poller.poll(self._patience(more))}
            more = self._turn(ready)
        self._leave()

    def _patience(self, more: bool) -> int:
        """How long to sleep, in ms."""
        stalled = self._door.stalled  # then the kernel is not read, however much it has to say
        if more or not (stalled or self._kernel.ready_to_sleep()):
            return 0
        wait = min(self._heartbeat_due - time.monotonic(), self._kernel.deadline(self._relay.is_busy))
        if self._door.waits:
            wait = min(wait, 0.002)  # ZeroMQ does not say when a subscriber has made room
        if self._journal.has_staged:
            wait = min(wait, 0.05)  # the disk refuses
        return max(0, math.ceil(wait * 1000))

    def _turn(self, ready: set[Any]) -> bool:
        door, sockets = self._door, self._door.sockets
        if sockets["iopub"] in ready:
            door.subscriptions()
        if sockets["hb"] in ready:
            door.echo()
        for channel in REQUESTS:
            if sockets[channel] in ready:
                for message in door.messages(channel):
                    self._requests.handle(channel, message)
        more = False
        if door.stalled:
            time.sleep(0.002)  # what the kernel has to say stays readable meanwhile: the poller would not wait
        else:
            more = self._kernel.receive(self._relay, ready)
        self._kernel.tick(ready)
        if self._kernel.pid != self._record.kernel_pid:
            self._save()
        if self._relay.state == "dead":
            self._requests.answer_waiting()
        committed = self._commit()
        more |= self._cursor.pump()
        if time.monotonic() >= self._heartbeat_due:
            self._regular()
        return more and committed

    def _commit(self) -> bool:
        """Write the turn's records, then send what they allow. False: the disk refuses, and everything waits."""
        try:
            self._journal.commit()
        except OSError as error:
            os.write(2, f"journal: cannot write, everything waits: {error}\n".encode())
            return False
        self._kernel.confirm()
        self._door.flush()
        return True

    def _regular(self) -> None:
        self._heartbeat_due = time.monotonic() + 5.0
        self._cursor.heartbeat()
        if self._cursor.followers or self._kernel.wanted:
            self._quiet_since = time.monotonic()
        elif time.monotonic() - self._quiet_since > NO_KERNEL_IDLE:
            self._stop = True

    def _send_page(self, follower: Any, page: Any, frames: list[bytes]) -> bool:
        message = self._door.wire.message(
            "journal_page", page, parent=follower.request, idents=[follower.ident], buffers=[b"".join(frames)]
        )
        return self._door.page(message)

    # --- beginning and end -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        record = self._record
        content = {"epoch": record.epoch, "unclean": record.unclean, "name": record.name, "path": record.project}
        self._relay.event("open", content)
        for damage in self._journal.damage:
            self._relay.event("gap", {"reason": "the journal was damaged", "bytes": damage.end - damage.start})
        if record.kernel == OWN and not record.python:
            self._requests.kernel_info(kernel_info())
        self._relay.answer_orphans()
        self._kernel.attach(self._context, self._poller, self._relay, self._requests.kernel_info)
        if not self._kernel.wanted:
            self._relay.state = "dead"
        self._record.supervisor_pid = os.getpid()
        self._save()

    def _save(self) -> None:
        self._record.kernel_pid = self._kernel.pid
        self._record.seq = self._journal.last
        self._record.save(self._session)

    def _leave(self) -> None:
        self._lock.note(ready=False)
        if self._kernel.wanted:
            self._relay.event("close", {})
            self._record.closed = True
        self._commit()
        self._cursor.pump()
        self._journal.close()
        self._save()
        for path in (self._session.connection_file, self._session.jupyter_file):
            path.unlink(missing_ok=True)
        self._door.close()
        self._context.term()
        remove_tree(self._session.sockets)
        remove_tree(self._session.link_dir)

    # --- Lifeline: what requests ask of the kernel's owner -----------------------------------------------------------

    def forward(self, channel: str, message: Message) -> None:
        """Pass a client's message to the kernel."""
        self._kernel.send(channel, message)

    def interrupt(self) -> None:
        """Interrupt the running cell, and nothing when none runs."""
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
        executions = [key for key, pending in relay.pending.items() if pending.msg_type == "execute_request"]
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
        )


def _key_of(session: Session) -> str:
    """The key of a supervisor that died: clients that are still there reconnect with it. A shutdown removes its file."""
    try:
        return ConnectionInfo.decode(session.connection_file.read_bytes()).key
    except (OSError, RemoteProtocolError):
        return ""  # there is none, or it was torn by a power failure: then nobody has the key either


def _publish_connection_file(session: Session, info: ConnectionInfo) -> None:
    text = info.encode()
    write_private(session.connection_file, text)
    try:
        session.jupyter_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(session.jupyter_file, text)
    except OSError as error:
        # Only `jupyter console --existing` without a path looks there: the session works without it.
        os.write(2, f"no connection file for Jupyter at {session.jupyter_file}: {error}\n".encode())
