"""The prompt of ``zmqkernel attach``.

Two threads, each with a client of its own: the main thread reads the prompt and runs what is typed; the watcher follows the
journal and shows what others do. Both write whole lines, and the watcher puts the prompt back.
"""

from __future__ import annotations

import readline
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .client.blocking import Client
from .commands.keyboard import Keyboard
from .commands.listing import kept
from .commands.render import Renderer
from .commands.running import OK, TICK, Detached, Interrupts, Left, answer_input, confirm, run_cells, run_code
from .commands.story import SHUT_DOWN, Story
from .protocol.cells import split
from .protocol.errors import ZmqKernelError
from .protocol.journal import OUTPUTS, Record
from .protocol.messages import ExecuteReply, HistoryRequest, PendingInput, Position, SessionInfoReply

INDENT = "    "
"""What Tab means where there is nothing to complete."""

REMEMBERED = 500
"""How many inputs of this and earlier sessions the arrow keys bring back."""


def attach(client: Client, renderer: Renderer) -> int:
    """Read code and run it until the person leaves; returns the exit code."""
    if not sys.stdin.isatty():
        return run_cells(client, split(sys.stdin.read()), renderer)
    info = client.info()
    renderer.note(f"session {info.name} in {info.path}, kernel {info.kernel_pid}. Ctrl-D leaves; the session goes on.")
    if info.held:
        renderer.note(kept(len(info.held)))
    renderer.trouble(info.trouble)
    screen = Screen()
    watched = client.another()
    watcher = Watcher(watched, client.identity, renderer.another(), screen, info)
    watcher.start()
    what = "the session goes on"
    try:
        Prompt(client, renderer, screen, watcher).loop(info.running)
    except Detached as left:
        what = str(left)
    finally:
        watcher.stop()
    if watcher.closed:
        print(SHUT_DOWN)
    else:
        print(f"detached; {what}. Back to it: zmqkernel attach {info.name}")
    return OK


LEAVE = ("exit", "exit()", "quit", "quit()")
"""What a person types to leave; the session's kernel has nothing to do with it."""


