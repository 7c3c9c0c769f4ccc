"""What both faces of the client share: who we are, what a reply means, how an execute_request is made."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TypeVar

import msgspec

from ..protocol.connection import ConnectionInfo
from ..protocol.errors import KernelDied, RemoteProtocolError, Unreachable, ZmqKernelError
from ..protocol.messages import ErrorReply, ExecuteRequest, KernelInfoReply
from ..protocol.mirror import Changes, Mirror, MirrorReply, unpack_changes
from ..protocol.wire import Message, Wire
from .waiting import Request

REPLY_SECONDS = 10.0
"""How long a session may take to answer, unless the caller says otherwise."""

SLOW_SECONDS = 60.0
"""The same for a restart or shutdown: the kernel gets time to end by itself."""

T = TypeVar("T", bound=msgspec.Struct)


def new_wire(info: ConnectionInfo) -> Wire:
    """A wire with a session string of its own, signing with the key of the connection."""
    return Wire(info.key, uuid.uuid4().hex, os.environ.get("USER", ""))


def own_name() -> str:
    """How we sign what we run when the caller does not say: the program and its process id."""
    import __main__

    program = Path(getattr(__main__, "__file__", None) or "python").name
    return f"{program} {os.getpid()}"


def outcome(request: Request, kind: type[T]) -> T:
    """The reply of a request that is done, or its exception."""
    if request.error:
        raise request.error
    assert request.reply is not None
    return request.reply.read(kind)


def check_features(reply: KernelInfoReply, endpoint: str) -> None:
    """RemoteProtocolError unless a session of ours answers there."""
    if "zmqkernel.follow" not in reply.supported_features:
        raise RemoteProtocolError(
            f"{endpoint} is a {reply.implementation} kernel, not a zmqkernel session",
            hint="A plain kernel has no journal; use jupyter console --existing FILE.",
        )


def execute_request(
    code: str,
    silent: bool,
    store_history: bool | None,
    stop_on_error: bool,
    user_expressions: dict[str, str] | None,
    allow_stdin: bool,
) -> ExecuteRequest:
    return ExecuteRequest(
        code=code,
        silent=silent,
        store_history=not silent if store_history is None else store_history,
        user_expressions=user_expressions or {},
        allow_stdin=allow_stdin,
        stop_on_error=stop_on_error,
    )


def error_of(message: Message) -> ZmqKernelError:
    """The exception for a reply with status error."""
    reply = message.read(ErrorReply)
    if reply.ename == "KernelDied":
        return KernelDied(reply.evalue, hint="zmqkernel restart starts a new kernel.")
    return ZmqKernelError(reply.evalue or reply.ename, hint=reply.traceback[-1] if reply.traceback else "")


def shut_down() -> Unreachable:
    """What whoever still asks a session that was shut down is told."""
    return Unreachable("the session was shut down", hint="Start it again: zmqkernel start")


def take_page(mirror: Mirror, request: Request) -> bool:
    """Take the reply to a mirror_request; False when there are more pages. Raises the request's error."""
    if request.error:
        raise request.error
    assert request.reply is not None
    reply = request.reply.read(MirrorReply)
    try:
        changes = unpack_changes(request.reply.buffers[0]) if request.reply.buffers else Changes()
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"mirror_reply: {error}") from None
    mirror.take(reply, changes)
    return not reply.more
