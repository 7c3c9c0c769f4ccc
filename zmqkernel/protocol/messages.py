"""Every message that we read or write, as msgspec Structs; the class docstring names the section of the specification.

https://jupyter-client.readthedocs.io/en/stable/messaging.html (5.5, and 5.6 where the text has it)

Unknown fields of a peer are ignored, missing optional ones get the default that the specification gives.
``CONTENT`` at the end is the closed table: message type to the Struct of its content.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

VERSION = "5.5"
"""The protocol version that we speak and announce."""

Json = dict[str, Any]


class Header(msgspec.Struct):
    """General message format: header. Everything but ``subshell_id`` is required of a sender, also when it is empty."""

    msg_id: str
    msg_type: str
    session: str = ""
    username: str = ""
    date: str = ""
    version: str = ""
    subshell_id: str | msgspec.UnsetType | None = msgspec.UNSET


# --- ours: what stands under metadata["zmqkernel"] -------------------------------------------------------------------


class Origin(msgspec.Struct, omit_defaults=True):
    """Where the code of an execute_request stands. ``line`` and ``column`` count from 0, columns in code points."""

    uri: str = ""
    path: str = ""
    line: int = 0
    column: int = 0
    version: int | None = None
    cell: str = ""


class Ours(msgspec.Struct, omit_defaults=True):
    """``metadata["zmqkernel"]`` of any message. ``execution`` is the msg_id of an execute_request, ``sender`` who ran it."""

    epoch: int = 0
    seq: int = 0
    execution: str = ""
    sender: str = ""
    origin: Origin | None = None


class Metadata(msgspec.Struct, omit_defaults=True):
    """The part of a message's metadata that we look at."""

    zmqkernel: Ours = field(default_factory=Ours)


# --- shell -----------------------------------------------------------------------------------------------------------


class ExecuteRequest(msgspec.Struct):
    """Execute."""

    code: str
    silent: bool = False
    store_history: bool | None = None
    user_expressions: dict[str, str] | None = None
    allow_stdin: bool = True
    stop_on_error: bool = True


class ExecuteReply(msgspec.Struct, omit_defaults=True):
    """Execution results. ``status`` is ok, error or aborted; the error fields are there for error only."""

    status: str
    execution_count: int | None = None
    payload: list[Json] | None = None
    user_expressions: Json | None = None
    ename: str | None = None
    evalue: str | None = None
    traceback: list[str] | None = None


class ErrorReply(msgspec.Struct):
    """The reply to any request that failed in the peer, not in user code."""

    ename: str
    evalue: str
    traceback: list[str] = []
    status: str = "error"


class InspectRequest(msgspec.Struct):
    """Introspection. ``cursor_pos`` in code points."""

    code: str
    cursor_pos: int
    detail_level: int = 0


class InspectReply(msgspec.Struct):
    found: bool
    data: Json = {}
    metadata: Json = {}
    status: str = "ok"


class CompleteRequest(msgspec.Struct):
    """Completion. ``cursor_pos`` in code points."""

    code: str
    cursor_pos: int


class CompleteReply(msgspec.Struct):
    matches: list[str]
    cursor_start: int
    cursor_end: int
    metadata: Json = {}
    status: str = "ok"


class HistoryRequest(msgspec.Struct):
    """History."""

    output: bool = False
    raw: bool = True
    hist_access_type: str = "range"
    session: int = 0
    start: int = 0
    stop: int | None = None
    n: int | None = None
    pattern: str = ""
    unique: bool = False


class HistoryReply(msgspec.Struct):
    """``history``: (session, line number, input) or (session, line number, (input, output))."""

    history: list[Any]
    status: str = "ok"


class IsCompleteRequest(msgspec.Struct):
    """Code completeness."""

    code: str


class IsCompleteReply(msgspec.Struct, omit_defaults=True):
    """``status`` is complete, incomplete, invalid or unknown; ``indent`` goes with incomplete."""

    status: str
    indent: str | None = None


class ConnectRequest(msgspec.Struct):
    """Connect (deprecated in 5.1, still asked for)."""


