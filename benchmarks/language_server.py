"""A client for any language server on its standard streams: requests, edits, and what its processes cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SECONDS = 60.0
TICK = os.sysconf("SC_CLK_TCK")


class LanguageServer:
    """``argv`` in ``folder``. ``ours`` is ``initializationOptions.zmqkernel``."""

    def __init__(self, argv: list[str], folder: Path, ours: Json | None = None) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        self.replies: dict[int, tuple[float, Json]] = {}
        self.notes: list[Json] = []
        self._changed = threading.Condition()
        self._number = 0
        self._versions: dict[str, int] = {}
        threading.Thread(target=self._read, daemon=True).start()
        capabilities = {
            "general": {"positionEncodings": ["utf-16"]},
            "textDocument": {
                "completion": {"completionItem": {"labelDetailsSupport": True}},
                "hover": {"contentFormat": ["markdown"]},
            },
        }
        params = {"processId": os.getpid(), "rootUri": folder.as_uri(), "capabilities": capabilities}
        self.request("initialize", params | {"initializationOptions": {"zmqkernel": ours} if ours is not None else {}})
        self.notify("initialized", {})

    def send(self, message: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def begin(self, method: str, params: Any) -> int:
        self._number += 1
        self.send({"id": self._number, "method": method, "params": params})
        return self._number

    def answer(self, number: int, seconds: float = SECONDS) -> tuple[float, Json]:
        """When the reply came (``time.perf_counter``), and the reply."""
        with self._changed:
            if not self._changed.wait_for(lambda: number in self.replies, seconds):
                raise TimeoutError(f"no reply {number}")
            return self.replies.pop(number)

    def request(self, method: str, params: Any) -> Any:
        reply = self.answer(self.begin(method, params))[1]
        if "error" in reply:
            raise RuntimeError(reply["error"]["message"])
        return reply["result"]

    def timed(self, method: str, params: Any) -> tuple[float, Any]:
        """Milliseconds, and the result."""
        start = time.perf_counter()
        end, reply = self.answer(self.begin(method, params))
        return (end - start) * 1000, reply.get("result")

    def open(self, path: Path) -> str:
        uri = path.as_uri()
        self._versions[uri] = 1
        item = {"uri": uri, "languageId": "python", "version": 1, "text": path.read_text()}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def type(self, uri: str, line: int, old: str, new: str) -> None:
        """Line ``line`` is ``old`` and becomes ``new``."""
        self._versions[uri] += 1
        common = next(
            (n for n, pair in enumerate(zip(old, new, strict=False)) if len(set(pair)) == 2), min(len(old), len(new))
        )
        place = {"start": {"line": line, "character": common}, "end": {"line": line, "character": len(old)}}
        change = {"range": place, "text": new[common:]}
        document = {"uri": uri, "version": self._versions[uri]}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})

    def wait_note(self, method: str, wanted: Any) -> Json:
        """The params of a notification that is wanted."""
        found: list[Json] = []

        def search() -> bool:
            found.extend(note["params"] for note in self.notes if note["method"] == method and wanted(note["params"]))
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(search, SECONDS):
                raise TimeoutError(f"no {method}")
        return found[0]

    def _read(self) -> None:
        out = self.process.stdout
        assert out
        while True:
            length = 0
            while (line := out.readline()).strip():
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            if not length:
                return
            message = json.loads(out.read(length))
            now = time.perf_counter()
            with self._changed:
                if "method" not in message:
                    self.replies[message["id"]] = now, message
                elif "id" in message:
                    items = (message.get("params") or {}).get("items", [])
                    asked = message["method"] == "workspace/configuration"
                    self.send({"id": message["id"], "result": [None] * len(items) if asked else None})
                else:
                    self.notes.append(message)
                self._changed.notify_all()

    # --- what it costs, and its end ----------------------------------------------------------------------------------

    def processor_time(self) -> float:
        """Seconds of processor time of the server and everything that it has started."""
        return sum(_cpu(pid) for pid in self.pids())

    def pss(self) -> float:
        """Megabytes of the server and everything that it has started, shared pages divided among who shares them."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        return total / 1024

    def pids(self) -> list[int]:
        """The server and its descendants."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid and not _is_session(child)]
        return found

    def exit(self) -> float:
        """shutdown and exit; milliseconds until the process is gone."""
        pids = self.pids()
        start = time.perf_counter()
        with contextlib.suppress(TimeoutError, OSError):
            self.answer(self.begin("shutdown", None), 10)
            self.notify("exit", None)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass  # it counts as ten seconds, and is killed below
        ended = (time.perf_counter() - start) * 1000
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return ended


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it has ended
    return (int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])) / TICK


def _is_session(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"zmqkernel." in Path(f"/proc/{pid}/cmdline").read_bytes()
    return True