class Screen:
    """What the two threads share: the terminal, and whether a prompt stands on its last line."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._prompt = ""

    def read(self, prompt: str, prefill: str = "") -> str:
        """One line, as ``input`` reads it."""
        readline.set_startup_hook((lambda: readline.insert_text(prefill)) if prefill else None)
        with self.lock:
            self._prompt = prompt
        try:
            return input(prompt)
        finally:
            readline.set_startup_hook(None)
            with self.lock:
                self._prompt = ""

    @property
    def prompting(self) -> bool:
        """A prompt waits for a line."""
        return bool(self._prompt)

    @contextmanager
    def above_prompt(self) -> Iterator[None]:
        """Write lines above the prompt, which is put back with what has been typed."""
        with self.lock:
            if self._prompt:
                sys.stdout.write("\r\x1b[K")
            yield
            if self._prompt:
                sys.stdout.write(self._prompt + readline.get_line_buffer())
                sys.stdout.flush()


class Watcher:
    """Shows what others run, and knows what runs now."""

    def __init__(self, client: Client, own: str, renderer: Renderer, screen: Screen, info: SessionInfoReply) -> None:
        self._client = client
        self._own = own
        self._renderer = renderer
        self._screen = screen
        self._story = Story(renderer)
        self._mine: set[str] = set()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._start = self._begin(info)
        self.count = 0
        """The newest execution count."""
        self.kernels = 0
        """How many kernels were started since we watch."""
        self.running = info.running
        self.asked: PendingInput | None = info.input
        self.closed = False
        """The session was shut down."""
        self._trouble = info.trouble

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop = True
        self._thread.join()
        self._client.close()

    def sender(self, execution: str) -> str:
        return self._story.sender(execution)

    def _begin(self, info: SessionInfoReply) -> Position:
        """From where to show: now, or the beginning of the cell that runs."""
        if info.running:
            for record in self._client.follow(execution=info.running, until_end=True):
                if record.execution == info.running:
                    return Position(info.epoch, record.seq - 1)
        return Position(info.epoch, info.seq)

    def _run(self) -> None:
        following = self._client.follow(self._start)
        try:
            while not self._stop:
                record = following.next(TICK)
                if record is not None:
                    self._take(record)
                self._tell_trouble()
                if following.finished:
                    self.closed = True
                    break
        except ZmqKernelError as error:
            with self._screen.above_prompt():
                self._renderer.note(f"this terminal no longer sees what others do: {error}")

    def _tell_trouble(self) -> None:
        """Above the prompt, when it has changed."""
        if self._client.trouble != self._trouble:
            self._trouble = self._client.trouble
            with self._screen.above_prompt():
                self._renderer.trouble(self._trouble)

    def _take(self, record: Record) -> None:
        if record.kind == "submit" and record.message().header.session == self._own:
            self._mine.add(record.execution)
        self._note(record)
        if (record.execution in self._mine and record.kind != "event") or record.msg_type == "trouble":
            return  # its cell is shown by the prompt, trouble before it is in the journal
        if record.kind in ("submit", "iopub", "reply") and record.msg_type not in OUTPUTS:
            self._story.tell(record)  # nothing to see, so the prompt stays where it is
            return
        with self._screen.above_prompt():
            self._story.tell(record)
            if self._screen.prompting:
                self._renderer.end()
        if record.msg_type == "kernel_started":
            self.kernels += 1  # only now: the prompt comes below what was told

    def _note(self, record: Record) -> None:
        """Keep in mind what the prompt has to know."""
        if record.msg_type == "execute_input":
            self.count = max(self.count, int(record.data.get("execution_count") or 0))
        elif record.msg_type == "status" and record.execution:
            busy = record.data.get("execution_state") == "busy"
            if busy or self.running == record.execution:
                self.running = record.execution if busy else ""
        elif record.kind == "input":
            data, request = record.data, record.message().header.msg_id
            self.asked = PendingInput(
                request, record.execution, str(data.get("prompt", "")), bool(data.get("password"))
            )
        elif record.kind in ("answer", "reply") or record.msg_type in ("input_closed", "kernel_died"):
            self.asked = None
        elif record.msg_type == "kernel_started":
            self.count = 0
        elif record.msg_type == "close":
            self.closed = True


class Completer:
    """Completes at the prompt from the live session, as readline wants it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._matches: list[str] = []
        self.before = ""
        """The lines of the statement above this one."""
        readline.set_completer(self.complete)
        readline.parse_and_bind("tab: complete")

    def complete(self, _word: str, number: int) -> str | None:
        """Match ``number`` of the word before the cursor, None after the last."""
        if number == 0:
            self._matches = self._ask(readline.get_line_buffer(), readline.get_begidx(), readline.get_endidx())
        return self._matches[number] if number < len(self._matches) else None

    def _ask(self, line: str, begin: int, end: int) -> list[str]:
        """readline replaces ``line[begin:end]``; the kernel's matches may begin elsewhere."""
        if not line[:end].strip():
            return [line[begin:end] + INDENT]
        try:
            # Without what stands behind the cursor: readline cannot replace it, as a match with its closing bracket would.
            reply = self._client.complete(self.before + line[:end])
        except ZmqKernelError:
            return []  # the kernel cannot say, or not in time: then there is nothing to choose from
        start = reply.cursor_start - len(self.before)
        if start >= begin:
            return [line[begin:start] + match for match in reply.matches]
        known = line[start:begin]
        return [match.removeprefix(known) for match in reply.matches if match.startswith(known)]


