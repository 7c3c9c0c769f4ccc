"""From a message to its answer: the lanes, and busy, handler, reply, idle. Each written exactly once.

Rules:

1. ``accept`` runs in the io thread and only sorts; a lane's own thread runs ``serve``.
2. A handler takes (kernel, request) and returns the reply's content, or None when its message type has no reply.
3. ``serve`` is the error boundary: a handler that raises answers with an error reply, and ours is logged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ..protocol.errors import RemoteProtocolError
from ..protocol.messages import ErrorReply, Header
from ..protocol.wire import EMPTY, Buffer, Message, Wire
from . import log
from .ownership import Owner, owner

if TYPE_CHECKING:
    from .execution import MainLane
    from .mirror.lane import MirrorLane
    from .outlet import Outlet
    from .shell import ZMQInteractiveShell
    from .stdin import Stdin

Lane = Literal["main", "side", "io"]
Handler = Callable[["Kernel", "Request"], Any]

BUSY = b'{"execution_state":"busy"}'
IDLE = b'{"execution_state":"idle"}'
STARTING = b'{"execution_state":"starting"}'
EXECUTE = "execute_request"
REMEMBERED = 10_000
"""How many execute_requests are remembered, so that one that is sent again is not executed again."""


class Route(msgspec.Struct, frozen=True):
    """Who answers a message type. ``reply`` is the type of the answer, empty where the protocol has none."""

    lane: Lane
    handler: Handler
    reply: str = ""


class Request(msgspec.Struct):
    """One message on its way through a lane."""

    channel: str
    message: Message
    route: Route
    aborted: bool = False


class Kernel:
    """What handlers see: the wire, the outlet, the lanes and, once it is there, the shell."""

    def __init__(self, wire: Wire, table: dict[str, Route], main: MainLane, stdin: Stdin) -> None:
        self.wire = wire
        self.table = table
        self.main = main
        self.stdin = stdin
        self.side: SimpleQueue[Request | None] = SimpleQueue()
        self.outlet: Outlet
        self.shell: ZMQInteractiveShell
        self.interrupts = main.interrupts
        self.interrupt: Callable[[], None] = lambda: None
        """Raises KeyboardInterrupt in what the main thread runs."""
        self.sweep: Callable[[], None] = lambda: None
        """Returns when everything that has arrived was accepted."""
        self.shutdown: Callable[[], None] = lambda: None
        """Leave soon: no more requests are served."""
        self.in_session = False
        """A supervisor owns this kernel: it ends when the session does."""
        self.mirror: MirrorLane | None = None
        """Tells the session's supervisor what is in the user's names; None without a session."""
        self.fault: object = None
        """Keeps what writes down a crash of this process."""
        self.adopt: Callable[[int], None] = lambda _pid: None
        """This process is the supervisor now. For the io thread."""
        self.rebind: Callable[[], None] = lambda: None
        """Bind the endpoints again whose socket file has gone. For the io thread."""
        self.ports: dict[str, int] = {}
        self.busy_topic = [f"kernel.{wire.session}.status".encode()]
        self.input_topic = [f"kernel.{wire.session}.execute_input".encode()]
        self.running = ""
        """The msg_id of the execute_request that the main thread serves, or an empty string."""
        self._unanswered: dict[str, None] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def accept(self, channel: str, message: Message) -> None:
        """Take a message that has just been read; the io thread calls this."""
        msg_type = message.header.msg_type
        route = self.table.get(msg_type)
        if channel == "stdin":
            self.stdin.put(message)
        elif route is None:
            log.say(f"dropped on {channel}: no handler for {msg_type!r}")
        elif route.lane == "main":
            if msg_type == EXECUTE and not self._is_new(message.header):
                log.say(f"dropped on {channel}: {message.header.msg_id} is here already")
                return
            self.main.put(Request(channel, message, route))
        elif route.lane == "side":
            self.side.put(Request(channel, message, route))
        else:
            self.serve(Request(channel, message, route))

    def _is_new(self, header: Header) -> bool:
        """Only execute_requests are sent again, and a slider's comm messages would soon have pushed all of them out.

        By the date as well: two clients of one Jupyter kernel manager have one session, and both count from 1.
        """
        key = header.msg_id + header.date
        if key in self._seen:
            return False
        self._seen[key] = self._unanswered[header.msg_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def execute(self, request: Request) -> None:
        """Serve a request of the main thread, and note which one that is."""
        msg_id = request.message.header.msg_id
        if msg_id not in self._unanswered:
            self.serve(request)  # a comm message
        else:
            self.running = msg_id
            self.serve(request)
            # After the reply: who asks for ``queued`` and does not find it there, finds the reply in what was sent.
            self._unanswered.pop(msg_id, None)
            self.running = ""
        if self.mirror is not None:
            self.mirror.due()

    def queued(self) -> list[str]:
        """The msg_ids of the execute_requests that were accepted and not begun, in order."""
        running = self.running
        return [msg_id for msg_id in list(self._unanswered) if msg_id != running]

    def serve(self, request: Request) -> None:
        """Answer a request: busy, handler, reply, idle. Runs in the thread of the request's lane."""
        wire, outlet, message, route = self.wire, self.outlet, request.message, request.route
        parent = message.header_json
        # For a short cell one wake-up of the other side is enough: the one for its end.
        outlet.send("iopub", wire.message("status", BUSY, parent=parent, idents=self.busy_topic), soon=True)
        try:
            content = route.handler(self, request)
        except (RemoteProtocolError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.say(f"{message.header.msg_type}: {error}")
            content = ErrorReply(type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - the boundary of a lane: a bug of ours is an error reply, and the lane goes on
            log.bug(f"{message.header.msg_type} failed")
            content = ErrorReply(type(error).__name__, str(error))
        if route.reply and content is not None:
            reply = wire.message(route.reply, content, parent=parent, idents=message.idents)
            outlet.send(request.channel, reply, soon=True)
        outlet.send("iopub", wire.message("status", IDLE, parent=parent, idents=self.busy_topic))

    def serve_side(self) -> None:
        """The introspection thread: answers while the main thread runs a cell. Ends at a None in the queue."""
        take = self.mirror.next if self.mirror is not None else self.side.get
        while (request := take()) is not None:
            self.serve(request)

    def publish(
        self,
        msg_type: str,
        content: Any,
        *,
        owner: Owner | None,
        metadata: Any = None,
        buffers: Sequence[Buffer] = (),
    ) -> None:
        """Send a message on iopub as output of ``owner``."""
        self.outlet.send("iopub", self.build(msg_type, content, owner, metadata, buffers))

    def build(
        self,
        msg_type: str,
        content: Any,
        owner: Owner | None,
        metadata: Any = None,
        buffers: Sequence[Buffer] = (),
    ) -> Message:
        """A message for iopub with the topic that ipykernel gives it."""
        topic = f"stream.{content.name}" if msg_type == "stream" else f"kernel.{self.wire.session}.{msg_type}"
        parent = owner.header_json if owner else EMPTY
        return self.wire.message(
            msg_type, content, parent=parent, metadata=metadata, buffers=buffers, idents=[topic.encode()]
        )

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        """The request that owns what runs now, decoded. ipywidgets asks for it (``get_ipython().kernel.get_parent()``)."""
        del channel
        request = owner()
        return {"header": msgspec.json.decode(request.header_json)} if request else {}
