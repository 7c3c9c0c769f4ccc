"""Every message that we read or write, as msgspec Structs; the class docstring names the section of the specification.

https://jupyter-client.readthedocs.io/en/stable/messaging.html (5.5, and 5.6 where the text has it)

Unknown fields of a peer are ignored, missing optional ones get the default that the specification gives.
``CONTENT`` at the end is the closed table: message type to the Struct of its content.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

from .mirror import Delta as Delta
from .mirror import MirrorChanged as MirrorChanged
from .mirror import MirrorReply as MirrorReply
from .mirror import MirrorRequest as MirrorRequest
from .ours import FEATURES as FEATURES

# Whoever reads messages finds all of them here; this file has the Jupyter ones.
from .ours import AdoptReply as AdoptReply
from .ours import AdoptRequest as AdoptRequest
from .ours import AnswerRequest as AnswerRequest
from .ours import CallParameter as CallParameter
from .ours import CallSignature as CallSignature
from .ours import DefinitionReply as DefinitionReply
from .ours import DefinitionRequest as DefinitionRequest
from .ours import Filter as Filter
from .ours import FollowCredit as FollowCredit
from .ours import FollowReply as FollowReply
from .ours import FollowRequest as FollowRequest
from .ours import JournalPage as JournalPage
from .ours import Metadata as Metadata
from .ours import Origin as Origin
from .ours import Ours as Ours
from .ours import PendingInput as PendingInput
from .ours import Position as Position
from .ours import RebindRequest as RebindRequest
from .ours import ResumeReply as ResumeReply
from .ours import ResumeRequest as ResumeRequest
from .ours import ServeRequest as ServeRequest
from .ours import SessionInfoReply as SessionInfoReply
from .ours import SessionInfoRequest as SessionInfoRequest
from .ours import SignatureReply as SignatureReply
from .ours import SignatureRequest as SignatureRequest
from .ours import Submitted as Submitted
from .ours import UnfollowRequest as UnfollowRequest

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
    "resume_request": ResumeRequest,
    "resume_reply": ResumeReply,
    "serve_request": ServeRequest,
    "serve_reply": OkReply,
    "adopt_request": AdoptRequest,
    "adopt_reply": AdoptReply,
    "rebind_request": RebindRequest,
    "rebind_reply": OkReply,
    "signature_request": SignatureRequest,
    "signature_reply": SignatureReply,
    "definition_request": DefinitionRequest,
    "definition_reply": DefinitionReply,
    "mirror_request": MirrorRequest,
    "mirror_reply": MirrorReply,
    "mirror_changed": MirrorChanged,
    "mirror_delta": Delta,
}
"""Message type to content."""
