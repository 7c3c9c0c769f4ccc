"""JSON-RPC and LSP's life cycle on standard input and output; what an editor can do, and what we offer it.

Ours and not pygls': importing pygls and lsprotocol was 0.4 of the bridge's 0.6 s of processor time at its start, more than
everything else together, and what was left of it after the traps that were measured there (params structured at every
depth, a blocking writer on the loop, an exit that joins threads) was a dispatch table.

* Params stay plain JSON: a nested ``jsonrpc`` key is data.
* One thread reads and one writes: an editor that stops reading stops nothing here.
* Only coroutines are handlers, and each request is a task: its end, whatever it is, is the one answer that is sent. What the
  editor has said is heard before any of it starts, so a request that is cancelled already never begins.
* ``exit`` or the end of standard input ends the process within EXIT_SECONDS, whatever hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from io import BufferedReader
from typing import Any, BinaryIO, cast

import msgspec

from zmqkernel.protocol.errors import RemoteProtocolError

from . import errors
from .capabilities import PROVIDERS, RESOLVERS, encoding_of
from .documents import Encoding
from .errors import RpcError, bounded
from .frames import Ear, Writer, read_frame

Json = dict[str, Any]
Handler = Callable[[Json], Awaitable[Any]]

EXIT_SECONDS = 0.25
HEARING_SECONDS = 0.003
"""How long a request waits at most until all is heard that the editor has said."""
MAX_UNREAD = 1000
"""Messages that may wait for the loop; then the editor's pipe fills."""
ANSWER_SECONDS = 60.0
"""How long an editor may take to answer a request of ours."""

_log = logging.getLogger(__name__)


