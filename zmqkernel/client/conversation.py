"""A client's side of the door as a state machine without I/O: frames in, frames out, no socket; the clock is handed in.

Rules:

1. A request is answered once: with its reply, with an error, or at its deadline.
2. An execute_request is sent again with the same msg_id until ``submitted`` comes; the session executes it at most once.
   After a reconnect every unanswered request is sent again, except those that must not happen twice.
3. All executions share one follow of the journal. It begins just before the first submit, so nothing can be missed; it is
   moved ahead when this client has been idle and others have not.
4. What the peer sends and breaks the rules is counted in ``refused`` and told in the hint of a timeout; it ends nothing.
5. While the session's supervisor is being started again no deadline passes; when the session was shut down, nothing waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from ..protocol.errors import KernelDied, RemoteProtocolError, ReplyTimeout, Unreachable, ZmqKernelError
from ..protocol.journal import Record
from ..protocol.messages import (
    CONTENT,
    ExecuteRequest,
    Filter,
    FollowCredit,
    FollowReply,
    Origin,
    Ours,
    Position,
    Submitted,
    UnfollowRequest,
)
from ..protocol.wire import Buffer, Message, Wire, as_object
from .calls import error_of
from .follow import CREDIT, Follow, Published
from .waiting import Reader, Request, Run

ONCE = frozenset({"interrupt_request", "shutdown_request"})
"""Requests that are not sent again after a reconnect: the first one may have been obeyed."""

SKIP = 1000
"""An idle client that is this many records behind moves its follow to its next submit instead of reading them."""

RESEND_SECONDS = 2.0
"""How long to wait for ``submitted`` before the execute_request is sent again."""

GRACE = 2.0
"""Seconds that a request has at least when the supervisor has been started again."""

SILENCE = 15.0
"""Seconds without a page (a session sends an empty one every 5 s) after which the follow is asked for again."""

KEPT = "How much is kept: the settings journal_size and journal_age."

_TYPES = {content: msg_type for msg_type, content in CONTENT.items()}


class Conversation:
    """Everything between one client and one session. ``outgoing`` holds frames to send, oldest first."""

    def __init__(self, wire: Wire, sender: str, clock: Callable[[], float]) -> None:
        self.sender = sender
        self._clock = clock
        self.outgoing: deque[list[Buffer]] = deque()
        self.refused, self.last_refusal = 0, ""
        self.trouble = ""
        """What keeps the session from going on (a full disk), in a sentence; empty when nothing does."""
        self.mirror_changed: Callable[[], None] = lambda: None
        self._held_since: float | None = None
        self._over: ZmqKernelError | None = None
        self._wire = wire
        self._requests: dict[str, Request] = {}
        self._runs: dict[str, Run] = {}
        self._follows: dict[str, tuple[Follow, Reader | None]] = {}
        self._main: Follow | None = None

    @property
    def session(self) -> str:
        """The ``session`` in our headers."""
        return self._wire.session

    # --- what a face asks for ----------------------------------------------------------------------------------------

    def ask(self, content: msgspec.Struct, seconds: float, *, origin: Origin | None = None) -> Request:
        """Send a request whose message type is that of ``content``; fails with ReplyTimeout after ``seconds``."""
        message = self._message(content, origin)
        request = Request(message, self._clock() + seconds)
        self._requests[message.msg_id] = request
        if self._over:
            self._fail(request, self._over)
        else:
            self._send(message)
        return request

    def submit(self, content: ExecuteRequest, origin: Origin | None, seconds: float) -> Run:
        """Submit code; ``seconds`` is for the acknowledgement, the code may run as long as it likes."""
        request = self.ask(content, seconds, origin=origin)
        request.resend_at = self._clock() + RESEND_SECONDS
        run = request.execution = Run(request, self.sender)
        run.error = self._over
        if not self._over:
            self._runs[run.msg_id] = run
        return run

    def follow(self, position: Position, filter: Filter, *, until_end: bool = False) -> Reader:
        """Read the journal after ``position``."""
        reader = Reader(position, filter, until_end)
        if self._over:
            reader.over = True
        else:
            self._begin(reader.follow, reader)
        return reader

    def end_follow(self, reader: Reader) -> None:
        """Read no further."""
        follow = reader.follow
        if self._follows.pop(follow.request, None) and not follow.finished:
            self._send(self._message(UnfollowRequest(follow.request)))

    def take(self, run: Run) -> Published | None:
        """The next output of an execution, None when none is there yet."""
        if not run.outputs:
            run.hungry = not run.done
            self._pay(self._main)
            return None
        output, size = run.outputs.popleft()
        run.hungry = False
        if self._main:
            self._main.taken(size)
            self._pay(self._main)
        return output

    def forget(self, run: Run) -> None:
        """Nobody wants the rest of this execution's outputs."""
        self._runs.pop(run.msg_id, None)
        while run.outputs:
            _, size = run.outputs.popleft()
            if self._main:
                self._main.taken(size)
        self._pay(self._main)

    def take_record(self, reader: Reader) -> Record | None:
        """The next record of a public follow, None when none is there yet."""
        if not reader.records:
            return None
        record, size = reader.take()
        reader.follow.taken(size)
        self._pay(reader.follow)
        return record

    # --- what happens ------------------------------------------------------------------------------------------------

    def receive(self, frames: Sequence[Buffer]) -> None:
        """Take one message of the session."""
        try:
            message = self._wire.unpack(frames)
            parent = message.parent
            if parent is None:
                raise RemoteProtocolError(f"a {message.msg_type} that answers nothing")
            if message.msg_type == "journal_page":
                self._page(parent.msg_id, message)
            elif message.msg_type == "follow_reply":
                self._follow_reply(parent.msg_id, message)
            elif message.msg_type == "mirror_changed":
                self.mirror_changed()
            else:
                self._reply(parent.msg_id, message)
        except RemoteProtocolError as error:
            self.refused += 1
            self.last_refusal = str(error)

    def reconnected(self) -> None:
        """The connection was lost and is back, perhaps to another supervisor: say everything unanswered again."""
        now = self._clock()
        self.mirror_changed()  # perhaps; and if it is another supervisor, it knows of no watchers
        self.outgoing.clear()
        for request in list(self._requests.values()):
            if request.message.msg_type in ONCE:
                gone = f"the session went away before it answered {request.message.msg_type}"
                self._fail(request, Unreachable(gone, hint="It may have been obeyed: zmqkernel info"))
            else:
                self._send(request.message)
                if request.execution:
                    request.resend_at = now + RESEND_SECONDS
        for follow, reader in list(self._follows.values()):
            self._begin(follow, reader)

    def expire(self) -> float:
        """Resend and give up what is due; returns when to call again, on the clock (infinity: nothing waits)."""
        now, held = self._clock(), self._held_since is not None
        for request in list(self._requests.values()):
            if request.deadline <= now and not held:
                self._fail(request, self._timeout(request))
            elif request.resend_at <= now:
                request.resend_at = now + RESEND_SECONDS
                self._send(request.message)
        again = [r.resend_at if held else min(r.deadline, r.resend_at) for r in self._requests.values()]
        for follow, reader in list(self._follows.values()):
            if follow.heard + self._patience(follow) <= now and not follow.blocked:
                self._send(self._message(UnfollowRequest(follow.request)))
                self._begin(follow, reader)
            again.append(max(follow.heard, now) + self._patience(follow))
        return min(again, default=float("inf"))

    def _patience(self, follow: Follow) -> float:
        """Seconds that a follow may be silent. What we submitted must be in a page soon; a session that dropped us as
        gone (we had not read for long) would never say so."""
        if follow is self._main and any(
            r.submitted and r.submitted.seq > follow.position.seq for r in self._runs.values()
        ):
            return RESEND_SECONDS
        return SILENCE

    def hold(self, held: bool) -> None:
        """Is the session's supervisor being started just now? No deadline passes meanwhile."""
        now = self._clock()
        if held and self._held_since is None:
            self._held_since = now
        elif not held and self._held_since is not None:
            lost, self._held_since = now - self._held_since, None
            for request in self._requests.values():
                request.deadline = max(request.deadline + lost, now + GRACE)

    def end(self, error: ZmqKernelError) -> bool:
        """The session was shut down (False: that is known): requests fail from now on; follows come to their end."""
        if self._over:
            return False
        self._over = error
        self._end_all(error, None)
        return True

    def close(self, error: ZmqKernelError) -> None:
        """The client is closed: whatever waits fails with ``error``."""
        self._end_all(error, error)

    def _end_all(self, error: ZmqKernelError, for_readers: ZmqKernelError | None) -> None:
        for request in list(self._requests.values()):
            self._fail(request, error)
        self._lose(error, list(self._runs.values()))
        for _, reader in self._follows.values():
            if reader:
                reader.error, reader.over = for_readers, True
                reader.changed()
        self._follows.clear()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _message(self, content: msgspec.Struct, origin: Origin | None = None, msg_id: str = "") -> Message:
        metadata = {"zmqkernel": Ours(sender=self.sender, origin=origin)}
        return self._wire.message(_TYPES[type(content)], content, metadata=metadata, msg_id=msg_id)

    def _send(self, message: Message) -> None:
        self.outgoing.append(self._wire.pack(message))

    def _begin(self, follow: Follow, reader: Reader | None) -> None:
        self._follows.pop(follow.request, None)
        msg_id = self._wire.header("follow_request").msg_id
        follow.heard = self._clock()
        self._follows[msg_id] = follow, reader
        self._send(self._message(follow.begin(msg_id), msg_id=msg_id))

    def _pay(self, follow: Follow | None) -> None:
        if follow is None:
            return
        if follow is self._main and any(run.hungry for run in self._runs.values()):
            follow.lend()
        credit = follow.due()
        if credit:
            self._send(self._message(FollowCredit(follow.request, credit)))

    def _fail(self, request: Request, error: ZmqKernelError) -> None:
        self._requests.pop(request.message.msg_id, None)
        request.error = error
        request.changed()
        run = request.execution
        if run:
            self._runs.pop(run.msg_id, None)
            run.error = error
            run.changed()

    def _timeout(self, request: Request) -> ReplyTimeout:
        hint = "It may still be executed. " if request.execution else ""
        hint += f"The session has trouble: {self.trouble}" if self.trouble else "See how the session is: zmqkernel list"
        if self.refused:
            hint = f"{self.refused} messages of the peer were refused: {self.last_refusal}"
        return ReplyTimeout(f"no answer to {request.message.msg_type} in time", hint=hint)

    def _reply(self, parent: str, message: Message) -> None:
        request = self._requests.get(parent)
        if request is None:
            return  # the answer to something sent twice, or given up
        content = as_object(message.content_json)
        if content.get("status") == "error":
            self._fail(request, error_of(message))
            return
        if request.execution:
            self._submitted(request.execution, message)
        self._requests.pop(parent, None)
        request.reply = message
        request.changed()

    def _submitted(self, run: Run, message: Message) -> None:
        if message.msg_type != "submitted":
            raise RemoteProtocolError(f"{message.msg_type} instead of submitted")
        run.submitted = at = message.read(Submitted).position
        if run.msg_id not in self._runs:
            run.changed()
            return  # forgotten: nobody reads its outputs here
        before = Position(at.epoch, at.seq - 1)
        main = self._main
        if main is None:
            main = self._main = Follow(before, Filter(), self._route, credit=CREDIT)
            self._begin(main, None)
        elif at.seq - main.position.seq > SKIP and list(self._runs.values()) == [run]:
            self._send(self._message(UnfollowRequest(main.request)))
            main.position = before
            self._begin(main, None)
        run.changed()

    def _route(self, record: Record, size: int) -> None:
        main = self._main
        run = self._runs.get(record.execution) if record.execution else None
        unused = size
        if main and run:
            try:
                unused = run.take_record(record, size, main.position.epoch)
            except RemoteProtocolError as error:  # one record that we cannot read must not cost those after it
                self.refused += 1
                self.last_refusal = str(error)
            if run.done:
                self._runs.pop(run.msg_id, None)
        if main:
            main.taken(unused)

    def _page(self, parent: str, message: Message) -> None:
        found = self._follows.get(parent)
        if found is None:
            return  # a page of an earlier follow
        follow, reader = found
        follow.heard = self._clock()
        try:
            follow.page(message)
        except RemoteProtocolError as error:
            self._end(parent, error)  # reading on would be a silent hole
            return
        self.trouble = follow.trouble
        if follow.finished:
            self._follows.pop(parent, None)
        elif follow is self._main and follow.live:
            self._lose_pruned()
        self._pay(follow)
        if reader:
            reader.changed()

    def _lose_pruned(self) -> None:
        """What nobody will ever answer: executions that ended while we were away for so long that their records are gone.
        Those that are not over are never removed."""
        pruned = self._main.pruned if self._main else 0
        gone = [run for run in self._runs.values() if run.submitted and run.submitted.seq <= pruned]
        if gone:
            self._lose(ZmqKernelError("the journal no longer has the end of this execution", hint=KEPT), gone)

    def _follow_reply(self, parent: str, message: Message) -> None:
        found = self._follows.get(parent)
        if found is None:
            return
        follow, reader = found
        follow.heard = self._clock()
        if message.content.get("status") == "error":
            self._end(parent, error_of(message))
            return
        rewind = follow.answer(message.read(FollowReply))
        if rewind and not reader:
            lost = KernelDied(
                "the machine failed before this execution was safely on disk",
                hint="Nobody knows how far it came; run it again if that is safe.",
            )
            self._lose(lost, [run for run in self._runs.values() if run.submitted and run.submitted.seq > rewind.seq])
        if reader:
            reader.changed()

    def _end(self, request: str, error: ZmqKernelError) -> None:
        """This follow cannot go on."""
        _, reader = self._follows.pop(request)
        if reader:
            reader.error = error
            reader.changed()
        else:
            self._main = None
            self._lose(error, list(self._runs.values()))

    def _lose(self, error: ZmqKernelError, runs: list[Run]) -> None:
        for run in runs:
            self._runs.pop(run.msg_id, None)
            run.error = error
            run.changed()