class Prompt:
    """Reads code, runs it, shows what it says."""

    def __init__(self, client: Client, renderer: Renderer, screen: Screen, watcher: Watcher) -> None:
        self._client = client
        self._renderer = renderer
        self._screen = screen
        self._watcher = watcher
        self._prefill = ""
        self._keys = Keyboard()
        self._completer = Completer(client)

    def loop(self, running: str) -> None:
        """Until Ctrl-D or ``exit`` at the prompt, or the end of the session. Raises Detached for Ctrl-D anywhere else."""
        if running:
            self._wait_for_another(running)
        else:
            self._watcher.count = max(self._watcher.count, self._last_count())
        self._load_history()
        while not self._watcher.closed:
            try:
                code = self._read()
            except KeyboardInterrupt:
                print()
                continue
            except EOFError:
                print()
                return
            if code.strip() in LEAVE:
                return
            self._answer_pending()
            if code.strip() and self._leaves(self._run(code)):
                return

    def _run(self, code: str) -> ExecuteReply | None:
        kernels = self._watcher.kernels
        try:
            with self._keys:
                reply = run_code(self._client, code, self._renderer, keys=self._keys)
                if reply.ename == "KernelDied":
                    self._wait_for_kernel(kernels)
            return reply
        except Detached:
            raise
        except Left:
            self._renderer.note("your code waits its turn; what comes out is in zmqkernel log")
        except ZmqKernelError as error:
            self._renderer.note(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
        return None

    def _leaves(self, reply: ExecuteReply | None) -> bool:
        """Show the payload; True when the code was ``exit``."""
        if reply is None:
            return False
        self._watcher.count = max(self._watcher.count, reply.execution_count or 0)
        following, leave = self._renderer.payload(reply.payload)
        self._prefill = following or ""
        return leave

    def _read(self) -> str:
        """A whole statement, over as many lines as it needs; an empty line ends it in any case."""
        prompt = f"In [{self._watcher.count + 1}]: "
        prefill, self._prefill = self._prefill or self._keys.typed(), ""
        self._completer.before = ""
        lines = [self._screen.read(prompt, prefill)]
        while lines[0].strip():
            more, indent = self._wants_more("\n".join(lines))
            if not more:
                break
            self._completer.before = "\n".join(lines) + "\n"
            lines.append(self._screen.read("...: ".rjust(len(prompt)), indent))
            if not lines[-1].strip():
                break
        return "\n".join(lines)

    def _wants_more(self, code: str) -> tuple[bool, str]:
        try:
            reply = self._client.is_complete(code)
        except ZmqKernelError:
            return False, ""  # the kernel cannot say: then running the code will
        return reply.status == "incomplete", reply.indent or ""

    def _wait_for_another(self, running: str) -> None:
        """A cell of somebody else runs: show it, answer what it asks, until it ends or the person wants the prompt."""
        with Interrupts() as interrupts, self._keys:
            while self._watcher.running == running and not self._watcher.closed:
                threading.Event().wait(TICK)
                if self._keys.left():
                    raise Detached(f"the cell of {self._watcher.sender(running)} goes on")
                self._answer_pending()
                if interrupts.take():
                    question = f"this is a cell of {self._watcher.sender(running)}; interrupt it?"
                    agreed = confirm(self._client, running, question)
                    if agreed is False:
                        return
                    if agreed:
                        self._client.interrupt()

    def _wait_for_kernel(self, before: int) -> None:
        """Until the watcher has told of the new kernel, so that the prompt counts from 1; a dead session gets none."""
        while self._watcher.kernels == before and not self._watcher.closed and self._client.info().state != "dead":
            threading.Event().wait(TICK)
            if self._keys.left():
                raise Detached("the session goes on")

    def _answer_pending(self) -> None:
        asked = self._watcher.asked
        if asked is None:
            return
        self._watcher.asked = None
        content = {"prompt": asked.prompt, "password": asked.password}
        answer_input(self._client, asked.request, content, self._renderer)

    def _last_count(self) -> int:
        """The execution count of the last cell of this kernel."""
        try:
            history = self._client.history(HistoryRequest(hist_access_type="range", session=0, start=-1)).history
            return max((int(entry[1]) for entry in history), default=0)
        except ZmqKernelError:
            return 0  # another kernel, or one that is starting: the first cell will tell

    def _load_history(self) -> None:
        readline.clear_history()
        try:
            entries = self._client.history(HistoryRequest(hist_access_type="tail", n=REMEMBERED)).history
        except ZmqKernelError:
            return  # the arrow keys are a comfort, no condition
        for entry in entries:
            readline.add_history(str(entry[2]))
