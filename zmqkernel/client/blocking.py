"""The blocking face of the client. Not thread-safe: one thread, one client."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from ..paths import Session
from ..protocol.connection import ConnectionInfo
from ..protocol.errors import ReplyTimeout, Unreachable
from ..protocol.journal import Record
from ..protocol.messages import (
    AnswerRequest,
    CompleteReply,
    CompleteRequest,
    Filter,
    HistoryReply,
    HistoryRequest,
    InspectReply,
    InspectRequest,
    InterruptRequest,
    IsCompleteReply,
    IsCompleteRequest,
    KernelInfoReply,
    KernelInfoRequest,
    OkReply,
    Origin,
    Position,
    ResumeReply,
    ResumeRequest,
    ServeRequest,
    SessionInfoReply,
    SessionInfoRequest,
    ShutdownReply,
    ShutdownRequest,
)
from ..protocol.mirror import Mirror, MirrorRequest
from .blocking_executions import Execution, Following
from .calls import (
    REPLY_SECONDS,
    SLOW_SECONDS,
    check_features,
    execute_request,
    new_wire,
    outcome,
    own_name,
    shut_down,
    take_page,
)
from .conversation import Conversation
from .discovery import Target, locate
from .door import Door
from .follow import Published
from .revival import Reviver
from .waiting import Reader, Run

T = TypeVar("T", bound=msgspec.Struct)


class Client:
    """A connection to a session. Use :meth:`connect`, and ``with`` or :meth:`close`."""

    def __init__(
        self,
        info: ConnectionInfo,
        *,
        sender: str = "",
        timeout: float = REPLY_SECONDS,
        session: Session | None = None,
        revive_at_once: bool = False,
    ) -> None:
        """Connect to the endpoints of a connection file. ``timeout`` in seconds is for every reply.

        ``session``: whose endpoints these are. Then its supervisor is started again when it dies; with ``revive_at_once``
        also when there is none to begin with.
        """
        wire = new_wire(info)
        self._info = info
        self._session = session
        self.timeout = timeout
        self.sender = sender or own_name()
        self._door = Door(info, wire.session.encode())
        self._conversation = Conversation(wire, self.sender, time.monotonic)
        self._reviver = Reviver(session, info, time.monotonic, at_once=revive_at_once)
        self._was_connected = False
        self._connected = False
        self._closed = False

    @classmethod
    def connect(
        cls, target: Target = None, *, start: bool = True, sender: str = "", timeout: float = REPLY_SECONDS
    ) -> Self:
        """A client of the session ``target``: a name, a connection file, a Session; None is that of the working directory.

        ``start``: start the session when it does not run, and a kernel when it has none. ``sender`` is who others see when
        we run something.
        Raises NoSuchSession, Unreachable, or RemoteProtocolError for a kernel without a supervisor.
        """
        info, session = locate(target, start=start)
        client = cls(info, sender=sender, timeout=timeout, session=session, revive_at_once=start)
        try:
            client.check()
            if start and client.info().state == "dead":
                client.restart()  # its kernel died for good, or somebody only opened the journal
        except BaseException:
            client.close()
            raise
        return client

    @property
    def identity(self) -> str:
        """The ``session`` in the header of everything that this client sends."""
        return self._conversation.session

    def another(self) -> Self:
        """A second client of the same session, for another thread."""
        return type(self)(self._info, sender=self.sender, timeout=self.timeout, session=self._session)

    def check(self) -> None:
        """Raise unless a session of ours answers within the timeout."""
        deadline = time.monotonic() + self.timeout
        while not self._until(lambda: self._was_connected or self.ended, deadline):
            if self._reviver.under_way:
                deadline = time.monotonic() + self.timeout
                continue
            raise Unreachable(
                f"nobody answers at {self._door.endpoint}", hint="Is the session running? zmqkernel list shows it."
            )
        check_features(self.kernel_info(), self._door.endpoint)

    @property
    def connected(self) -> bool:
        """The connection is up now, as far as we know; it comes back by itself."""
        self._turn(0)
        return self._connected

    @property
    def reviving(self) -> bool:
        """The session's supervisor died, and is being started again; whatever waits goes on when it is there."""
        return self._reviver.under_way

    @property
    def ended(self) -> bool:
        """The session was shut down (and perhaps started again since): this client is of no more use."""
        return self._reviver.closed

    @property
    def trouble(self) -> str:
        """What keeps the session from going on (a full disk), in a sentence for people; empty when nothing does."""
        return self._conversation.trouble

    # --- code --------------------------------------------------------------------------------------------------------

    def execute(
        self,
        code: str,
        *,
        origin: Origin | None = None,
        silent: bool = False,
        store_history: bool | None = None,
        stop_on_error: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = True,
    ) -> Execution:
        """Submit code and return at once; iterate over the Execution for what it says.

        ``origin`` is where the code stands in a document; ``allow_stdin``: ``input()`` waits for an answer of any client.
        """
        content = execute_request(code, silent, store_history, stop_on_error, user_expressions, allow_stdin)
        run = self._conversation.submit(content, origin, self.timeout)
        self._turn(0)
        return Execution(self, run)

    def answer(self, request: str, value: str) -> None:
        """Answer an ``input_request`` (its msg_id), whoever was asked. An error when somebody else was faster."""
        self._ask(AnswerRequest(request, value), OkReply)

    def interrupt(self) -> None:
        """Interrupt the running cell."""
        self._ask(InterruptRequest(), OkReply)

    def restart(self) -> None:
        """Restart the kernel; the session, its journal and its clients stay."""
        self._ask(ShutdownRequest(restart=True), ShutdownReply, SLOW_SECONDS)

    def shutdown(self) -> None:
        """End kernel and supervisor; the journal stays."""
        self._ask(ShutdownRequest(restart=False), ShutdownReply, SLOW_SECONDS)

    def resume(self, executions: list[str] | None = None, *, drop: bool = False) -> ResumeReply:
        """Run the cells that were kept when a kernel died (all, or those with these msg_ids), each as a new execution;
        ``drop``: forget them instead."""
        return self._ask(ResumeRequest(drop, executions or []), ResumeReply)

    def serve(self, request: ServeRequest) -> None:
        """Have a Jupyter kernel manager's endpoints served as a second door; :mod:`zmqkernel.hosted` asks for it."""
        self._ask(request, OkReply)

    # --- questions ---------------------------------------------------------------------------------------------------

    def complete(self, code: str, cursor_pos: int | None = None) -> CompleteReply:
        """Completions at ``cursor_pos`` (code points; None: the end)."""
        return self._ask(CompleteRequest(code, len(code) if cursor_pos is None else cursor_pos), CompleteReply)

    def inspect(self, code: str, cursor_pos: int | None = None, detail_level: int = 0) -> InspectReply:
        """What is known about the name at ``cursor_pos`` (code points; None: the end)."""
        at = len(code) if cursor_pos is None else cursor_pos
        return self._ask(InspectRequest(code, at, detail_level), InspectReply)

    def is_complete(self, code: str) -> IsCompleteReply:
        """Is this a whole statement, or does more have to come?"""
        return self._ask(IsCompleteRequest(code), IsCompleteReply)

    def history(self, request: HistoryRequest | None = None) -> HistoryReply:
        """Inputs of this and of earlier sessions; without a request the last 100."""
        return self._ask(request or HistoryRequest(hist_access_type="tail", n=100), HistoryReply)

    def kernel_info(self) -> KernelInfoReply:
        """The kernel's language and features."""
        return self._ask(KernelInfoRequest(), KernelInfoReply)

    def info(self) -> SessionInfoReply:
        """Who, where and how the session is; answered whatever the kernel does."""
        reply = self._ask(SessionInfoRequest(), SessionInfoReply)
        self._conversation.trouble = reply.trouble
        return reply

    def mirror(self, known: Mirror | None = None, *, prefix: str = "") -> Mirror:
        """What the session knows of the kernel's names, answered at once whatever the kernel does, also when it is dead.

        ``known`` is brought up to date when it is given; ``prefix``: only names that begin so.
        """
        mirror, done = Mirror() if known is None else known, False
        while not done:
            request = self._conversation.ask(MirrorRequest(mirror.version, prefix), self.timeout)
            self._until(lambda request=request: request.done)
            done = take_page(mirror, request)
        return mirror

    # --- the journal -------------------------------------------------------------------------------------------------

    def follow(
        self,
        position: Position | None = None,
        *,
        document: str = "",
        execution: str = "",
        outputs_only: bool = False,
        until_end: bool = False,
    ) -> Following:
        """Read the journal after ``position`` (None: from its beginning), then live unless ``until_end``.

        Goes on by itself, without gap or duplicate, when the supervisor goes away and comes back. After a power failure
        a record with msg_type :data:`REWIND` says that everything behind its ``seq`` is gone. Numbers may be missing after
        a ``gap`` event: what the journal does not keep. It ends when the session is shut down.
        """
        wanted = Filter(document=document, execution=execution, outputs_only=outputs_only)
        reader = self._conversation.follow(position or Position(), wanted, until_end=until_end)
        self._turn(0)
        return Following(self, reader)

    # --- inside ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave; the session goes on."""
        if not self._closed:
            self._flush()
            self._closed = True
            self._conversation.close(Unreachable("this client is closed"))
            self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, content: msgspec.Struct, kind: type[T], seconds: float | None = None) -> T:
        request = self._conversation.ask(content, self.timeout if seconds is None else seconds)
        self._until(lambda: request.done)
        return outcome(request, kind)

    def _until(self, ready: Callable[[], bool], deadline: float = float("inf")) -> bool:
        """Work until ``ready()``; False when the deadline passed before."""
        while True:
            due = self._conversation.expire()  # this may answer what we wait for
            if ready():
                self._flush()
                return True
            now = time.monotonic()
            if now >= deadline:
                return False
            self._turn(min(deadline, due) - now)

    def _turn(self, seconds: float) -> None:
        """Do what there is to do, waiting for something at most ``seconds``."""
        if self._closed:
            raise Unreachable("this client is closed")
        self._flush()
        seconds = min(seconds, self._revive() - time.monotonic())
        self._door.wait(max(0.0, min(seconds, 60.0)), full=bool(self._conversation.outgoing))
        while (change := self._door.change()) is not None:
            self._connected = change
            self._reviver.connection(change)
            if change and self._was_connected:
                self._conversation.reconnected()
            self._was_connected = self._was_connected or change
        frames = self._door.receive()
        while frames is not None:
            self._conversation.receive(frames)
            frames = self._door.receive()
        self._flush()

    def _revive(self) -> float:
        """See to it that the session has a supervisor; returns when to look again."""
        due = self._reviver.turn()
        self._conversation.hold(self._reviver.under_way)
        if self._reviver.closed and self._conversation.end(shut_down()):
            return 0.0  # whoever waits has to look
        return due

    def _flush(self) -> None:
        outgoing = self._conversation.outgoing
        while outgoing and self._door.send(outgoing[0]):
            outgoing.popleft()

    def take_output(self, run: Run, deadline: float) -> Published | None:
        """For Execution: the next output, None at the end of the execution. Raises ReplyTimeout at the deadline."""
        while True:
            output = self._conversation.take(run)
            if output is not None or run.done:
                return output
            if not self._until(lambda: run.done or bool(run.outputs), deadline):
                raise ReplyTimeout("the execution still runs", hint="zmqkernel interrupt ends it.")

    def take_record(self, reader: Reader, deadline: float) -> Record | None:
        """For Following: the next record, None at the end or at the deadline."""
        self._until(lambda: reader.ready, deadline)
        record = self._conversation.take_record(reader)
        if record is None and reader.error:
            raise reader.error
        return record

    def drop(self, what: Run | Reader) -> None:
        """For Execution and Following: nobody reads on."""
        if isinstance(what, Run):
            self._conversation.forget(what)
        else:
            self._conversation.end_follow(what)
        self._flush()
