"""Comms (ipywidgets and friends), on the ``comm`` package: its manager keeps the comms, we carry the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .ownership import Owner, current, owner, set_foreground

if TYPE_CHECKING:
    from .dispatch import Kernel, Request


def install(kernel: Kernel) -> None:
    """Make ``comm.create_comm`` and ``comm.get_comm_manager`` give comms that reach the front ends."""
    import comm
    from comm.base_comm import BaseComm, CommManager

    manager = CommManager()

    class KernelComm(BaseComm):
        """A comm whose messages are published as output of the cell that sends them."""

        def publish_msg(
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
        ) -> None:
            content = {"data": data or {}, "comm_id": self.comm_id, **keys}
            frames = [memoryview(buffer).cast("B") for buffer in buffers or ()]
            kernel.publish(msg_type, content, owner=owner(), metadata=metadata or {}, buffers=frames)

    comm.create_comm = KernelComm
    comm.get_comm_manager = lambda: manager


def comm_open(kernel: Kernel, request: Request) -> None:
    """Opening a comm; a target that nobody registered is answered with comm_close."""
    _call(kernel, request, "comm_open")


def comm_msg(kernel: Kernel, request: Request) -> None:
    """Comm messages."""
    _call(kernel, request, "comm_msg")


def comm_close(kernel: Kernel, request: Request) -> None:
    """Tearing down a comm."""
    _call(kernel, request, "comm_close")


def _call(kernel: Kernel, request: Request, handler: str) -> None:
    from comm import get_comm_manager

    message = request.message
    asker = Owner(
        msg_id=message.msg_id,
        key=message.msg_id.encode()[:200],
        header_json=message.header_json,
        idents=message.idents,
        allow_stdin=False,
        session=message.header.session,
    )
    set_foreground(asker)
    current.set(asker)
    header = msgspec.json.decode(message.header_json)
    whole = {
        "header": header,
        "msg_id": header["msg_id"],
        "msg_type": header["msg_type"],
        "parent_header": msgspec.json.decode(message.parent_json),
        "metadata": message.metadata,
        "content": message.content,
        "buffers": [memoryview(buffer) for buffer in message.buffers],
    }
    try:
        kernel.interrupts.arm()
        getattr(get_comm_manager(), handler)(None, None, whole)
    except KeyboardInterrupt:
        kernel.shell.showtraceback()
    finally:
        kernel.interrupts.disarm()
    kernel.outlet.settle(asker)