class CommInfoRequest(msgspec.Struct):
    """Comm info."""

    target_name: str | None = None


class CommInfoReply(msgspec.Struct):
    comms: dict[str, Json]
    status: str = "ok"


class KernelInfoRequest(msgspec.Struct):
    """Kernel info, on shell and control (JEP 80)."""


class LanguageInfo(msgspec.Struct):
    name: str
    version: str
    mimetype: str
    file_extension: str
    pygments_lexer: str
    codemirror_mode: Any
    nbconvert_exporter: str


class KernelInfoReply(msgspec.Struct):
    implementation: str
    implementation_version: str
    language_info: LanguageInfo
    banner: str
    help_links: list[dict[str, str]] = []
    debugger: bool = False
    supported_features: list[str] = []
    protocol_version: str = VERSION
    status: str = "ok"


# --- control ---------------------------------------------------------------------------------------------------------


class ShutdownRequest(msgspec.Struct):
    """Kernel shutdown; ``restart`` is a restart in place (JEP 118)."""

    restart: bool = False


class ShutdownReply(msgspec.Struct):
    restart: bool
    status: str = "ok"


class InterruptRequest(msgspec.Struct):
    """Kernel interrupt."""


class OkReply(msgspec.Struct):
    status: str = "ok"


# --- iopub -----------------------------------------------------------------------------------------------------------


class Stream(msgspec.Struct):
    """Streams: ``name`` is stdout or stderr."""

    name: str
    text: str


class DisplayData(msgspec.Struct, omit_defaults=True):
    """Display data, and update_display_data."""

    data: Json
    metadata: Json = field(default_factory=dict[str, Any])
    transient: Json = field(default_factory=dict[str, Any])


class ExecuteInput(msgspec.Struct):
    """Code inputs."""

    code: str
    execution_count: int


class ExecuteResult(msgspec.Struct):
    """Code results."""

    execution_count: int
    data: Json
    metadata: Json = {}


class Error(msgspec.Struct):
    """Execution errors."""

    ename: str
    evalue: str
    traceback: list[str]


class Status(msgspec.Struct):
    """Kernel status: busy, idle, starting; ours adds restarting and dead at the door."""

    execution_state: str


class ClearOutput(msgspec.Struct):
    """Clear output."""

    wait: bool = False


class IopubWelcome(msgspec.Struct):
    """Welcome message (JEP 65)."""

    subscription: str


# --- comms -----------------------------------------------------------------------------------------------------------


class CommOpen(msgspec.Struct, omit_defaults=True):
    """Opening a comm."""

    comm_id: str
    target_name: str = ""
    data: Json = field(default_factory=dict[str, Any])
    target_module: str | None = None


class CommMsg(msgspec.Struct):
    """Comm messages, and comm_close."""

    comm_id: str
    data: Json = {}


# --- stdin -----------------------------------------------------------------------------------------------------------


class InputRequest(msgspec.Struct):
    """Messages on the stdin channel."""

    prompt: str = ""
    password: bool = False


class InputReply(msgspec.Struct):
    value: str


