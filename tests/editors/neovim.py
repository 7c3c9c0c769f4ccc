"""A real Neovim with our plugin, driven over its RPC."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pynvim

SECONDS = 60.0
"""How long anything may take before a test gives up."""
PLUGIN = Path(__file__).parents[2] / "editors/neovim"


class Neovim:
    """``nvim --clean --headless`` in ``folder``, with the plugin and nothing else."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="zk-nvim-", dir="/tmp"))  # short: it holds a unix socket
        listen = self._folder / "socket"
        argv = [str(program), "--clean", "--headless", "-n", "--listen", str(listen)]
        argv += ["--cmd", f"set runtimepath^={PLUGIN}"]
        self.nvim: Any = None
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        self.until(listen.exists, "socket of nvim")
        self.nvim = pynvim.attach("socket", path=str(listen))
        self.nvim.vars["zmqkernel_cmd"] = [sys.executable, "-m", "lsp_bridge"]
        self.nvim.exec_lua("_G.notified = {}; vim.notify = function(text) table.insert(_G.notified, text) end")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def edit(self, path: Path) -> None:
        """Open a file and wait for the bridge."""
        self.nvim.command(f"edit {path}")
        self.nvim.command("setfiletype python")
        ready = "local c = vim.lsp.get_clients({ bufnr = 0, name = 'zmqkernel' })[1]; return c ~= nil and c.initialized"
        self.until(lambda: self.nvim.exec_lua(ready), "the bridge")

    def run_cell(self, line: int) -> None:
        """:ZmqRunCell with the cursor in a line (from 1)."""
        self.nvim.current.window.cursor = (line, 0)
        self.nvim.command("ZmqRunCell")

    def outputs(self) -> dict[int, str]:
        """What is shown under each line (from 1): the state behind it, then the virtual lines."""
        space = self.nvim.api.create_namespace("zmqkernel")
        shown: dict[int, str] = {}
        for _, row, _, details in self.nvim.api.buf_get_extmarks(0, space, 0, -1, {"details": True}):
            if details.get("invalid"):
                continue
            lines = ["".join(chunk[0] for chunk in details.get("virt_text", []))]
            lines += ["".join(chunk[0] for chunk in line) for line in details.get("virt_lines", [])]
            shown[row + 1] = "\n".join(line.strip() for line in lines)
        return shown

    def shows(self, line: int, *parts: str) -> str:
        """Wait until all of ``parts`` are shown under a line; what is there then."""

        def there() -> str | None:
            text = self.outputs().get(line, "")
            return text if all(part in text for part in parts) else None

        return self.until(there, f"{parts} under line {line}")

    def until(self, found: Callable[[], Any], what: str) -> Any:
        """Wait for something true."""
        deadline = time.monotonic() + SECONDS
        while not (result := found()):
            if time.monotonic() > deadline:
                said = f"shown: {self.outputs()}; said: {self.notified()}" if self.nvim else "it did not start"
                raise AssertionError(f"no {what}; {said}")
            time.sleep(0.02)
        return result

    def notified(self) -> list[str]:
        return self.nvim.exec_lua("return _G.notified")

    def request(self, method: str, line: int, character: int) -> Any:
        """Ask the bridge about a position (line from 1); its answer."""
        script = """
            local method, line, character = ...
            local client = vim.lsp.get_clients({ bufnr = 0, name = "zmqkernel" })[1]
            local place = { line = line - 1, character = character }
            local params = { textDocument = { uri = vim.uri_from_bufnr(0) }, position = place }
            local answer = client.request_sync(method, params, 10000, 0)
            return answer and (answer.err or answer.result)
        """
        return self.nvim.exec_lua(script, method, line, character)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(SECONDS)
        with warnings.catch_warnings():
            # pynvim closes its event loop before the loop has closed the socket; collected here, nobody else sees that.
            warnings.simplefilter("ignore", ResourceWarning)
            if self.nvim:
                self.nvim.close()
            self.nvim = None
            gc.collect()
        shutil.rmtree(self._folder, ignore_errors=True)
