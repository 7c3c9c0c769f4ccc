"""The table of message types, and the handlers that do not run user code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ..protocol import identity
from ..protocol.messages import (
    CommInfoReply,
    CommInfoRequest,
    CompleteRequest,
    DefinitionRequest,
    HistoryReply,
    HistoryRequest,
    InspectRequest,
    IsCompleteReply,
    IsCompleteRequest,
    KernelInfoReply,
    Metadata,
    OkReply,
    ShutdownReply,
    ShutdownRequest,
    SignatureRequest,
)
from .adoption import adopt, mirror, rebind
from .comms import comm_close, comm_msg, comm_open
from .dispatch import Route
from .execution import execute

if TYPE_CHECKING:
    from .dispatch import Kernel, Request

_decode_metadata = msgspec.json.Decoder(Metadata).decode


def kernel_info(kernel: Kernel, request: Request) -> KernelInfoReply:
    """Kernel info, on shell and control. Needs nothing that is imported later."""
    del kernel, request
    return identity.kernel_info()


def connect(kernel: Kernel, request: Request) -> dict[str, Any]:
    """Connect (deprecated, still asked for): the ports."""
    del request
    return {"status": "ok", **kernel.ports}


def interrupt(kernel: Kernel, request: Request) -> OkReply:
    """Kernel interrupt: what the main thread runs gets a KeyboardInterrupt; nothing happens when it runs nothing."""
    del request
    kernel.interrupt()
    return OkReply()


def shutdown(kernel: Kernel, request: Request) -> ShutdownReply:
    """Kernel shutdown. Every client hears of it: the reply goes out on iopub as well."""
    reply = ShutdownReply(restart=request.message.read(ShutdownRequest).restart)
    message = kernel.build("shutdown_reply", reply, None)
    message.parent_json = request.message.header_json
    kernel.outlet.send("iopub", message)
    kernel.shutdown()
    return reply


def complete(kernel: Kernel, request: Request) -> Any:
    """Completion."""
    from .introspection import complete as answer

    asked = request.message.read(CompleteRequest)
    return answer(asked.code, asked.cursor_pos, kernel.shell.user_ns, kernel.shell, _policy(request))


def inspect(kernel: Kernel, request: Request) -> Any:
    """Introspection."""
    from .introspection import inspect as answer

    asked = request.message.read(InspectRequest)
    names, policy = kernel.shell.user_ns, _policy(request)
    return answer(asked.code, asked.cursor_pos, asked.detail_level, names, kernel.shell, policy)


def signature(kernel: Kernel, request: Request) -> Any:
    """Signature help (ours)."""
    from .introspection import sign as answer

    asked = request.message.read(SignatureRequest)
    return answer(asked.code, asked.cursor_pos, kernel.shell.user_ns, kernel.shell, _policy(request))


def definition(kernel: Kernel, request: Request) -> Any:
    """Where a live object was defined (ours)."""
    from .introspection import define as answer

    asked = request.message.read(DefinitionRequest)
    return answer(asked.code, asked.cursor_pos, kernel.shell.user_ns, kernel.shell, _policy(request))


def _policy(request: Request) -> str:
    """Whether introspection may run code of the user's: only when the request says so."""
    metadata = request.message.metadata_json
    return _decode_metadata(metadata).zmqkernel.policy if b"zmqkernel" in metadata else "safe"


def is_complete(kernel: Kernel, request: Request) -> IsCompleteReply:
    """Code completeness."""
    status, indent = kernel.shell.check_complete(request.message.read(IsCompleteRequest).code)
    return IsCompleteReply(status, indent if status == "incomplete" else None)


def history(kernel: Kernel, request: Request) -> HistoryReply:
    """History."""
    asked = request.message.read(HistoryRequest)
    past, output, raw = kernel.shell.history_manager, asked.output, asked.raw
    if asked.hist_access_type == "tail":
        found = past.get_tail(asked.n, raw=raw, output=output, include_latest=True)
    elif asked.hist_access_type == "range":
        found = past.get_range(asked.session, asked.start, asked.stop, raw=raw, output=output)
        if asked.session == past.session_number:  # IPython calls the session that runs 0, also when asked by its number
            found = [(asked.session, line, source) for _, line, source in found]
    elif asked.hist_access_type == "search":
        pattern = asked.pattern or "*"
        found = past.search(pattern, raw=raw, output=output, n=asked.n, unique=asked.unique)
    else:
        found = []
    return HistoryReply(list(found))


def comm_info(kernel: Kernel, request: Request) -> CommInfoReply:
    """Comm info: the open comms, those of one target when it is named."""
    del kernel
    from comm import get_comm_manager

    target = request.message.read(CommInfoRequest).target_name
    comms = dict(get_comm_manager().comms).items()
    return CommInfoReply(
        {key: {"target_name": comm.target_name} for key, comm in comms if target in (None, comm.target_name)}
    )


TABLE: dict[str, Route] = {
    "execute_request": Route("main", execute, "execute_reply"),
    "comm_open": Route("main", comm_open),
    "comm_msg": Route("main", comm_msg),
    "comm_close": Route("main", comm_close),
    "complete_request": Route("side", complete, "complete_reply"),
    "inspect_request": Route("side", inspect, "inspect_reply"),
    "signature_request": Route("side", signature, "signature_reply"),
    "definition_request": Route("side", definition, "definition_reply"),
    "is_complete_request": Route("side", is_complete, "is_complete_reply"),
    "history_request": Route("side", history, "history_reply"),
    "comm_info_request": Route("side", comm_info, "comm_info_reply"),
    "kernel_info_request": Route("io", kernel_info, "kernel_info_reply"),
    "connect_request": Route("io", connect, "connect_reply"),
    "interrupt_request": Route("io", interrupt, "interrupt_reply"),
    "shutdown_request": Route("io", shutdown, "shutdown_reply"),
    "adopt_request": Route("io", adopt, "adopt_reply"),
    "rebind_request": Route("io", rebind, "rebind_reply"),
    "mirror_request": Route("io", mirror, "mirror_reply"),
}
"""Every message type that the kernel takes, on shell and control alike."""