# --- ours, on control: plain request and reply pairs -----------------------------------------------------------------


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the journal: the record numbered ``seq`` as written in ``epoch``. (0, 0) is before the first."""

    epoch: int = 0
    seq: int = 0


class Filter(msgspec.Struct, omit_defaults=True):
    """What a follower wants: one document, one execution, only what came out. Empty: everything."""

    document: str = ""
    execution: str = ""
    outputs_only: bool = False


class FollowRequest(msgspec.Struct):
    """Follow the journal after ``position``.

    ``credit`` is the number of bytes of records that may be on their way; the client adds to it with ``follow_credit``.
    ``until_end`` stops after the record that was the last when the request came (for ``log`` and ``export``).
    """

    position: Position = Position()
    credit: int = 4 * 1024 * 1024
    filter: Filter = field(default_factory=Filter)
    until_end: bool = False


class FollowReply(msgspec.Struct, omit_defaults=True):
    """``end`` is the newest position. ``rewind`` is there when the asked position does not exist: the client has seen
    records that a power failure took; it drops what it has after ``rewind`` and continues there."""

    end: Position
    rewind: Position | None = None
    status: str = "ok"


class JournalPage(msgspec.Struct):
    """Pushed to a follower, parent is its follow_request. The one buffer holds records in the journal's own framing.

    ``last`` is the position up to which the journal has now been searched (a filter may have left records out),
    ``live`` says that this was the end of the journal when it was sent, ``finished`` that ``until_end`` is reached.
    """

    last: Position
    live: bool
    finished: bool = False


class FollowCredit(msgspec.Struct):
    """One way: add ``credit`` bytes to the follow whose follow_request had this msg_id."""

    follow: str
    credit: int


class UnfollowRequest(msgspec.Struct):
    follow: str


class Submitted(msgspec.Struct):
    """The answer to an execute_request on *control*: it is journaled at ``position`` and will be executed at most once.

    Its execute_reply comes through the journal. The same msg_id again gets the same answer and is not executed again.
    """

    position: Position
    status: str = "ok"


class SessionInfoRequest(msgspec.Struct):
    """Who and how a session is; answered by the supervisor whatever the kernel does."""


class PendingInput(msgspec.Struct):
    """An ``input()`` that waits: ``request`` is the msg_id of the input_request."""

    request: str
    execution: str
    prompt: str
    password: bool


class SessionInfoReply(msgspec.Struct):
    name: str
    path: str
    state: str
    kernel_pid: int
    supervisor_pid: int
    connection_file: str
    epoch: int
    seq: int
    unclean: bool
    kernel_name: str
    generation: int
    """How many kernel processes this session has had."""
    running: str
    """The msg_id of the execution that runs now, or an empty string."""
    queued: list[str]
    clients: list[str]
    """The senders that follow now."""
    input: PendingInput | None
    started: float
    """Unix time at which this supervisor began."""
    status: str = "ok"


class AnswerRequest(msgspec.Struct):
    """Answer the input_request with this msg_id; the first answer of any client wins, a later one gets an error."""

    request: str
    value: str


CONTENT: dict[str, type[msgspec.Struct]] = {
    "execute_request": ExecuteRequest,
    "execute_reply": ExecuteReply,
    "inspect_request": InspectRequest,
    "inspect_reply": InspectReply,
    "complete_request": CompleteRequest,
    "complete_reply": CompleteReply,
    "history_request": HistoryRequest,
    "history_reply": HistoryReply,
    "is_complete_request": IsCompleteRequest,
    "is_complete_reply": IsCompleteReply,
    "connect_request": ConnectRequest,
    "comm_info_request": CommInfoRequest,
    "comm_info_reply": CommInfoReply,
    "kernel_info_request": KernelInfoRequest,
    "kernel_info_reply": KernelInfoReply,
    "shutdown_request": ShutdownRequest,
    "shutdown_reply": ShutdownReply,
    "interrupt_request": InterruptRequest,
    "interrupt_reply": OkReply,
    "stream": Stream,
    "display_data": DisplayData,
    "update_display_data": DisplayData,
    "execute_input": ExecuteInput,
    "execute_result": ExecuteResult,
    "error": Error,
    "status": Status,
    "clear_output": ClearOutput,
    "iopub_welcome": IopubWelcome,
    "comm_open": CommOpen,
    "comm_msg": CommMsg,
    "comm_close": CommMsg,
    "input_request": InputRequest,
    "input_reply": InputReply,
    "follow_request": FollowRequest,
    "follow_reply": FollowReply,
    "follow_credit": FollowCredit,
    "unfollow_request": UnfollowRequest,
    "unfollow_reply": OkReply,
    "journal_page": JournalPage,
    "submitted": Submitted,
    "session_info_request": SessionInfoRequest,
    "session_info_reply": SessionInfoReply,
    "answer_request": AnswerRequest,
    "answer_reply": OkReply,
}
"""Message type to content."""

FEATURES = ["zmqkernel.follow", "zmqkernel.submit", "zmqkernel.answer", "zmqkernel.session_info"]
"""What a session's door adds to ``supported_features`` of its kernel_info_reply."""