class Rpc:
    """One editor on standard input and output. Register handlers, then :meth:`run`."""

    def __init__(self, name: str, version: str) -> None:
        self._info = {"name": name, "version": version}
        self._handlers: dict[str, Handler] = {}
        self._commands: dict[str, Handler] = {}
        self._offers: Json = {"textDocumentSync": {"openClose": True, "change": 2}}
        self._starting: list[Callable[[], None]] = []
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._ending: list[Callable[[], None]] = []
        self._output: Writer | None = None
        self._inbox: deque[Json] = deque()
        self._room = threading.Semaphore(MAX_UNREAD)
        self._tasks: dict[Any, asyncio.Task[Any]] = {}
        self._turns: deque[asyncio.Future[None]] = deque()
        self._notified: set[asyncio.Task[Any]] = set()
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._ear: Ear | None = None
        self._state = "new"
        self.encoding: Encoding = "utf-16"
        """In which characters of positions count: the first of the client's list that LSP knows."""
        self.client: Json = {}
        """The params of ``initialize``."""
        self.on("workspace/executeCommand", self._command)

    # --- what the bridge offers --------------------------------------------------------------------------------------

    def on(self, method: str, handler: Handler, options: Any = None) -> None:
        """Answer a request, or take a notification, with a coroutine; what it raises is the error reply.

        The editor learns of it by the method's capability, with ``options`` (a dict) if there are any.
        """
        self._handlers[method] = handler
        if provider := PROVIDERS.get(method):
            self._offers[provider] = options or {}
        elif provider := RESOLVERS.get(method):
            self._offers.setdefault(provider, {})["resolveProvider"] = True

    def on_completion(self, handler: Handler, trigger_characters: list[str]) -> None:
        """Answer textDocument/completion."""
        self.on("textDocument/completion", handler, {"triggerCharacters": trigger_characters})

    def on_command(self, name: str, handler: Handler) -> None:
        """Answer workspace/executeCommand; the handler gets the one argument, an object."""
        self._commands[name] = handler

    def offer(self, capability: str, value: Any) -> None:
        """Announce a capability that has no single method, as it stands in ``initialize``'s answer."""
        self._offers[capability] = value

    def on_start(self, handler: Callable[[], None]) -> None:
        """What to do when the client is known and before it is told what is offered: that may depend on it."""
        self._starting.append(handler)

    def on_close(self, handler: Callable[[], Awaitable[None]]) -> None:
        """What to do when the editor leaves; it has less than EXIT_SECONDS."""
        self._closing.append(handler)

    def on_end(self, handler: Callable[[], None]) -> None:
        """What must be done before the process ends, whatever else hangs; called in any thread, must not wait."""
        self._ending.append(handler)

    # --- what the bridge says ----------------------------------------------------------------------------------------

    def notify(self, method: str, params: Any) -> int:
        """Send a notification; ``params`` are plain dicts or Structs. Returns how many bytes that are."""
        return self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def ask(self, method: str, params: Any, seconds: float = ANSWER_SECONDS) -> Any:
        """Ask the editor; its result. RemoteProtocolError when it refuses or does not answer in time."""
        number = f"z{next(self._numbers)}"
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send({"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})})
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            raise RemoteProtocolError(f"the editor did not answer {method}") from None
        finally:
            del self._asked[number]

    def show(self, message: str, *, error: bool = False) -> None:
        """A line for the person in front of the editor."""
        self.notify("window/showMessage", {"type": 1 if error else 3, "message": message})

    @property
    def congested(self) -> bool:
        """Is the editor slow in reading just now?"""
        return bool(self._output and self._output.congested)

    # --- what the editor is ------------------------------------------------------------------------------------------

    def supports(self, *path: str) -> Any:
        """What the client's capabilities have at a path of keys; None when it is not there."""
        value: Any = self.client.get("capabilities")
        for key in path:
            value = cast(Json, value).get(key) if isinstance(value, dict) else None
        return value

    @property
    def options(self) -> Json:
        """The client's initializationOptions, empty when they are not an object."""
        return _object(self.client.get("initializationOptions"))

    @property
    def ours(self) -> Json:
        """``initializationOptions.zmqkernel``, empty without."""
        return _object(self.options.get("zmqkernel"))

    @property
    def plugin(self) -> bool:
        """Is the client a plugin that knows us? It calls our commands by itself, so they are not advertised to it."""
        return isinstance(self.options.get("zmqkernel"), dict)

    @property
    def renders(self) -> bool:
        """Does the client show outputs itself, and take notifications of our own?"""
        return self.plugin and self.wants("output")

    def wants(self, feature: str) -> bool:
        """Has the client not switched a feature off in ``initializationOptions.zmqkernel.features``?"""
        return _object(self.ours.get("features")).get(feature) is not False

    @property
    def sender(self) -> str:
        """Who the editor is, in one line: ``neovim 1234``."""
        name = str(_object(self.client.get("clientInfo")).get("name") or "editor").lower()
        return " ".join(filter(None, [name, str(self.client.get("processId") or "")]))

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the editor leaves; does not return."""
        # Nobody else may write to the editor's pipe: a stray print becomes a line in its log.
        self._ear, out = Ear(os.dup(0)), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        # Three threads share one interpreter, and each message goes through all: at 5 ms they would wait for one another.
        sys.setswitchinterval(0.001)
        asyncio.run(self._serve(BufferedReader(self._ear), out))

    async def _serve(self, source: BufferedReader, out: BinaryIO) -> None:
        loop = asyncio.get_running_loop()
        self._output = Writer(out)
        ended = asyncio.Event()
        reader = threading.Thread(target=self._read, args=(source, loop, ended), name="reader", daemon=True)
        reader.start()
        await ended.wait()
        for task in list(self._tasks.values()):
            task.cancel()  # each gets its answer, also now
        await asyncio.sleep(0.01)
        for close in self._closing:
            with contextlib.suppress(
                Exception
            ):  # the editor has gone: nobody to tell, and the process ends in any case
                await close()
        self._leave()

    def _read(self, source: BufferedReader, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        """The reader thread. It is the one that cannot be held up, so it also sees to it that the process ends."""
        while (body := read_frame(source)) is not None:
            try:
                data: Any = json.loads(body)
            except ValueError as error:
                self._refuse(None, errors.PARSE_ERROR, f"not JSON: {error}")
                continue
            if not isinstance(data, dict):
                self._refuse(None, errors.INVALID_REQUEST, "not an object")
                continue
            message = cast(Json, data)
            if message.get("method") == "exit":
                break
            # An editor whose parent dies while the loop hangs must not keep us: then the end of the stream is not seen here.
            while not self._room.acquire(timeout=1.0):
                if os.getppid() == 1:
                    self._leave()
            self._inbox.append(message)
            loop.call_soon_threadsafe(self._drain)
        timer = threading.Timer(EXIT_SECONDS, self._leave)
        timer.daemon = True
        timer.start()
        loop.call_soon_threadsafe(ended.set)

    def _leave(self) -> None:
        for end in self._ending:
            with contextlib.suppress(Exception):  # one that fails must not keep the others, or the process
                end()
        if self._output:
            self._output.flush(0.02)
        # Not sys.exit: the interpreter's end would join threads that wait for the editor or for a session.
        os._exit(0 if self._state == "shutdown" else 1)

    # --- one message -------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Look at everything that has been read. Tasks begin after this, in this order, so what is cancelled never does."""
        while self._inbox:
            message = self._inbox.popleft()
            self._room.release()
            if "method" not in message:
                self._answered(message)
            elif "id" in message:
                self._request(message["id"], str(message["method"]), message.get("params"))
            else:
                self._notification(str(message["method"]), message.get("params"))

    def _request(self, number: Any, method: str, params: Any) -> None:
        handler = self._handlers.get(method)
        if problem := self._problem(method, params):
            self._refuse(number, *problem)
        elif method == "initialize":
            self._reply(number, self._initialize(_object(params)))
        elif method == "shutdown":
            self._state = "shutdown"
            self._reply(number, None)
        elif handler:
            task = self._tasks[_key(number)] = asyncio.ensure_future(self._in_turn(method, handler, cast(Json, params)))
            task.add_done_callback(lambda done: self._done(number, done))

    def _problem(self, method: str, params: Any) -> tuple[int, str] | None:
        """Why a request cannot be taken: code and text."""
        if self._state == "new" and method != "initialize":
            return errors.NOT_INITIALIZED, f"{method} before initialize"
        if self._state == "shutdown":
            return errors.INVALID_REQUEST, f"{method} after shutdown"
        if method in ("initialize", "shutdown"):
            return (
                (errors.INVALID_REQUEST, "initialize a second time") if method == "initialize" and self.client else None
            )
        if method not in self._handlers:
            return errors.UNKNOWN_METHOD, f"{method} is not answered here"
        return None if isinstance(params, dict) else (errors.INVALID_PARAMS, f"{method}: params are no object")

    def _notification(self, method: str, params: Any) -> None:
        if method == "$/cancelRequest":
            task = self._tasks.get(_key(_object(params).get("id")))
            if task:
                task.cancel()
            return
        handler = self._handlers.get(method)
        if handler and self._state == "ready" and isinstance(params, dict):
            task = asyncio.ensure_future(self._in_turn(method, handler, cast(Json, params)))
            self._notified.add(task)
            task.add_done_callback(self._taken)

    async def _in_turn(self, method: str, handler: Handler, params: Json) -> Any:
        """One begins in each turn of the loop, in the editor's order; what it has said by then, cancels too, is heard first."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        if len(self._turns) == 1:
            # Never at once: the one before may have its turn and not have run yet.
            asyncio.get_running_loop().call_soon(self._next_turn, asyncio.get_running_loop().time())
        await turn
        return await bounded(method, handler, params)

    def _next_turn(self, since: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - since > HEARING_SECONDS or self._ear is None or self._ear.has_heard_all:
            turn, since = self._turns.popleft(), loop.time()
            if not turn.done():
                turn.set_result(None)
        if self._turns:
            loop.call_soon(self._next_turn, since)

    def _taken(self, task: asyncio.Task[Any]) -> None:
        self._notified.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.warning("%s", error)  # a line in the log, no pop-up

    def _done(self, number: Any, task: asyncio.Task[Any]) -> None:
        """The one answer to a request."""
        if self._tasks.get(_key(number)) is task:
            del self._tasks[_key(number)]
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self._refuse(number, errors.CANCELLED, "cancelled", quiet=True)
        elif error:
            self._refuse(number, error.code if isinstance(error, RpcError) else errors.INTERNAL, str(error))
        else:
            self._reply(number, task.result())

    def _reply(self, number: Any, result: Any) -> None:
        try:
            self._send({"jsonrpc": "2.0", "id": number, "result": result})
        except (TypeError, ValueError, msgspec.MsgspecError) as error:  # no JSON: a bug, still answered
            self._refuse(number, errors.INTERNAL, f"the result cannot be sent: {error}")

    def _refuse(self, number: Any, code: int, text: str, *, quiet: bool = False) -> None:
        if not quiet:
            _log.warning("%s", text)
        self._send({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}})

    def _answered(self, message: Json) -> None:
        """The editor's answer to a request of ours."""
        answer = self._asked.get(str(message.get("id")))
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(RemoteProtocolError(str(_object(message["error"]).get("message"))))
        else:
            answer.set_result(message.get("result"))

    def _send(self, message: Json) -> int:
        try:
            body = _encode(message)
        except UnicodeEncodeError:
            # Half of a surrogate pair, which JSON can carry and UTF-8 cannot.
            body = json.dumps(msgspec.to_builtins(message)).encode()
        if self._output:
            self._output.send(body)
        return len(body)

    def _initialize(self, params: Json) -> Json:
        self.client, self._state = params, "ready"
        self.encoding = encoding_of(self.supports("general", "positionEncodings"))
        for start in self._starting:
            start()
        commands = {} if self.plugin else {"executeCommandProvider": {"commands": list(self._commands)}}
        return {
            "capabilities": {"positionEncoding": self.encoding, **self._offers, **commands},
            "serverInfo": self._info,
        }

    async def _command(self, params: Json) -> Any:
        name = params.get("command")
        arguments: list[Any] = params.get("arguments") or []
        handler = self._commands.get(str(name))
        if handler is None:
            raise RemoteProtocolError(f"there is no command {name!r}")
        if len(arguments) != 1 or not isinstance(arguments[0], dict):
            raise RemoteProtocolError(f"{name} takes one object")
        return await handler(cast(Json, arguments[0]))


_encode = msgspec.json.Encoder().encode


def _object(value: Any) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _key(number: Any) -> Any:
    """Ids are numbers or strings; anything else is nobody's."""
    return number if isinstance(number, int | str) else None
