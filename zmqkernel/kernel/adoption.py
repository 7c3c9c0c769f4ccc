"""The supervisor's own requests to its kernel, on control. A kernel without ``--link`` has none and refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.messages import AdoptReply, AdoptRequest, ErrorReply, OkReply

if TYPE_CHECKING:
    from .dispatch import Kernel, Request


def adopt(kernel: Kernel, request: Request) -> AdoptReply | ErrorReply:
    """A supervisor takes this kernel over: it is the process to watch now. The reply says what is under way here."""
    if not kernel.in_session:
        return NOT_OURS
    kernel.adopt(request.message.read(AdoptRequest).pid)
    return AdoptReply(kernel.running, kernel.queued(), kernel.stdin.question)


def rebind(kernel: Kernel, request: Request) -> OkReply | ErrorReply:
    """Somebody has cleaned the sockets' directory: bind again what has gone."""
    del request
    if not kernel.in_session:
        return NOT_OURS
    kernel.rebind()
    return OkReply()


def mirror(kernel: Kernel, request: Request) -> OkReply | ErrorReply:
    """A supervisor has nothing of the mirror: everything is told again, in ``mirror_delta`` messages."""
    del request
    if kernel.mirror is None:
        return NOT_OURS
    kernel.mirror.ask()
    return OkReply()


NOT_OURS = ErrorReply("NotAllowed", "this kernel belongs to no session")
