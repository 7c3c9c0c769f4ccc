"""The asyncio face of the client. Everything happens on the loop that ran :meth:`AsyncClient.connect`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from ..paths import Session
from ..protocol.connection import ConnectionInfo
from ..protocol.errors import Unreachable
from ..protocol.journal import Record
from ..protocol.messages import (
    AnswerRequest,
    Filter,
    InterruptRequest,
    OkReply,
    Origin,
    Position,
    ResumeReply,
    ResumeRequest,
    SessionInfoReply,
    SessionInfoRequest,
    ShutdownReply,
    ShutdownRequest,
)
from .calls import REPLY_SECONDS, SLOW_SECONDS, check_features, execute_request, new_wire, outcome, own_name, shut_down
from .conversation import Conversation
from .discovery import Target, locate
from .door import Door
from .executions import AsyncExecution, AsyncFollowing
from .follow import Published
from .mirror import AsyncMirroring
from .questions import AsyncQuestions
from .revival import Reviver
from .waiting import Reader, Request, Run, Waited

T = TypeVar("T", bound=msgspec.Struct)

BATCH = 64
"""Messages taken in one go: a session that talks much must not stop the rest of the loop."""


class AsyncClient(AsyncQuestions, AsyncMirroring):
    """A connection to a session. Use :meth:`connect`, and ``async with`` or :meth:`close`."""

    def __init__(
        self,
        info: ConnectionInfo,
        *,
        sender: str = "",
        timeout: float = REPLY_SECONDS,
        session: Session | None = None,
        revive_at_once: bool = False,
    ) -> None:
        """Connect to the endpoints of a connection file, in a running loop. ``timeout`` in seconds is for every reply.

        ``session``: whose endpoints these are. Then its supervisor is started again when it dies; with ``revive_at_once``
        also when there is none to begin with.
        """
        super().__init__()
        wire = new_wire(info)
        self.timeout = timeout
        self.sender = sender or own_name()
        self.connected = False
        """The connection is up now, as far as we know; it comes back by itself."""
        self._loop = asyncio.get_running_loop()
        self._door = Door(info, wire.session.encode())
        self._conversation = Conversation(wire, self.sender, time.monotonic)
        self._conversation.mirror_changed = self._mirror_changed.set
        self._reviver = Reviver(session, info, time.monotonic, at_once=revive_at_once)
        self._was_connected = asyncio.Event()
        self.on_trouble: Callable[[str], None] | None = None
        """Called with :attr:`trouble` when it has changed."""
        self._told_trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._again: asyncio.Handle | None = None
        self._closed = False
        for descriptor in self._door.filenos:
            self._loop.add_reader(descriptor, self._turn)
        self._turn()

    @classmethod
    async def connect(
        cls,
        target: Target = None,
        *,
        start: bool = True,
        sender: str = "",
        timeout: float = REPLY_SECONDS,  # noqa: ASYNC109  the client keeps it for every reply
    ) -> Self:
        """A client of the session ``target``: a name, a connection file, a Session; None is that of the working directory.

        ``start``: start the session when it does not run, and a kernel when it has none. ``sender`` is who others see when
        we run something.
        Raises NoSuchSession, Unreachable, or RemoteProtocolError for a kernel without a supervisor.
        """
        info, session = await asyncio.to_thread(locate, target, start=start)
        client = cls(info, sender=sender, timeout=timeout, session=session, revive_at_once=start)
        try:
            await client.check()
            if start and (await client.info()).state == "dead":
                await client.restart()  # its kernel died for good, or somebody only opened the journal
        except BaseException:
            client.close()
            raise
        return client

    async def check(self) -> None:
        """Raise unless a session of ours answers within the timeout."""
        while not self._was_connected.is_set():
            try:
                await asyncio.wait_for(self._was_connected.wait(), self.timeout)
            except TimeoutError:
                if self._reviver.under_way:
                    continue
                if self.ended:
                    raise shut_down() from None
                raise Unreachable(
                    f"nobody answers at {self._door.endpoint}", hint="Is the session running? zmqkernel list shows it."
                ) from None
        check_features(await self.kernel_info(), self._door.endpoint)

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
    ) -> AsyncExecution:
        """Submit code and return at once; iterate over the AsyncExecution for what it says.

        ``origin`` is where the code stands in a document; ``allow_stdin``: ``input()`` waits for an answer of any client.
        """
        self._check_open()
        content = execute_request(code, silent, store_history, stop_on_error, user_expressions, allow_stdin)
        run = self._conversation.submit(content, origin, self.timeout)
        self._turn()
        return AsyncExecution(self, run)

    async def answer(self, request: str, value: str) -> None:
        """Answer an ``input_request`` (its msg_id), whoever was asked. An error when somebody else was faster."""
        await self._ask(AnswerRequest(request, value), OkReply)

    async def interrupt(self) -> None:
        """Interrupt the running cell."""
        await self._ask(InterruptRequest(), OkReply)

    async def restart(self) -> None:
        """Restart the kernel; the session, its journal and its clients stay."""
        await self._ask(ShutdownRequest(restart=True), ShutdownReply, SLOW_SECONDS)

    async def shutdown(self) -> None:
        """End kernel and supervisor; the journal stays."""
        await self._ask(ShutdownRequest(restart=False), ShutdownReply, SLOW_SECONDS)

    async def resume(self, executions: list[str] | None = None, *, drop: bool = False) -> ResumeReply:
        """Run the cells that were kept when a kernel died (all, or those with these msg_ids), each as a new execution;
        ``drop``: forget them instead."""
        return await self._ask(ResumeRequest(drop, executions or []), ResumeReply)

    # --- the session ---------------------------------------------------------------------------------------------------

    async def info(self) -> SessionInfoReply:
        """Who, where and how the session is; answered whatever the kernel does."""
        reply = await self._ask(SessionInfoRequest(), SessionInfoReply)
        self._conversation.trouble = reply.trouble
        self._tell_trouble()
        return reply

    # --- the journal -------------------------------------------------------------------------------------------------

    def follow(
        self,
        position: Position | None = None,
        *,
        document: str = "",
        execution: str = "",
        outputs_only: bool = False,
        until_end: bool = False,
    ) -> AsyncFollowing:
        """Read the journal after ``position`` (None: from its beginning), then live unless ``until_end``.

        Goes on by itself, without gap or duplicate, when the supervisor goes away and comes back. After a power failure
        a record with msg_type :data:`REWIND` says that everything behind its ``seq`` is gone. Numbers may be missing after
        a ``gap`` event: what the journal does not keep. It ends when the session is shut down.
        """
        self._check_open()
        wanted = Filter(document=document, execution=execution, outputs_only=outputs_only)
        reader = self._conversation.follow(position or Position(), wanted, until_end=until_end)
        self._turn()
        return AsyncFollowing(self, reader)

    # --- inside ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave; the session goes on. Whoever waits gets Unreachable."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        self._end_watch()
        for descriptor in self._door.filenos:
            self._loop.remove_reader(descriptor)
        for handle in (self._timer, self._again):
            if handle:
                handle.cancel()
        self._conversation.close(Unreachable("this client is closed"))
        self._door.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Unreachable("this client is closed")

    async def _ask(self, content: msgspec.Struct, kind: type[T], seconds: float | None = None) -> T:
        return outcome(await self._request(content, seconds), kind)

    async def _request(self, content: msgspec.Struct, seconds: float | None = None) -> Request:
        self._check_open()
        request = self._conversation.ask(content, self.timeout if seconds is None else seconds)
        self._turn()
        await self._until(request, lambda: request.done)
        return request

    async def _until(self, what: Waited, ready: Callable[[], bool]) -> None:
        """Wait until ``ready()``."""
        changed = asyncio.Event()
        what.wake.append(changed.set)
        try:
            while not ready():
                changed.clear()
                await changed.wait()
        finally:
            what.wake.remove(changed.set)

    def _turn(self) -> None:
        """Do what there is to do. The descriptors are edge-triggered, so this ends only when nothing is left to receive,
        or calls itself again."""
        if self._closed:
            return
        while (change := self._door.change()) is not None:
            self.connected = change
            self._reviver.connection(change)
            if change and self._was_connected.is_set():
                self._conversation.reconnected()
            elif change:
                self._was_connected.set()
        for _ in range(BATCH):
            self._flush()  # before every receive: to send may take the news of what has arrived
            frames = self._door.receive()
            if frames is None:
                break
            self._conversation.receive(frames)
        else:
            if self._again is None or self._again.cancelled():
                self._again = self._loop.call_soon(self._turn_again)
        self._tell_trouble()
        self._schedule()

    def _turn_again(self) -> None:
        self._again = None
        self._turn()

    def _schedule(self) -> None:
        """Be called when the next deadline has come."""
        again = self._reviver.turn()
        self._conversation.hold(self._reviver.under_way)
        if self._reviver.closed:
            self._conversation.end(shut_down())
        due = min(again, self._conversation.expire())
        outgoing = bool(self._conversation.outgoing)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if outgoing and self._again is None:
            self._again = self._loop.call_soon(self._turn_again)
        if due != float("inf"):
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._turn)

    def _tell_trouble(self) -> None:
        if self.trouble != self._told_trouble:
            self._told_trouble = self.trouble
            if self.on_trouble:
                self.on_trouble(self.trouble)

    def _flush(self) -> None:
        outgoing = self._conversation.outgoing
        while outgoing and self._door.send(outgoing[0]):
            outgoing.popleft()

    async def take_output(self, run: Run) -> Published | None:
        """For AsyncExecution: the next output, None at the end of the execution."""
        while True:
            output = self._conversation.take(run)
            if self._conversation.outgoing:
                self._turn()
            if output is not None or run.done:
                return output
            await self._until(run, lambda: run.done or bool(run.outputs))

    async def take_record(self, reader: Reader) -> Record | None:
        """For AsyncFollowing: the next record, None at the end."""
        await self._until(reader, lambda: reader.ready)
        record = self._conversation.take_record(reader)
        if self._conversation.outgoing:
            self._turn()
        if record is None and reader.error:
            raise reader.error
        return record

    async def when_submitted(self, run: Run) -> Position:
        """For AsyncExecution: wait until the session has the request."""
        await self._until(run, lambda: run.submitted is not None or run.done)
        if run.submitted is None:
            assert run.error is not None
            raise run.error
        return run.submitted

    def drop(self, what: Run | Reader) -> None:
        """For AsyncExecution and AsyncFollowing: nobody reads on."""
        if isinstance(what, Run):
            self._conversation.forget(what)
        else:
            self._conversation.end_follow(what)
        self._turn()
