"""A Kernel without sockets: requests go in as messages, what it says is kept in a list."""

from __future__ import annotations

import atexit
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from zmqkernel.kernel import ownership
from zmqkernel.kernel.dispatch import Kernel, Request
from zmqkernel.kernel.execution import MainLane
from zmqkernel.kernel.handlers import TABLE
from zmqkernel.kernel.ownership import Owner, owner, set_foreground
from zmqkernel.kernel.stdin import Stdin
from zmqkernel.protocol.wire import Message, Wire

Row = tuple[str, Message]


class ListOutlet:
    """An outlet that keeps what it is given; text is kept as stream messages, joined with its neighbour."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.on_send: Callable[[str, Message], None] = lambda channel, message: None
        self._wire = Wire("", "outlet")

    def send(self, channel: str, *messages: Message, soon: bool = False) -> None:
        for message in messages:
            self.rows.append((channel, message))
            self.on_send(channel, message)

    def text(self, stream: str, text: str, owner: Owner | None) -> None:
        parent = owner.header_json if owner else b"{}"
        last = self.rows[-1][1] if self.rows else None
        if last and last.msg_type == "stream" and last.content["name"] == stream and last.parent_json == parent:
            text = last.content["text"] + text
            self.rows.pop()
        self.rows.append(("iopub", self._wire.message("stream", {"name": stream, "text": text}, parent=parent)))

    def writer(self, stream: str) -> Callable[[str], int]:
        def write(text: str) -> int:
            self.text(stream, text, owner())
            return len(text)

        return write

    def flush(self) -> None:
        pass

    def settle(self, owner: Owner | None) -> None:
        pass

    def close(self) -> None:
        pass


class Stream(io.TextIOBase):
    def __init__(self, name: str, outlet: ListOutlet) -> None:
        self.write = outlet.writer(name)  # type: ignore[method-assign]

    def writable(self) -> bool:
        return True


class Bench:
    """A kernel on the bench: send it requests, look at what it says."""

    def __init__(self, kernel: Kernel, outlet: ListOutlet) -> None:
        self.kernel = kernel
        self.outlet = outlet
        self.client = Wire("", "client")

    def request(self, msg_type: str, content: dict[str, Any] | None = None, **keys: Any) -> Message:
        return self.client.message(msg_type, content or {}, idents=[b"client"], **keys)

    def serve(self, *requests: Message, channel: str = "shell") -> list[Row]:
        """Accept and serve requests; the rows that came out."""
        self.outlet.rows.clear()
        # Here and not in a fixture: pytest puts its own streams back before it calls a test.
        with redirect_stdout(Stream("stdout", self.outlet)), redirect_stderr(Stream("stderr", self.outlet)):
            for message in requests:
                self.kernel.accept(channel, message)
            while self.kernel.main.waiting():
                self._serve_one(self.kernel.main.next())
            while not self.kernel.side.empty():
                self._serve_one(self.kernel.side.get())
        return list(self.outlet.rows)

    def _serve_one(self, request: Request | None) -> None:
        assert request is not None
        self.kernel.serve(request)

    def execute(self, code: str, *, metadata: dict[str, Any] | None = None, **content: Any) -> list[Row]:
        return self.serve(self.request("execute_request", {"code": code, **content}, metadata=metadata))

    def reply(self, msg_type: str, content: dict[str, Any] | None = None, channel: str = "shell") -> dict[str, Any]:
        """The content of the one reply to a request."""
        rows = self.serve(self.request(msg_type, content), channel=channel)
        (reply,) = [message for where, message in rows if where == channel]
        return reply.content


@pytest.fixture(scope="session")
def whole_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    from IPython.core.interactiveshell import InteractiveShell

    from zmqkernel.kernel.app import make_shell

    with pytest.MonkeyPatch.context() as patch:
        root: Path = tmp_path_factory.mktemp("ipython")
        patch.setenv("IPYTHONDIR", str(root))
        patch.setenv("HOME", str(root))
        for name in ("TERM", "CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PAGER", "GIT_PAGER", "MPLBACKEND"):
            patch.setenv(name, "")  # the shell sets them: this puts them back
        patch.setattr(sys, "path", list(sys.path))
        patch.delenv("MPLBACKEND")
        outlet = ListOutlet()
        kernel = Kernel(Wire("", "kernel"), TABLE, MainLane(), Stdin())
        kernel.outlet = outlet
        patch.setattr("builtins.input", input)
        patch.setattr("getpass.getpass", None)
        patch.setattr("comm.create_comm", None)
        patch.setattr("comm.get_comm_manager", None)
        make_shell(kernel)
        yield Bench(kernel, outlet)
        atexit.unregister(kernel.shell.atexit_operations)
        kernel.shell.atexit_operations()
        kernel.shell.restore_sys_module_state()
        ownership.uninstall()
        InteractiveShell.clear_instance()
        type(kernel.shell).clear_instance()


@pytest.fixture
def bench(whole_kernel: Bench) -> Iterator[Bench]:
    """The kernel, without names of an earlier test."""
    outlet = whole_kernel.outlet
    outlet.rows.clear()
    outlet.on_send = lambda channel, message: None
    names = dict(whole_kernel.kernel.shell.user_ns)
    yield whole_kernel
    whole_kernel.kernel.shell.user_ns.clear()
    whole_kernel.kernel.shell.user_ns.update(names)
    set_foreground(None)
    ownership.current.set(None)
