"""The floor: a signed Jupyter kernel that executes nothing. ``python -m benchmarks.echo_kernel -f FILE``.

For an execute_request it verifies, answers busy, execute_input, execute_reply and idle, and that is all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
from pathlib import Path
from typing import Any

import zmq

DELIMITER = b"<IDS|MSG>"


def main() -> None:
    """Serve until a shutdown_request."""
    info = json.loads(Path(sys.argv[sys.argv.index("-f") + 1]).read_text())
    key = info["key"].encode()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets: dict[str, zmq.Socket[bytes]] = {}
    separator = "-" if info["transport"] == "ipc" else ":"
    for channel, kind in (("shell", zmq.ROUTER), ("control", zmq.ROUTER), ("iopub", zmq.PUB)):
        sockets[channel] = context.socket(kind)
        sockets[channel].bind(f"{info['transport']}://{info['ip']}{separator}{info[f'{channel}_port']}")
    poller = zmq.Poller()
    poller.register(sockets["shell"], zmq.POLLIN)
    poller.register(sockets["control"], zmq.POLLIN)
    count = 0

    def send(channel: str, first: list[bytes], msg_type: str, parent: bytes, content: dict[str, Any]) -> None:
        header = json.dumps({"msg_id": os.urandom(8).hex(), "msg_type": msg_type, "session": "echo", "version": "5.3"})
        parts = [header.encode(), parent, b"{}", json.dumps(content).encode()]
        signature = hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest().encode()
        sockets[channel].send_multipart([*first, DELIMITER, signature, *parts])

    while True:
        for socket, _ in poller.poll():
            channel = "shell" if socket is sockets["shell"] else "control"
            frames = sockets[channel].recv_multipart()
            start = frames.index(DELIMITER)
            header = frames[start + 2]
            expected = hmac.new(key, b"".join(frames[start + 2 : start + 6]), hashlib.sha256).hexdigest().encode()
            if not hmac.compare_digest(expected, frames[start + 1]):
                continue
            msg_type = json.loads(header)["msg_type"]
            send("iopub", [b"status"], "status", header, {"execution_state": "busy"})
            if msg_type == "execute_request":
                count += 1
                code = json.loads(frames[start + 5])["code"]
                send("iopub", [b"input"], "execute_input", header, {"code": code, "execution_count": count})
            content = {"status": "ok", "execution_count": count}
            send(channel, frames[:start], msg_type.replace("_request", "_reply"), header, content)
            send("iopub", [b"status"], "status", header, {"execution_state": "idle"})
            if msg_type == "shutdown_request":
                context.destroy(linger=500)
                return


if __name__ == "__main__":
    main()
