"""A child process that answers one question at a time, in lines of JSON; newest first, replaced when it hangs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import signal
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

STUCK_SECONDS = 10.0
"""How long a question may take; then the child is replaced, and the next one may take twice as long (cold caches)."""
LONGEST_SECONDS = 60.0
DEATHS = 3
"""After so many children that died without an answer there is no other."""
MAX_ANSWER = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


class Child:
    """``argv`` is started when the first question comes, in a process group of its own."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[str, tuple[Json, asyncio.Future[Any]]] = {}
        self._told: dict[str, Json] = {}
        self._asked: tuple[int, asyncio.Future[Any]] | None = None
        self._patience = STUCK_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self._deaths = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    async def ask(self, do: str, question: Json) -> Any:
        """The answer; None when a newer question of the same kind has taken its place, or it failed."""
        if self._closed or self._deaths >= DEATHS:
            return None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        before = self._waiting.pop(do, None)
        if before and not before[1].done():
            before[1].set_result(None)
        self._waiting[do] = {"do": do, **question}, answer
        self._next()
        return await answer

    def tell(self, do: str, question: Json) -> None:
        """What has no answer: the child does it while nobody asks."""
        if not self._closed and self._deaths < DEATHS:
            self._told[do] = question
            self._next()

    def close(self) -> None:
        self._closed = True
        self._kill()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Send the oldest question that still waits, when the child is free."""
        if self._asked or self._closed:
            return
        for do in [do for do, (_, answer) in self._waiting.items() if answer.done()]:
            del self._waiting[do]  # cancelled meanwhile
        if not self._waiting and not self._told:
            return
        if self._process is None:
            if self._starting is None:
                self._starting = asyncio.ensure_future(self._start())
            return
        if not self._waiting:
            for do, question in self._told.items():
                self._write(self._process, {"id": 0, "do": do, **question})
            self._told.clear()
            return
        question, answer = self._waiting.pop(next(iter(self._waiting)))
        number = next(self._numbers)
        self._asked = number, answer
        self._write(self._process, {"id": number, **question})
        self._expect(number, LONGEST_SECONDS)

    def _write(self, process: asyncio.subprocess.Process, question: Json) -> None:
        assert process.stdin
        process.stdin.write(json.dumps(question).encode() + b"\n")

    async def _start(self) -> None:
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                limit=MAX_ANSWER,
            )
        except OSError as error:
            _log.warning("static analysis does not start: %s", error)
            self._deaths = DEATHS
            self._fail_all()
            return
        finally:
            self._starting = None
        if self._closed:
            self._kill()
            return
        task = asyncio.ensure_future(self._read(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._next()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        with contextlib.suppress(
            OSError, ValueError
        ):  # a line longer than MAX_ANSWER, a pipe that broke: it is replaced
            while line := await process.stdout.readline():
                self._take(json.loads(line))
        if self._process is process:
            self._deaths += 1
            self._kill()
        with contextlib.suppress(ProcessLookupError):
            await process.wait()

    def _take(self, answer: Json) -> None:
        if self._asked is None or self._asked[0] != answer.get("id"):
            return
        if "result" not in answer:
            # It begins: what it was told to do before, which may take long, is done.
            self._expect(self._asked[0], self._patience)
            return
        self._deaths, self._patience = 0, STUCK_SECONDS
        self._finish(answer.get("result"))
        self._next()

    def _finish(self, result: Any) -> None:
        asked, self._asked = self._asked, None
        if self._timer:
            self._timer.cancel()
        if asked and not asked[1].done():
            asked[1].set_result(result)

    def _expect(self, number: int, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._stuck, number)

    def _stuck(self, number: int) -> None:
        if self._asked and self._asked[0] == number:
            _log.info("static analysis hangs: another process takes its place")
            self._patience = min(self._patience * 2, LONGEST_SECONDS)
            self._kill()

    def _kill(self) -> None:
        """End the process and what it has started; what waits goes to the next one."""
        process, self._process = self._process, None
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._closed:
            return
        self._finish(None)
        if self._deaths >= DEATHS:
            self._fail_all()
        self._next()

    def _fail_all(self) -> None:
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_result(None)
        self._waiting.clear()
