"""JSON-RPC and LSP's life cycle: the one file that knows pygls, and what stands in for the parts of it that do not fit.

From pygls 2.1: dispatch, cancellation, capabilities, start and end. Ours, because of what was measured there:

* params stay plain JSON, so a nested ``jsonrpc`` key is data (pygls structures every nested object);
* the text of documents is ours alone (pygls cuts lines where LSP does not);
* one thread reads standard input and one writes standard output, with a queue between it and the loop: an editor that
  stops reading stops nothing here;
* only coroutines are handlers, so everything can be cancelled and nothing blocks the loop;
* ``exit`` or the end of standard input ends the process within EXIT_SECONDS, whatever hangs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, cast

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, LanguageServerProtocol

from zmqkernel.protocol.errors import RemoteProtocolError, ZmqKernelError

from .documents import Encoding

Json = dict[str, Any]
Handler = Callable[[Json], Awaitable[Any]]

EXIT_SECONDS = 0.25
MAX_WAITING = 256 * 1024 * 1024
"""Bytes that may wait for the editor to read them; an editor that lets more pile up is gone."""
CONGESTED = 1024 * 1024
"""From this many waiting bytes on, what can be sent later is."""

_log = logging.getLogger(__name__)
_KEPT = frozenset({types.INITIALIZE, types.INITIALIZED, types.SHUTDOWN, types.SET_TRACE})
_TYPED = frozenset({types.INITIALIZE, types.SET_TRACE, types.CANCEL_REQUEST})
_encode = msgspec.json.Encoder().encode


class Writer:
    """Frames messages and writes them in a thread of its own, in order."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        self._filled = threading.Condition()
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    @property
    def congested(self) -> bool:
        """Is the editor slow in reading just now?"""
        return self._waiting > CONGESTED

    def send(self, body: bytes) -> None:
        """Queue one message. Ends the process when the editor has let too much pile up."""
        with self._filled:
            data = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            self._queue.append(data)
            self._waiting += len(data)
            self._filled.notify()
        if self._waiting > MAX_WAITING:
            _log.error("the editor has not read %d bytes: giving up on it", self._waiting)
            os._exit(1)

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written; False when that took too long."""
        with self._filled:
            return self._filled.wait_for(lambda: not self._waiting, seconds)

    def _run(self) -> None:
        while True:
            with self._filled:
                self._filled.wait_for(lambda: self._queue)
                data = self._queue.popleft()
            try:
                self._out.write(data)
                self._out.flush()
            except OSError:
                os._exit(1)  # nobody reads what we say: there is no editor any more
            with self._filled:
                self._waiting -= len(data)
                self._filled.notify_all()


class _Protocol(LanguageServerProtocol):
    """pygls' protocol with plain params in and plain JSON out."""

    def __init__(self, server: LanguageServer, converter: Any) -> None:
        super().__init__(server, converter)
        self.output: Writer | None = None
        builtin = cast(dict[str, Any], self.fm.builtin_features)  # pyright: ignore[reportUnknownMemberType]
        for method in set(builtin) - _KEPT:
            del builtin[method]

    def structure_message(self, data: Json) -> Any:
        """Only the top level, and only the messages that pygls itself handles get types."""
        method = data.get("method")
        if method in _TYPED or method is None:
            return super().structure_message(data)
        params: Json = data.get("params") or {}
        if "id" in data:
            return JsonRPCRequestMessage(data["id"], method, "2.0", params)
        return JsonRPCNotification(method, "2.0", params)

    def _send_data(self, data: Any) -> None:
        if self.output:
            # Our results are Structs and dicts; those of pygls are attrs classes, which know LSP's names by converter.
            plain = {"jsonrpc": "2.0", "id": data.id, "result": data.result} if hasattr(data, "result") else None
            if plain is None or hasattr(plain["result"], "__attrs_attrs__"):
                plain = self._converter.unstructure(data)
            self.output.send(_encode(plain))


class _Server(LanguageServer):
    protocol: _Protocol  # pyright: ignore[reportIncompatibleVariableOverride]

    def report_server_error(self, error: Exception, source: Any) -> None:
        """A line in the log, no pop-up: the caller has had its error reply."""
        _log.warning("%s: %s", getattr(source, "__name__", source), error)


