"""Journal records in, what the editor is told out."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from lsp_bridge.kernels import Kernels, Replaced
from lsp_bridge.outputs import INTERVAL, MAX_TEXT, Executions, Pace
from zmqkernel.protocol.journal import Record, event, record_of
from zmqkernel.protocol.wire import Message, Wire

WIRE = Wire("", "0123456789abcdef", "ada")


class Journal:
    """Makes the records of one execution, one second apart."""

    def __init__(self) -> None:
        self.seq = 0
        self.request = WIRE.message("execute_request", {"code": "1 + 1"})

    def record(self, kind: str, message: Message) -> Record:
        self.seq += 1
        return record_of(self.seq, float(self.seq), kind, message, self.request.msg_id, "file:///a.py")

    def submit(self, metadata: Any = None, **content: Any) -> Record:
        self.request = WIRE.message("execute_request", {"code": "1 + 1", **content}, metadata=metadata)
        return self.record("submit", self.request)

    def say(self, msg_type: str, **content: Any) -> Record:
        kind = {"execute_reply": "reply", "input_request": "input", "input_reply": "answer"}.get(msg_type, "iopub")
        return self.record(kind, WIRE.message(msg_type, content, parent=self.request.header_json))


def told(executions: Executions) -> dict[str, Any]:
    (only,) = executions.all.values()
    return only.snapshot()


def test_an_execution_goes_from_queued_to_ok() -> None:
    journal, executions = Journal(), Executions()
    ours = {"zmqkernel": {"sender": "neovim 7", "origin": {"line": 3, "cell": "c"}}}
    executions.take(journal.submit(ours))
    assert told(executions)["state"] == "queued"
    executions.take(journal.say("status", execution_state="busy"))
    executions.take(journal.say("execute_input", code="1 + 1", execution_count=5))
    executions.take(journal.say("stream", name="stdout", text="a\rb"))
    assert (told(executions)["state"], told(executions)["outputs"][0].text) == ("running", "b")
    executions.take(journal.say("execute_reply", status="ok", execution_count=5))
    executions.take(journal.say("status", execution_state="idle"))
    facts = told(executions)
    assert (facts["state"], facts["count"], facts["sender"], facts["duration"]) == ("ok", 5, "neovim 7", 3.0)
    ran = executions.get(facts["execution"]).ran
    assert (ran.code, ran.line, ran.cell) == ("1 + 1", 3, "c")


def test_how_an_execution_can_end() -> None:
    for reply, state in (
        ({"status": "error", "ename": "ValueError", "evalue": ""}, "error"),
        ({"status": "error", "ename": "KernelDied", "evalue": "SIGKILL"}, "died"),
        ({"status": "aborted"}, "aborted"),
    ):
        journal, executions = Journal(), Executions()
        executions.take(journal.submit())
        executions.take(journal.say("execute_reply", **reply))
        assert told(executions)["state"] == state


def test_a_plain_jupyter_client_has_a_name_too_and_silent_code_is_not_shown() -> None:
    journal, executions = Journal(), Executions()
    executions.take(journal.submit({"zmqkernel": "another meaning"}))
    assert told(executions)["sender"] == "ada (01234567)"
    assert executions.take(journal.submit(silent=True)) == []
    assert executions.take(journal.say("stream", name="stdout", text="x")) == []
    assert len(executions.all) == 1


def test_an_input_waits_until_it_is_answered_or_closed() -> None:
    journal, executions = Journal(), Executions()
    executions.take(journal.submit())
    executions.take(journal.say("input_request", prompt="? ", password=True))
    ((request, waiting),) = executions.inputs.items()
    assert (waiting.prompt, waiting.password, waiting.execution) == ("? ", True, journal.request.msg_id)
    assert told(executions)["state"] == "waiting"
    executions.take(journal.say("input_reply", value=""))
    assert executions.inputs == {}
    assert told(executions)["state"] == "running"
    executions.take(journal.say("input_request", prompt="? "))
    (request,) = executions.inputs
    executions.take(event(9, 9.0, "input_closed", {"request": request}))
    assert executions.inputs == {}
    assert told(executions)["state"] == "running"


def test_what_ran_before_a_kernel_died_is_of_an_earlier_kernel_and_what_is_queued_is_not() -> None:
    journal, executions = Journal(), Executions()
    executions.take(journal.submit())
    executions.take(journal.say("execute_reply", status="ok", execution_count=1))
    ran = journal.request.msg_id
    executions.take(journal.submit())
    queued = journal.request.msg_id
    for name in ("kernel_died", "kernel_started"):
        changed = executions.take(event(9, 9.0, name, {"reason": "SIGKILL", "expected": False}))
        assert [one.execution for one in changed] == ([ran] if name == "kernel_died" else [])
    assert executions.get(ran).snapshot()["earlierKernel"] is True
    assert executions.get(queued).snapshot()["earlierKernel"] is False


def test_a_kernel_that_is_taken_over_is_no_earlier_one() -> None:
    journal, executions = Journal(), Executions()
    executions.take(journal.submit())
    executions.take(journal.say("execute_reply", status="ok", execution_count=1))
    ran = executions.get(journal.request.msg_id)
    assert executions.take(event(8, 8.0, "open", {"unclean": False})) == [ran]
    assert executions.take(event(9, 9.0, "adopted", {"pid": 1, "generation": 1})) == [ran]
    assert not ran.earlier_kernel
    executions.take(event(10, 10.0, "kernel_died", {"reason": "SIGKILL", "expected": False}))
    executions.take(event(11, 11.0, "adopted", {"pid": 1, "generation": 1}))
    assert ran.earlier_kernel


def test_a_new_kernel_is_told_with_the_first_cause() -> None:
    def told(*events: tuple[str, Any]) -> list[Replaced | None]:
        kernels = Kernels()
        return [kernels.take(event(n, 0.0, name, content)) for n, (name, content) in enumerate(events)]

    started = ("kernel_started", {"pid": 1})
    opened, unclean = ("open", {"unclean": False}), ("open", {"unclean": True})
    crash = ("kernel_died", {"reason": "the kernel died: SIGSEGV", "expected": False})
    ended = ("kernel_died", {"reason": "exit code 0", "expected": True})
    assert told(opened, started) == [None, None]
    assert told(started, crash, started)[-1] == Replaced("the kernel died: SIGSEGV", False)
    assert told(started, ended, started)[-1] == Replaced("the kernel was restarted", True)
    assert told(started, started)[-1] == Replaced("the kernel was restarted", True)
    adopted = ("adopted", {"pid": 1})
    assert told(started, unclean, adopted) == [None, None, None]
    assert told(started, opened, adopted, crash, started)[-1] == Replaced("the kernel died: SIGSEGV", False)
    assert told(adopted, crash, started)[-1] == Replaced("the kernel died: SIGSEGV", False)
    assert told(started, ("close", {}), opened, started)[-1] == Replaced("the session was shut down", True)
    assert told(started, unclean, ("close", {}), opened, started)[-1] == Replaced(
        "the session's supervisor died", False
    )


def test_only_comments_are_not_an_execution() -> None:
    journal, executions = Journal(), Executions()
    assert executions.take(journal.submit(code="# a header\n\n  # more")) == []
    assert executions.all == {}


def test_a_display_that_another_execution_updates_changes_where_it_is_shown() -> None:
    journal, executions = Journal(), Executions()
    executions.take(journal.submit())
    shown = journal.request.msg_id
    transient = {"display_id": "d"}
    executions.take(journal.say("display_data", data={"text/plain": "old"}, metadata={}, transient=transient))
    executions.take(journal.submit())
    changed = executions.take(
        journal.say("update_display_data", data={"text/plain": "new"}, metadata={}, transient=transient)
    )
    assert [one.execution for one in changed] == [shown]
    assert changed[0].snapshot()["outputs"][0].data == {"text/plain": "new"}


def test_of_very_long_text_the_editor_gets_the_two_ends() -> None:
    journal, executions = Journal(), Executions()
    executions.take(journal.submit())
    executions.take(journal.say("stream", name="stdout", text="a" + "x" * 2 * MAX_TEXT + "z"))
    text = told(executions)["outputs"][0].text
    assert len(text) < MAX_TEXT + 200
    assert (text[0], text[-1]) == ("a", "z")
    assert f"{MAX_TEXT + 2} characters left out" in text


def test_many_changes_are_told_rarely_and_the_end_at_once() -> None:
    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        times: list[float] = []

        def send(_: str) -> int:
            times.append(loop.time())
            return 0

        pace = Pace(send, lambda: False)
        while len(times) < 4:
            pace.changed(["x"])
            await asyncio.sleep(0)
        before = len(times)
        pace.changed(["x"], at_once=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(times) == before + 1
        pace.close()
        return times[:before]

    times = asyncio.run(scenario())
    assert all(later - earlier > INTERVAL * 0.9 for earlier, later in itertools.pairwise(times))


def test_a_slow_editor_is_told_nothing_until_it_reads_again() -> None:
    async def scenario() -> None:
        told: list[str] = []
        both = asyncio.Event()
        slow = True

        def send(execution: str) -> int:
            told.append(execution)
            if len(told) == 2:
                both.set()
            return 0

        pace = Pace(send, lambda: slow)
        pace.changed(["x", "y"])
        await asyncio.sleep(3 * INTERVAL)
        assert told == []
        slow = False
        await both.wait()
        assert sorted(told) == ["x", "y"]
        pace.close()

    asyncio.run(scenario())
