"""Error replies: JSON-RPC's and LSP's codes, and the one boundary where errors become replies."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from zmqkernel.protocol.errors import RemoteProtocolError, ZmqKernelError

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
NOT_INITIALIZED, CANCELLED = -32002, -32800

_log = logging.getLogger(__name__)


class RpcError(Exception):
    """An error reply: what is sent as ``code`` and ``message``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


async def bounded(method: str, handler: Callable[[dict[str, Any]], Awaitable[Any]], params: dict[str, Any]) -> Any:
    """The one error boundary: our errors go out as they are, anything else is logged and named, without a traceback."""
    try:
        return await handler(params)
    except RpcError:
        raise
    except RemoteProtocolError as error:
        raise RpcError(INVALID_PARAMS, f"{method}: {error}") from None
    except ZmqKernelError as error:
        raise RpcError(INTERNAL, ". ".join(filter(None, [str(error), error.hint]))) from None
    except Exception as error:  # noqa: BLE001  a bug in one request must not end the bridge
        _log.exception("%s failed", method)
        raise RpcError(INTERNAL, f"{method}: {type(error).__name__}: {error}") from None
