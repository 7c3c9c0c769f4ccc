"""The public Python API: run code in a session, read what it said, from asyncio or without it.

    from zmqkernel.client import Client

    with Client.connect("analysis") as session:
        execution = session.execute("print(6 * 7)")
        for output in execution:
            print(output.msg_type, output.content)
        print(execution.reply.status)

The same with ``async``/``await``: :class:`AsyncClient`. A session is found by name, path or connection file, and started when
it does not run. Everything that a client reads comes from the session's journal: it survives this client, the editor,
the kernel and the supervisor, and :meth:`Client.follow` reads it again from any position. A client whose session loses its
supervisor starts it again and goes on.

Errors are those of :mod:`zmqkernel.protocol.errors`. Code that raises is not an error but a reply with ``status == "error"``;
a kernel that dies is one too, with ``ename == "KernelDied"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocking import Client
    from .blocking_executions import Execution, Following
    from .client import AsyncClient
    from .discovery import SessionState, find, sessions, start
    from .executions import AsyncExecution, AsyncFollowing
    from .follow import REWIND, Published
    from .mirror import Mirror

__all__ = [
    "REWIND",
    "AsyncClient",
    "AsyncExecution",
    "AsyncFollowing",
    "Client",
    "Execution",
    "Following",
    "Mirror",
    "Published",
    "SessionState",
    "find",
    "sessions",
    "start",
]

_WHERE = {
    "AsyncClient": "client",
    "AsyncExecution": "executions",
    "AsyncFollowing": "executions",
    "Client": "blocking",
    "Execution": "blocking_executions",
    "Following": "blocking_executions",
    "Mirror": "mirror",
    "Published": "follow",
    "REWIND": "follow",
    "SessionState": "discovery",
    "find": "discovery",
    "sessions": "discovery",
    "start": "discovery",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the blocking face must not pay for asyncio, nor discovery for zmq."""
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
