"""Those who come and go in a session: a client of ours, a plain Jupyter client, a command, an editor's bridge.

Clients are closed, processes are killed, as it happens.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from zmqkernel.client import Client
from zmqkernel.paths import Session
from zmqkernel.protocol.messages import Position

SECONDS = 60.0
"""How long a visit may take; a session may be away for a moment, and the machine busy."""
LOOK = 0.2
"""Seconds that a visitor stays."""


def ours(session: Session) -> None:
    """Attach, read the end of the journal, ask, leave."""
    with Client.connect(session, sender="visitor", timeout=SECONDS) as client:
        info = client.info()
        client.kernel_info()
        following = client.follow(Position(info.epoch, max(0, info.seq - 50)))
        end = time.monotonic() + LOOK
        while time.monotonic() < end:
            following.next(LOOK)


def plain(session: Session) -> None:
    """As others write it. TimeoutError when nobody answers."""
    from jupyter_client.blocking.client import BlockingKernelClient

    client = BlockingKernelClient(connection_file=str(session.connection_file))
    client.load_connection_file()
    client.start_channels()
    try:
        client.kernel_info()
        client.get_shell_msg(timeout=SECONDS)
        end = time.monotonic() + LOOK
        while time.monotonic() < end:
            try:
                client.get_iopub_msg(timeout=LOOK)
            except queue.Empty:
                break  # nothing was said meanwhile: the kernel may be away
    except queue.Empty:
        raise TimeoutError("no answer to a plain client") from None
    finally:
        client.stop_channels()
        client.context.term()


def command(session: Session) -> None:
    """``zmqkernel log --follow``, killed while it reads."""
    _killed([sys.executable, "-m", "zmqkernel", "log", "-f", session.name], session.project, b"")


def bridge(session: Session) -> None:
    """An editor that opens a file and dies."""
    file = Path(session.project) / "life.py"
    file.write_text("# %%\n1 + 1\n")
    document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": file.read_text()}
    opening = [
        {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}},
        {"method": "initialized", "params": {}},
        {"method": "textDocument/didOpen", "params": {"textDocument": document}},
    ]
    said = b""
    for message in opening:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        said += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    _killed([sys.executable, "-m", "lsp_bridge"], session.project, said)


def _killed(argv: list[str], folder: Path, said: bytes) -> None:
    """Start a process, tell it something, wait until it answers, kill it a moment later."""
    process = subprocess.Popen(
        argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, process.stdout:
        try:
            process.stdin.write(said)
            process.stdin.flush()
            process.stdout.read(1)
            time.sleep(LOOK)
        except BrokenPipeError:
            raise RuntimeError(f"{argv[2]} ended by itself: {process.wait()}") from None
        finally:
            process.kill()
            process.wait()


VISITS: dict[str, tuple[int, Callable[[Session], None]]] = {
    "ours": (5, ours),
    "plain": (3, plain),
    "command": (1, command),
    "bridge": (1, bridge),
}
"""Name: share, and what is done."""
