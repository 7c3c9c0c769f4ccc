"""Messages of our own, and what we put into the metadata of others. Ordinary Jupyter request and reply pairs, on control.

``FEATURES`` is what a session's door adds to ``supported_features`` of its kernel_info_reply.
"""

from __future__ import annotations

import msgspec
from msgspec import field

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
    """``metadata["zmqkernel"]`` of any message. ``execution`` is the msg_id of an execute_request, ``sender`` who ran it.

    ``resumed``, in an execute_request: the msg_id under which this cell was submitted before a kernel died.
    ``policy``, in a request for introspection: ``safe`` (runs no code of the user's) or ``evaluate``.
    """

    epoch: int = 0
    seq: int = 0
    execution: str = ""
    sender: str = ""
    origin: Origin | None = None
    resumed: str = ""
    policy: str = "safe"


class Metadata(msgspec.Struct, omit_defaults=True):
    """The part of a message's metadata that we look at."""

    zmqkernel: Ours = field(default_factory=Ours)


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


class JournalPage(msgspec.Struct, omit_defaults=True):
    """Pushed to a follower, parent is its follow_request. The one buffer holds records in the journal's own framing.

    ``last`` is the position up to which the journal has now been searched (a filter may have left records out),
    ``live`` says that this was the end of the journal when it was sent, ``finished`` that ``until_end`` is reached.
    ``trouble`` is a sentence for people while something keeps the session from going on (a full disk), else empty.
    """

    last: Position
    live: bool
    finished: bool = False
    trouble: str = ""


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
    held: list[str] = []
    """msg_ids of cells that waited when a kernel died: they were answered with an error and are kept for resume_request."""
    trouble: str = ""
    """A sentence for people while something keeps the session from going on (a full disk), else empty."""
    adopted: int = 0
    """How often a supervisor of this session has taken over the living kernel of one that died."""
    served: list[str] = []
    """Connection files of Jupyter's kernel managers that this session serves now."""
    status: str = "ok"


class AnswerRequest(msgspec.Struct):
    """Answer the input_request with this msg_id; the first answer of any client wins, a later one gets an error."""

    request: str
    value: str


class ResumeRequest(msgspec.Struct, omit_defaults=True):
    """Submit the cells that were kept when a kernel died again, each as a new execution; ``drop``: forget them instead.

    ``executions`` names some of them by msg_id; empty: all.
    """

    drop: bool = False
    executions: list[str] = []


class ResumeReply(msgspec.Struct):
    """``executions`` maps each kept cell's msg_id to that of its new execution (an empty string when it was dropped)."""

    executions: dict[str, str]
    status: str = "ok"


class ServeRequest(msgspec.Struct):
    """Serve a Jupyter kernel manager's endpoints as well, as they stand in its connection file, while process ``pid`` lives.

    ``owner`` is a token for whose kernel this is; ``created``: this host has just made the session, so the token is its
    owner from now on. Only the owner's shutdown_request ends the session. ``ephemeral``: the session also ends when the
    process ends without a word and nobody else is attached. ``file`` is what ``session_info_reply`` calls this door.
    """

    connection: dict[str, str | int]
    owner: str
    created: bool
    pid: int
    ephemeral: bool = False
    file: str = ""


class AdoptRequest(msgspec.Struct):
    """Supervisor to kernel: process ``pid`` is your supervisor from now on."""

    pid: int


class AdoptReply(msgspec.Struct):
    """What the kernel is at: msg_ids of the running and the waiting execute_requests, and of the input_request that is open."""

    running: str = ""
    queued: list[str] = []
    input: str = ""
    status: str = "ok"


class RebindRequest(msgspec.Struct):
    """Supervisor to kernel: bind again the ipc endpoints whose socket files somebody has removed."""


class SignatureRequest(msgspec.Struct):
    """Signature help for the call around the cursor. ``cursor_pos`` in code points. Answered by the kernel."""

    code: str
    cursor_pos: int


class CallParameter(msgspec.Struct):
    """A parameter as it stands in the signature's label, and what the docstring says of it (Markdown)."""

    label: str
    doc: str = ""


class CallSignature(msgspec.Struct):
    """``name(a, b=1) -> int``, the docstring as Markdown, and the parameters that are still to be given."""

    label: str
    doc: str = ""
    parameters: list[CallParameter] = []


class SignatureReply(msgspec.Struct):
    """``active_parameter`` is the number of parameters when the cursor is behind all of them."""

    found: bool = False
    signatures: list[CallSignature] = []
    active_signature: int = 0
    active_parameter: int = 0
    status: str = "ok"


class DefinitionRequest(msgspec.Struct):
    """Where is the live object at the cursor defined? ``cursor_pos`` in code points. Answered by the kernel."""

    code: str
    cursor_pos: int


class DefinitionReply(msgspec.Struct):
    """``path`` is the file's, or what the origin of its cell named; empty for a cell that stands in no document.

    ``line`` and ``column`` of the name count from 0; ``source`` is the text as it was executed.
    """

    found: bool = False
    path: str = ""
    line: int = 0
    column: int = 0
    name: str = ""
    source: str = ""
    status: str = "ok"


FEATURES = [
    "zmqkernel.follow",
    "zmqkernel.submit",
    "zmqkernel.answer",
    "zmqkernel.session_info",
    "zmqkernel.resume",
    "zmqkernel.serve",
    "zmqkernel.mirror",
]
