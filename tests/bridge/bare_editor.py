"""An editor without a screen: speaks JSON-RPC over standard input and output to the real bridge process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]
SECONDS = 60.0
"""How long anything may take before a test gives up."""
CAPABILITIES: Json = {
    "workspace": {"codeLens": {"refreshSupport": True}, "inlayHint": {"refreshSupport": True}},
    "textDocument": {
        "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
        "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}},
    },
}
"""What an editor can do, if a test does not say otherwise."""


class ReplyError(Exception):
    """The bridge answered with an error."""


class BareEditor:
    """Starts the bridge in ``folder``. ``plugin``: say that we show outputs ourselves, and with which options.

    Requests of the bridge are answered with null, and kept among the notifications.
    """

    def __init__(
        self,
        folder: Path,
        *,
        plugin: bool | Json = True,
        encodings: list[str] | None = None,
        capabilities: Json | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lsp_bridge"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )
        self.notifications: list[Json] = []
        self.read_on = threading.Event()
        self.read_on.set()
        self._replies: dict[int, Json] = {}
        self._changed = threading.Condition()
        self._number = 0
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._sending = threading.Lock()
        self._reader.start()
        self._versions: dict[str, int] = {}
        self.initialized = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "clientInfo": {"name": "Bare"},
                "rootUri": folder.as_uri(),
                "capabilities": {
                    "general": {"positionEncodings": encodings or ["utf-16"]},
                    **(CAPABILITIES if capabilities is None else capabilities),
                },
                "initializationOptions": {"zmqkernel": {} if plugin is True else plugin} if plugin else None,
            },
        )
        self.notify("initialized", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    # --- JSON-RPC ----------------------------------------------------------------------------------------------------

    def send(self, message: Json) -> None:
        body = json.dumps(message).encode()
        assert self.process.stdin
        with self._sending:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            self.process.stdin.flush()

    def notify(self, method: str, params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def begin(self, method: str, params: Any) -> int:
        """Send a request; :meth:`reply` waits for its answer."""
        self._number += 1
        self.send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        return self._number

    def reply(self, number: int) -> Any:
        reply = self._until(lambda: self._replies.pop(number, None), f"reply {number}")
        if "error" in reply:
            raise ReplyError(reply["error"]["message"])
        return reply["result"]

    def request(self, method: str, params: Any) -> Any:
        return self.reply(self.begin(method, params))

    def command(self, name: str, argument: Json) -> Any:
        return self.request(
            "workspace/executeCommand", {"command": f"zmqkernel.server.{name}", "arguments": [argument]}
        )

    def wait_for(self, method: str, wanted: Callable[[Json], Any] = lambda params: True, after: int = 0) -> Json:
        """The params of the first notification that is wanted, from number ``after`` on; waits for it."""

        def search() -> Json | None:
            for note in self.notifications[after:]:
                if note["method"] == method and wanted(note["params"]):
                    return note["params"]
            return None

        return self._until(search, method)

    def _until(self, found: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + SECONDS
        with self._changed:
            while (result := found()) is None:
                if self._ended or not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    last = [(n["method"], str(n["params"])[:300]) for n in self.notifications[-5:]]
                    raise AssertionError(f"no {what}, bridge ended: {self._ended}; the last notifications: {last}")
            return result

    def _read(self) -> None:
        out = self.process.stdout
        assert out
        while True:
            self.read_on.wait()
            header = out.readline()
            if not header:
                with self._changed:
                    self._ended = True
                    self._changed.notify_all()
                return
            out.readline()
            message = json.loads(out.read(int(header.split(b":")[1])))
            with self._changed:
                if "method" in message:
                    message.setdefault("params", {})
                    self.notifications.append(message)
                else:
                    self._replies[message["id"]] = message
                self._changed.notify_all()
            if "method" in message and "id" in message:
                with contextlib.suppress(OSError, ValueError):  # the bridge was killed, or is going
                    self.send({"jsonrpc": "2.0", "id": message["id"], "result": None})

    # --- editing and running -----------------------------------------------------------------------------------------

    def open(self, path: Path) -> str:
        """Open a file; returns its uri."""
        uri = path.as_uri()
        self._versions[uri] = 1
        item = {"uri": uri, "languageId": "python", "version": 1, "text": path.read_bytes().decode()}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def edit(self, uri: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        self._versions[uri] += 1
        place = {
            "start": {"line": start[0], "character": start[1]},
            "end": {"line": end[0], "character": end[1]},
        }
        document = {"uri": uri, "version": self._versions[uri]}
        change = {"textDocument": document, "contentChanges": [{"range": place, "text": text}]}
        self.notify("textDocument/didChange", change)

    def ask(self, method: str, uri: str, **params: Any) -> Any:
        """A request about a whole document."""
        return self.request(f"textDocument/{method}", {"textDocument": {"uri": uri}, **params})

    def run_cell(self, uri: str, line: int) -> str:
        """Run the cell at a line; returns its execution."""
        return self.command("runCell", {"uri": uri, "position": {"line": line, "character": 0}})["execution"]

    def output(self, execution: str, wanted: Callable[[Json], Any], after: int = 0) -> Json:
        """A ``zmqkernel/output`` of this execution that is wanted."""
        return self.wait_for("zmqkernel/output", lambda p: p["execution"] == execution and wanted(p), after)

    def finished(self, execution: str) -> Json:
        return self.output(execution, lambda p: p["state"] not in ("queued", "running", "waiting"))

    # --- leaving -----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL the bridge, as a crash of the editor does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self._gone()

    def exit(self) -> int:
        """shutdown, exit; the exit code."""
        self.request("shutdown", None)
        self.notify("exit", None)
        self.process.wait(SECONDS)
        return self._gone()

    def _gone(self) -> int:
        code = self.process.wait(SECONDS)
        self.read_on.set()
        self._reader.join(SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # the bridge went before it had read everything
        return code


def text_of(params: Json) -> str:
    """The stream text and plain text of a ``zmqkernel/output``."""
    parts = [one.get("text") or (one.get("data") or {}).get("text/plain", "") for one in params["outputs"]]
    return "".join(parts)


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Wait for something that no notification tells of."""
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.02)
