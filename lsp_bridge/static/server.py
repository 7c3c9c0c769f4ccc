"""The static side by a language server that is a child of ours: ty, pyrefly, or any that speaks LSP on its standard streams."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import msgspec

from ..capabilities import encoding_of
from ..documents import Document, Encoding, Point
from ..merge import KEYS, KINDS, PARAMETERS, Item
from ..structures import Position
from .static import Location, Signature, Spot

Json = dict[str, Any]

ANSWER_SECONDS = 10.0
STUCK = 3
"""After so many questions without an answer the server is replaced."""
_WORDS = {number: word for word, number in KINDS.items() if word not in KEYS | PARAMETERS}
"""Theirs never are keys or columns of data, whatever they call them."""

_log = logging.getLogger(__name__)


class LspStatic:
    """``argv`` is the server's command; ``python`` and ``project`` as in ``new_static``. Started by the first question."""

    def __init__(self, argv: Sequence[str], python: str, project: str) -> None:
        self._argv = argv
        self._python = python
        self._project = project
        self._process: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Task[bool] | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._newest: dict[str, int] = {}
        self._versions: dict[str, tuple[int, str]] = {}
        self._encoding: Encoding = "utf-16"
        self._silent = 0
        self._readers: set[asyncio.Task[None]] = set()
        self._closed = False

    async def complete(self, spot: Spot) -> list[Item] | None:
        found = await self._at("textDocument/completion", spot)
        items = _list(found) or _list(_object(found).get("items"))
        return (
            None if found is None else [_item(one) for one in items if not one.get("additionalTextEdits")]
        )  # those that would add an import

    async def resolve(self, ref: Any) -> str | None:
        if "documentation" in _object(ref):
            return _markdown(ref["documentation"])
        return _markdown(_object(await self._ask("completionItem/resolve", _object(ref))).get("documentation"))

    async def hover(self, spot: Spot) -> str | None:
        found = await self._at("textDocument/hover", spot)
        return _markdown(_object(found).get("contents"))

    async def signature(self, spot: Spot) -> list[Signature] | None:
        found = await self._at("textDocument/signatureHelp", spot)
        return [_signature(one, _object(found)) for one in _list(_object(found).get("signatures"))]

    async def definition(self, spot: Spot) -> list[Location] | None:
        found = await self._at("textDocument/definition", spot)
        return [self._location(one, spot) for one in _list(found) or ([found] if found else [])]

    def warm(self, text: str, path: str) -> None:
        task = asyncio.ensure_future(self._warm(text, path))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    def close(self) -> None:
        self._closed = True
        self._kill()

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _warm(self, text: str, path: str) -> None:
        await self._at("textDocument/hover", Spot(text, 0, 0, path))

    def _location(self, found: Json, spot: Spot) -> Location:
        uri = found.get("targetUri") or found["uri"]
        start = (found.get("targetSelectionRange") or found["range"])["start"]
        target, text = _path(uri), spot.text
        if target != spot.path:
            with contextlib.suppress(OSError):  # a file that only the server can see: columns of ASCII lines are right
                text = Path(target).read_bytes().decode(errors="replace")
        point = Document(uri, text, 0, self._encoding).point(Position(start["line"], start["character"]))
        return Location(target, point.line, point.column)

    async def _at(self, method: str, spot: Spot) -> Any:
        if not await self._is_ready():
            return None
        uri = Path(spot.path or "/untitled.py").as_uri()
        version, known = self._versions.get(uri, (0, None))
        if known is None:
            document = {"uri": uri, "languageId": "python", "version": 1, "text": spot.text}
            self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        elif known != spot.text:
            change = {"textDocument": {"uri": uri, "version": version + 1}, "contentChanges": [{"text": spot.text}]}
            self._send({"method": "textDocument/didChange", "params": change})
        self._versions[uri] = version + (known != spot.text), spot.text
        position = Document(uri, spot.text, 0, self._encoding).position(Point(spot.line, spot.column))
        return await self._ask(method, {"textDocument": {"uri": uri}, "position": position})

    async def _ask(self, method: str, params: Json) -> Any:
        """The result; None when it failed, or a newer question of this kind came."""
        overtaken = self._answers.get(self._newest.get(method, 0))
        if overtaken and not overtaken.done():
            self._send({"method": "$/cancelRequest", "params": {"id": self._newest[method]}})
            overtaken.set_result(None)
        number = self._newest[method] = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "method": method, "params": params})
        try:
            result = await asyncio.wait_for(asyncio.shield(answer), ANSWER_SECONDS)
            self._silent = 0
            return result
        except TimeoutError:
            self._silent += 1
            if self._silent >= STUCK:
                self._kill()
            return None
        except asyncio.CancelledError:
            self._send({"method": "$/cancelRequest", "params": {"id": number}})
            raise
        finally:
            self._answers.pop(number, None)

    async def _is_ready(self) -> bool:
        if self._closed:
            return False
        if self._ready is None:
            self._ready = asyncio.ensure_future(self._start())
        return await asyncio.shield(self._ready)

    async def _start(self) -> bool:
        environment = dict(os.environ)
        if self._python:
            environment["VIRTUAL_ENV"] = str(Path(self._python).parent.parent)  # how ty and pyrefly find packages
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
                cwd=self._project or None,
            )
        except OSError as error:
            _log.warning("the static language server does not start: %s", error)
            return False
        reader = asyncio.ensure_future(self._read(self._process))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        root = Path(self._project or "/").as_uri()
        documentation = {"documentationFormat": ["markdown", "plaintext"]}
        capabilities = {
            "general": {"positionEncodings": ["utf-8", "utf-16"]},
            "textDocument": {
                "completion": {"completionItem": documentation},
                "hover": {"contentFormat": ["markdown"]},
                "signatureHelp": {"signatureInformation": documentation},
            },
        }
        folders = [{"uri": root, "name": "project"}]
        params = {"processId": os.getpid(), "rootUri": root, "capabilities": capabilities, "workspaceFolders": folders}
        found = await self._ask("initialize", params)
        if not found:
            self._kill()
            return False
        self._encoding = encoding_of([_object(found.get("capabilities")).get("positionEncoding")])
        self._send({"method": "initialized", "params": {}})
        return True

    def _send(self, message: Json) -> None:
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            body = msgspec.json.encode({"jsonrpc": "2.0", **message})
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        with contextlib.suppress(
            OSError, ValueError, asyncio.IncompleteReadError
        ):  # it died, or talks nonsense: replaced
            while True:
                head = await process.stdout.readuntil(b"\r\n\r\n")
                length = next(int(one.split(b":")[1]) for one in head.split(b"\r\n") if b"ength" in one)
                self._take(msgspec.json.decode(await process.stdout.readexactly(length)))
        if self._process is process:
            self._kill()
        with contextlib.suppress(ProcessLookupError):
            await process.wait()

    def _take(self, message: Json) -> None:
        if "method" in message:
            if "id" in message:  # configuration, registrations: nothing here that it could use
                count = len(message.get("params", {}).get("items", []))
                result = [None] * count if message["method"] == "workspace/configuration" else None
                self._send({"id": message["id"], "result": result})
            return
        answer = self._answers.get(message.get("id", 0))
        if answer and not answer.done():
            answer.set_result(message.get("result"))

    def _kill(self) -> None:
        """End the process; the next question starts another, unless it was the last."""
        process, self._process = self._process, None
        self._ready, self._versions, self._silent = None, {}, 0
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        if not self._closed:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(None)


