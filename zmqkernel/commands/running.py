"""Running code in a session from a terminal: outputs as they come, questions answered, Ctrl-C."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from ..client.blocking import Client, Execution
from ..protocol.cells import Cell, split, split_notebook
from ..protocol.errors import Unreachable, ZmqKernelError
from ..protocol.messages import ExecuteReply, Origin
from .render import Renderer

OK, FAILED, NO_SESSION, DIED = 0, 1, 3, 4
"""The exit codes of every command. 2 is wrong usage (typer says so), 130: left with Ctrl-C, the code goes on."""

TICK = 0.1
"""Seconds after which a Ctrl-C is seen when nothing else happens."""


GONE_SECONDS = 10.0
"""How long the connection may be down before nobody waits for the supervisor any longer."""


class Interrupts:
    """While this is open, Ctrl-C raises nothing but is remembered: an exception in the middle of reading a message would
    lose it."""

    def __init__(self) -> None:
        self._count = 0
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def take(self) -> bool:
        """Was Ctrl-C pressed since the last time?"""
        pressed, self._count = self._count > 0, 0
        return pressed

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1


class Left(Exception):
    """The person at the terminal does not want to wait any longer; the code goes on."""


def terminal_name() -> str:
    """How this terminal signs what it runs."""
    try:
        return "terminal " + os.ttyname(0).removeprefix("/dev/")
    except OSError:
        return f"zmqkernel {os.getpid()}"


def exit_code(reply: ExecuteReply) -> int:
    """0 the code ran, 4 the kernel died, 1 it raised or was not executed."""
    if reply.status == "ok":
        return OK
    return DIED if reply.ename == "KernelDied" else FAILED


def run_code(client: Client, code: str, renderer: Renderer, origin: Origin | None = None) -> ExecuteReply:
    """Execute and show; Ctrl-C interrupts. Raises Left when asked to wait no longer."""
    asked = sys.stdin.isatty()
    execution = client.execute(code, origin=origin, allow_stdin=asked)
    renderer.begin()
    pressed = 0
    heard = time.monotonic()
    with Interrupts() as interrupts:
        while True:
            output = execution.next(TICK)
            heard = time.monotonic() if client.connected else heard
            if output is not None and output.msg_type == "input_request":
                answer_input(client, output.msg_id, output.content, renderer)
            elif output is not None:
                renderer.show(output.msg_type, output.content)
            elif execution.done:
                break
            elif time.monotonic() - heard > GONE_SECONDS:
                raise Unreachable("the supervisor of the session is gone", hint="What it had seen: zmqkernel log")
            if interrupts.take():
                pressed += 1
                if not _interrupt(client, execution, again=pressed > 1):
                    execution.close()
                    renderer.end()
                    raise Left
    renderer.end()
    reply = execution.wait()
    if reply.status == "aborted":
        renderer.note("not executed: a cell before it failed")
    return reply


def _interrupt(client: Client, execution: Execution, *, again: bool) -> bool:
    """Interrupt our own cell; when another's runs before it, or ours did not obey, ask first. False: wait no longer."""
    running = client.info().running
    if running not in ("", execution.msg_id):
        if not confirm("another client's cell runs before yours; interrupt it?"):
            return False
    elif again and not confirm("it does not end; interrupt it once more (or leave it)?"):
        return False
    client.interrupt()
    return True


def confirm(question: str) -> bool:
    """Ask the person at the terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    with _raising_interrupts():
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except (EOFError, KeyboardInterrupt):
            return False


def answer_input(client: Client, request: str, content: dict[str, Any], renderer: Renderer) -> None:
    """Ask at the terminal what the code asked for, and hand it on. Ctrl-C interrupts the cell, Ctrl-D answers nothing."""
    renderer.end()
    ask = getpass.getpass if content.get("password") else input
    try:
        with _raising_interrupts():
            value = ask(str(content.get("prompt", "")))
    except KeyboardInterrupt:
        client.interrupt()
        return
    except EOFError:
        value = ""
    try:
        client.answer(request, value)
    except ZmqKernelError as error:
        renderer.note(str(error))  # another client was faster


class _raising_interrupts:  # noqa: N801  it reads as a verb
    """While this is open, Ctrl-C raises KeyboardInterrupt again: ``input`` can be left in no other way."""

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)


def read_cells(path: Path) -> list[Cell]:
    """The cells of a file: a notebook by its ending, everything else is text with markers."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ZmqKernelError(f"cannot read {path}: {error.strerror}") from None
    if path.suffix == ".ipynb":
        return split_notebook(text)
    try:
        return split(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ZmqKernelError(f"{path} is not UTF-8: {error}") from None


def origin_of(path: Path, cell: Cell) -> Origin:
    """Where a cell of a file stands. A notebook's cell has no line, so it is no place in a file for a traceback."""
    real = Path(os.path.realpath(path))
    place = "" if path.suffix == ".ipynb" else str(real)
    return Origin(uri=real.as_uri(), path=place, line=cell.first_code_line, cell=cell.id)


def run_cells(client: Client, cells: list[Cell], renderer: Renderer, path: Path | None = None) -> int:
    """Run cells until one fails; returns the exit code."""
    for cell in cells:
        if not cell.code.strip():
            continue
        reply = run_code(client, cell.code, renderer, origin_of(path, cell) if path else None)
        renderer.payload(reply.payload)
        code = exit_code(reply)
        if code != OK:
            left = sum(1 for later in cells if later.index > cell.index and later.code.strip())
            if left:
                print(f"stopped at cell {cell.index}; {left} not run", file=sys.stderr)
            return code
    return OK
