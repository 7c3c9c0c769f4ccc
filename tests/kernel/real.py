"""A kernel process, and the reference client to talk to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from zmqkernel.protocol.connection import CHANNELS, ConnectionInfo

SECONDS = 60.0
"""How long anything may take before a test gives up."""

Message = dict[str, Any]


class RealKernel:
    """One kernel process, and clients of it."""

    def __init__(self, file: Path, log: Path, command: Sequence[str], wait_for: Path | None = None) -> None:
        self.file = file
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*command, "-f", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self._clients: list[BlockingKernelClient] = []
        while wait_for and b'_port": 0' in wait_for.read_bytes():
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.01)  # it has not chosen its ports yet
        self.client = self.connect()

    def connect(self) -> BlockingKernelClient:
        """Another front end, with a session of its own."""
        client = BlockingKernelClient(connection_file=str(self.file))
        client.load_connection_file()
        client.start_channels(hb=False)
        self._clients.append(client)
        client.wait_for_ready(timeout=SECONDS)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.stop_channels()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def execute(
        self,
        code: str,
        *,
        client: BlockingKernelClient | None = None,
        on_output: Callable[[Message], None] | None = None,
        answer: str | None = None,
        **keys: Any,
    ) -> tuple[Message, list[Message]]:
        """Run code: the reply, and what came out on iopub between busy and idle (execute_input left out)."""
        client = client or self.client
        msg_id = client.execute(code, allow_stdin=answer is not None, **keys)
        return self.collect(msg_id, client=client, on_output=on_output, answer=answer)

    def collect(
        self,
        msg_id: str,
        *,
        client: BlockingKernelClient | None = None,
        on_output: Callable[[Message], None] | None = None,
        answer: str | None = None,
    ) -> tuple[Message, list[Message]]:
        """The reply to a request that was sent, and its outputs."""
        outputs = self.outputs(msg_id, client=client, on_output=on_output, answer=answer)
        client = client or self.client
        while (reply := client.get_shell_msg(timeout=SECONDS))["parent_header"]["msg_id"] != msg_id:
            pass
        return reply, outputs

    def outputs(
        self,
        msg_id: str,
        *,
        client: BlockingKernelClient | None = None,
        on_output: Callable[[Message], None] | None = None,
        answer: str | None = None,
    ) -> list[Message]:
        """What a request that was sent puts out, up to its idle."""
        client = client or self.client
        outputs: list[Message] = []
        end = time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < end, f"no end of {msg_id}: {outputs[-3:]}"
            if answer is not None and client.stdin_channel.msg_ready():
                question = client.get_stdin_msg(timeout=1)
                outputs.append(question)
                client.input(answer)
            try:
                message = client.get_iopub_msg(timeout=0.1)
            except Empty:
                assert self.process.poll() is None, self.log.read_text()
                continue
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    return outputs
                continue
            if message["msg_type"] == "execute_input":
                continue
            outputs.append(message)
            if on_output:
                on_output(message)


def text_of(outputs: list[Message], name: str = "stdout") -> str:
    """All text of one stream."""
    return "".join(m["content"]["text"] for m in outputs if m["msg_type"] == "stream" and m["content"]["name"] == name)


@contextmanager
def real_kernel(
    tmp_path: Path, command: Sequence[str] = (sys.executable, "-m", "zmqkernel.kernel")
) -> Iterator[RealKernel]:
    """A kernel on ipc endpoints; killed at the end if it still runs."""
    sockets = Path(tempfile.mkdtemp(prefix="zk-", dir="/tmp"))
    file = tmp_path / "kernel.json"
    ports = {f"{channel}_port": number for number, channel in enumerate(CHANNELS, 1)}
    info = ConnectionInfo(
        **ports, ip=str(sockets / "k"), key="0123456789abcdef", transport="ipc", kernel_name="zmqkernel"
    )
    file.write_bytes(info.encode())
    kernel = None
    try:
        kernel = RealKernel(file, tmp_path / "kernel.log", command)
        yield kernel
    finally:
        if kernel:
            kernel.close()
        shutil.rmtree(sockets, ignore_errors=True)
