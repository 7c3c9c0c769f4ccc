"""Running code in a session from a terminal: outputs as they come, questions answered, Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ..client.blocking import Client, Execution
from ..protocol.cells import Cell, split, split_notebook
from ..protocol.errors import ReplyTimeout, Unreachable, ZmqKernelError
from ..protocol.journal import Record
from ..protocol.messages import ExecuteReply, Origin, SessionInfoReply
from . import listing
from .keyboard import Keyboard, ask
from .render import Renderer
from .story import sender_of

OK, FAILED, NO_SESSION, DIED = 0, 1, 3, 4
"""The exit codes of every command. 2 is wrong usage (typer says so), 130: left with Ctrl-C, the code goes on."""

ENDINGS = (".py", ".ipy", ".ipynb")
"""The files that have cells."""

TICK = 0.1
"""Seconds after which a Ctrl-C is seen when nothing else happens."""


TURN_SECONDS = 1.0
"""After how long a cell that waits its turn says for whom it waits."""

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


class Detached(Left):
    """Ctrl-D: the person leaves. The text says what goes on."""


class Turn:
    """Says whose cell runs before ours."""

    def __init__(self, client: Client, execution: str) -> None:
        self._client = client
        self._execution = execution
        self._told = ""
        self._look_at = time.monotonic() + TURN_SECONDS

    def came(self) -> None:
        """Our cell says something: it runs."""
        self._look_at = float("inf")

    def look(self) -> None:
        """Once a second: say on standard error whom we wait for."""
        if time.monotonic() < self._look_at or not self._client.connected:
            return
        self._look_at = time.monotonic() + TURN_SECONDS
        try:
            running = self._client.info().running
            if running == self._execution:
                self.came()
            elif running not in ("", self._told):
                self._told = running
                print(f"waiting for {sender_in(self._client, running)}'s cell ...", file=sys.stderr)
        except ZmqKernelError:
            pass  # who waits for the cell notices by itself when nobody is there any more


def sender_in(client: Client, execution: str) -> str:
    """Who ran an execution, from the journal."""
    submit = _submit_of(client, execution)
    return sender_of(submit) if submit else "somebody"


def held_in(client: Client, executions: list[str]) -> list[str]:
    """The code of cells, from the journal; empty where it no longer has it."""
    submits = [_submit_of(client, execution) for execution in executions]
    return [str(submit.data.get("code", "")) if submit else "" for submit in submits]


def _submit_of(client: Client, execution: str) -> Record | None:
    following = client.follow(execution=execution, until_end=True)
    try:
        return next((record for record in following if record.kind == "submit"), None)
    finally:
        following.close()


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


def run_code(
    client: Client, code: str, renderer: Renderer, origin: Origin | None = None, keys: Keyboard | None = None
) -> ExecuteReply:
    """Execute and show; Ctrl-C interrupts. Raises Left when asked to wait no longer, Detached for Ctrl-D on ``keys``."""
    asked = sys.stdin.isatty()
    execution = client.execute(code, origin=origin, allow_stdin=asked)
    turn = Turn(client, execution.msg_id)
    renderer.begin()
    pressed = 0
    heard = time.monotonic()
    with Interrupts() as interrupts:
        while True:
            output = execution.next(TICK)
            heard = time.monotonic() if client.connected or client.reviving else heard
            if keys is None:  # else the prompt tells of it
                renderer.trouble(client.trouble)
            if output is not None:
                turn.came()
            if output is not None and output.msg_type == "input_request":
                answer_input(client, output.msg_id, output.content, renderer)
            elif output is not None:
                renderer.show(output.msg_type, output.content)
            elif execution.done:
                break
            elif time.monotonic() - heard > GONE_SECONDS:
                raise Unreachable("the supervisor of the session is gone", hint="What it had seen: zmqkernel log")
            else:
                turn.look()
            if keys and keys.left():
                execution.close()
                renderer.end()
                raise Detached("your cell goes on")
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
        agreed = confirm(client, running, "another client's cell runs before yours; interrupt it?")
    else:
        agreed = not again or confirm(client, running, "it does not end; interrupt it once more (or leave it)?")
    if agreed:
        client.interrupt()
    return agreed is not False


def confirm(client: Client, running: str, question: str) -> bool | None:
    """Ask the person at the terminal about the running cell; without one the answer is no. None: it has ended meanwhile."""
    if not sys.stdin.isatty():
        return False
    try:
        answer = ask(f"{question} [y/N] ", lambda: _holds(client, lambda info: info.running == running))
    except (EOFError, KeyboardInterrupt):
        return False
    if answer is None:
        print("(it has ended)")
        return None
    return answer.strip().lower() in ("y", "yes")


def answer_input(client: Client, request: str, content: dict[str, Any], renderer: Renderer) -> None:
    """Ask at the terminal what the code asked for, and hand it on; somebody else may be faster. Ctrl-C interrupts the cell;
    Ctrl-D answers nothing and raises Detached."""
    renderer.end()
    waits = lambda: _holds(client, lambda info: info.input is not None and info.input.request == request)  # noqa: E731
    try:
        value = ask(str(content.get("prompt", "")), waits, hidden=bool(content.get("password")))
    except KeyboardInterrupt:
        client.interrupt()
        return
    except EOFError:
        print()
        raise Detached("input() waits for an answer of any client") from None
    if value is None:
        print()
        renderer.note("answered elsewhere, or no longer asked")
        return
    try:
        client.answer(request, value)
    except ZmqKernelError as error:
        renderer.note(str(error))  # another client was faster


def _holds(client: Client, condition: Callable[[SessionInfoReply], bool]) -> bool:
    """Is this so of the session? While it cannot be asked, nothing has changed."""
    try:
        return condition(client.info())
    except (ReplyTimeout, Unreachable):
        return not client.ended


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


def finish(client: Client, reply: ExecuteReply, renderer: Renderer) -> int:
    """Say what there is to say after code was run; returns the exit code."""
    _, leave = renderer.payload(reply.payload)
    if leave:
        print("exit() ends nothing in a session; zmqkernel shutdown does", file=sys.stderr)
    if reply.ename == "KernelDied":
        info = client.info()
        said = "there is no kernel now: zmqkernel restart" if info.state == "dead" else "a new kernel was started"
        print(f"{said}: the variables are gone", file=sys.stderr)
        if info.held:
            print(listing.kept(len(info.held)), file=sys.stderr)
    return exit_code(reply)


def heading(path: Path, cell: Cell) -> str:
    """What stands above the output of a cell: its number for ``--cell``, its title, its line."""
    place = "" if path.suffix == ".ipynb" else f"{path.name}:{cell.first_code_line + 1}"
    return "  ".join(word for word in (f"── cell {cell.index}", cell.title, place) if word)


def run_cells(client: Client, cells: list[Cell], renderer: Renderer, path: Path | None = None) -> int:
    """Run cells until one fails; returns the exit code. With a ``path``, several cells are announced."""
    several = sum(1 for cell in cells if cell.code.strip()) > 1
    for cell in cells:
        if not cell.code.strip():
            continue
        if path and several:
            renderer.note(heading(path, cell))
        reply = run_code(client, cell.code, renderer, origin_of(path, cell) if path else None)
        code = finish(client, reply, renderer)
        if code != OK:
            left = sum(1 for later in cells if later.index > cell.index and later.code.strip())
            if left:
                print(f"stopped at cell {cell.index}; {left} not run", file=sys.stderr)
            return code
    return OK