class Rpc:
    """One editor on standard input and output. Register handlers, then :meth:`run`."""

    def __init__(self, name: str, version: str) -> None:
        self._server = _Server(name, version, protocol_cls=_Protocol)
        self._closing: Callable[[], Awaitable[None]] | None = None
        self.client: types.InitializeParams | None = None
        self.on(types.INITIALIZE, self._initialize)
        self.on(types.WORKSPACE_EXECUTE_COMMAND, self._command)

    # --- what the bridge says ----------------------------------------------------------------------------------------

    def on(self, method: str, handler: Handler, options: Any = None) -> None:
        """Answer a request, or take a notification, with a coroutine; what it raises is the error reply."""
        self._server.feature(method, options)(_bounded(method, handler))

    def on_completion(self, handler: Handler, trigger_characters: list[str]) -> None:
        """Answer textDocument/completion."""
        self.on(types.TEXT_DOCUMENT_COMPLETION, handler, types.CompletionOptions(trigger_characters=trigger_characters))

    def on_command(self, name: str, handler: Handler) -> None:
        """Answer workspace/executeCommand; the handler gets the one argument, an object."""
        self._server.command(name)(_bounded(name, handler))

    def on_close(self, handler: Callable[[], Awaitable[None]]) -> None:
        """What to do when the editor leaves; it has less than EXIT_SECONDS."""
        self._closing = handler

    def notify(self, method: str, params: Any) -> int:
        """Send a notification; ``params`` are plain dicts or Structs. Returns how many bytes that are."""
        body = _encode({"jsonrpc": "2.0", "method": method, "params": params})
        if self._server.protocol.output:
            self._server.protocol.output.send(body)
        return len(body)

    def show(self, message: str, *, error: bool = False) -> None:
        """A line for the person in front of the editor."""
        self.notify("window/showMessage", {"type": 1 if error else 3, "message": message})

    @property
    def congested(self) -> bool:
        """Is the editor slow in reading just now?"""
        output = self._server.protocol.output
        return output is not None and output.congested

    # --- what the editor is ------------------------------------------------------------------------------------------

    @property
    def encoding(self) -> Encoding:
        """The negotiated encoding of positions: the first of the client's list, which is all that LSP has."""
        encoding = self._server.workspace.position_encoding
        return {"utf-8": "utf-8", "utf-32": "utf-32"}.get(str(getattr(encoding, "value", encoding)), "utf-16")  # pyright: ignore[reportReturnType]

    @property
    def options(self) -> Json:
        """The client's initializationOptions, empty when they are not an object."""
        options: Any = self.client.initialization_options if self.client else None
        return options if isinstance(options, dict) else {}  # pyright: ignore[reportUnknownVariableType]

    @property
    def renders(self) -> bool:
        """Does the client show outputs itself? A plugin of ours says so."""
        return isinstance(self.options.get("zmqkernel"), dict)

    @property
    def sender(self) -> str:
        """Who the editor is, in one line: ``neovim 1234``."""
        info = self.client.client_info if self.client else None
        pid = self.client.process_id if self.client else None
        return " ".join(filter(None, [info.name.lower() if info else "editor", str(pid or "")]))

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the editor leaves; does not return."""
        # Nobody else may write to the editor's pipe: a stray print becomes a line in its log.
        source, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        asyncio.run(self._serve(source, out))

    async def _serve(self, source: BinaryIO, out: BinaryIO) -> None:
        loop = asyncio.get_running_loop()
        self._server.protocol.output = Writer(out)
        ended = asyncio.Event()
        reader = threading.Thread(target=self._read, args=(source, loop, ended), name="reader", daemon=True)
        reader.start()
        await ended.wait()
        if self._closing:
            await self._closing()
        self._leave()

    def _read(self, source: BinaryIO, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        """The reader thread. It is the one that cannot be held up, so it also sees to it that the process ends."""
        while (body := read_frame(source)) is not None:
            try:
                data: Any = json.loads(body)
            except ValueError as error:
                loop.call_soon_threadsafe(self._refuse, None, types.ErrorCodes.ParseError, f"not JSON: {error}")
                continue
            message = cast(Json, data) if isinstance(data, dict) else None
            if message is None:
                loop.call_soon_threadsafe(self._refuse, None, types.ErrorCodes.InvalidRequest, "not an object")
            elif message.get("method") == types.EXIT:
                break
            else:
                loop.call_soon_threadsafe(self._handle, message)
        timer = threading.Timer(EXIT_SECONDS, self._leave)
        timer.daemon = True
        timer.start()
        loop.call_soon_threadsafe(ended.set)

    def _leave(self) -> None:
        output = self._server.protocol.output
        if output:
            output.flush(0.02)
        # Not sys.exit: the interpreter's end would join threads that wait for the editor or for a session.
        os._exit(0 if self._server.protocol._shutdown else 1)  # pyright: ignore[reportPrivateUsage]

    def _handle(self, data: Json) -> None:
        try:
            message = self._server.protocol.structure_message(data)
        except JsonRpcException as error:
            self._refuse(data.get("id"), types.ErrorCodes.InvalidParams, f"{data.get('method')}: {error}")
            return
        self._server.protocol.handle_message(message)

    def _refuse(self, msg_id: Any, code: types.ErrorCodes, text: str) -> None:
        _log.warning("%s", text)
        output = self._server.protocol.output
        if output:
            output.send(_encode({"jsonrpc": "2.0", "id": msg_id, "error": {"code": code.value, "message": text}}))

    async def _initialize(self, params: Any) -> None:
        self.client = params

    async def _command(self, params: Json) -> Any:
        name = params.get("command")
        arguments: list[Any] = params.get("arguments") or []
        commands = cast(dict[str, Handler], self._server.protocol.fm.commands)  # pyright: ignore[reportUnknownMemberType]
        handler = commands.get(str(name))
        if handler is None:
            raise RemoteProtocolError(f"there is no command {name!r}")
        if len(arguments) != 1 or not isinstance(arguments[0], dict):
            raise RemoteProtocolError(f"{name} takes one object")
        return await handler(cast(Json, arguments[0]))


def read_frame(source: BinaryIO) -> bytes | None:
    """The body of the next message, None at the end of the stream or when it makes no sense any more."""
    length = -1
    while line := source.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value) if value.strip().isdigit() else -1
        elif not line.strip() and length >= 0:
            body = source.read(length)
            return body if len(body) == length else None
        elif not line.strip():
            _log.error("a message without Content-Length")
            return None
    return None


def _bounded(method: str, handler: Handler) -> Handler:
    """The one error boundary: our errors go out as they are, anything else is logged and named, without a traceback."""

    async def bounded(params: Json) -> Any:
        try:
            return await handler(params)
        except JsonRpcException:
            raise  # a command's, bounded already
        except RemoteProtocolError as error:
            raise JsonRpcInvalidParams(f"{method}: {error}") from None
        except ZmqKernelError as error:
            raise JsonRpcInternalError(". ".join(filter(None, [str(error), error.hint]))) from None
        except Exception as error:  # noqa: BLE001  a bug in one request must not end the bridge
            _log.exception("%s failed", method)
            raise JsonRpcInternalError(f"{method}: {type(error).__name__}: {error}") from None

    return bounded