def _object(value: Any) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _path(uri: str) -> str:
    return unquote(urlsplit(uri).path)


def _item(one: Json) -> Item:
    details: Json = one.get("labelDetails") or {}
    # Its own item goes back to it when more is wanted; documentation that came along is not asked for again.
    return Item(
        str(one.get("label", "")).removesuffix("()"),
        _WORDS.get(one.get("kind", 0), ""),
        str(details.get("description") or one.get("detail") or "")[:200],
        "static",
        ref=one,
    )


def _signature(one: Json, found: Json) -> Signature:
    label = str(one.get("label", ""))
    names: list[str] = []
    for parameter in _list(one.get("parameters")):
        name: Any = parameter["label"]
        names.append(name if isinstance(name, str) else label[name[0] : name[1]])
    active = one.get("activeParameter", found.get("activeParameter"))
    return Signature(label, _markdown(one.get("documentation")) or "", names, active)


def _markdown(value: Any) -> str | None:
    if isinstance(value, list):
        return "\n\n".join(filter(None, map(_markdown, cast(list[Any], value)))) or None
    if isinstance(value, dict):
        content = cast(Json, value)
        text = str(content.get("value") or "")
        return f"```{content['language']}\n{text}\n```" if "language" in content else text or None
    return str(value) if value else None
