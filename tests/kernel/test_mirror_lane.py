"""When the kernel tells of its names: after the reply, not once for each of many cells, and never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqkernel.protocol.messages import Delta
from zmqkernel.protocol.mirror import Changes, unpack_changes
from zmqkernel.protocol.wire import Message

from .linked import LinkedKernel, linked_kernel, wait_until


@pytest.fixture
def kernel(home: Path) -> Iterator[LinkedKernel]:
    with linked_kernel(home) as linked:
        yield linked


def told(kernel: LinkedKernel, execution: str) -> list[Message]:
    """The deltas that have come, the last of which has the effects of this cell."""

    def complete() -> list[Message]:
        deltas = kernel.messages("mirror_delta")
        done = [one for one in deltas if one.read(Delta).execution == execution and not one.read(Delta).more]
        return deltas if done else []

    return wait_until(complete, f"the mirror after {execution}")


def changes(messages: list[Message]) -> list[Changes]:
    return [unpack_changes(one.buffers[0]) for one in messages]


def test_it_comes_after_reply_and_idle(kernel: LinkedKernel) -> None:
    execution = kernel.execute("marker = 1")
    kernel.reply(execution)
    deltas = told(kernel, execution)
    marked = next(one for one in deltas if "marker" in unpack_changes(one.buffers[0]).changed)
    messages = [row[1] for row in kernel.rows if isinstance(row[1], Message)]
    idle = next(one for one in kernel.messages("status", execution) if one.content["execution_state"] == "idle")
    assert messages.index(marked) > messages.index(idle)
    assert [one.read(Delta).number for one in deltas] == list(range(1, len(deltas) + 1))
    assert [one.read(Delta).full for one in deltas] == [True] + [False] * (len(deltas) - 1)


def test_many_short_cells_are_looked_at_together(kernel: LinkedKernel) -> None:
    cells = [kernel.execute(f"value_{n} = {n}") for n in range(300)]
    kernel.reply(cells[-1])
    deltas = told(kernel, cells[-1])
    names = {name for one in changes(deltas) for name in one.changed}
    assert {f"value_{n}" for n in range(300)} <= names
    assert len(deltas) < 150


def test_the_supervisor_may_ask_for_everything(kernel: LinkedKernel) -> None:
    execution = kernel.execute("one, two = 1, [2]")
    told(kernel, execution)
    before = len(kernel.messages("mirror_delta"))
    assert kernel.ask("mirror_request") == {"status": "ok"}
    again = wait_until(lambda: kernel.messages("mirror_delta")[before:], "everything")
    assert again[0].read(Delta).full
    assert again[-1].read(Delta).execution == execution
    assert {"one", "two"} <= {name for one in changes(again) for name in one.changed}


def test_a_pass_goes_on_while_a_cell_runs_and_what_that_cell_does_comes_after_it(kernel: LinkedKernel) -> None:
    first = kernel.execute("for n in range(3000): globals()[f'name_{n}'] = [n]")
    second = kernel.execute("import time\nfor n in range(20):\n    time.sleep(0.05); globals()[f'late_{n}'] = n")
    kernel.reply(first)
    kernel.reply(second)
    deltas = told(kernel, second)
    names = {name for one in changes(deltas) for name in one.changed}
    assert {f"name_{n}" for n in range(3000)} <= names
    assert {f"late_{n}" for n in range(20)} <= names


def test_a_name_space_that_changes_all_the_time(kernel: LinkedKernel) -> None:
    kernel.run(
        "def churn():\n"
        "    while True:\n"
        "        for n in range(200):\n"
        "            globals()[f'churn_{n}'] = {str(k): [k] for k in range(n % 7)}; globals().pop(f'churn_{n - 50}', None)\n"
        "thread = threading.Thread(target=churn, daemon=True); thread.start()"
    )
    for number in range(5):
        execution = kernel.execute(f"steady = {number}")
        kernel.reply(execution)
        told(kernel, execution)
    assert any("steady" in one.changed for one in changes(kernel.messages("mirror_delta")))
    assert "could not be brought up to date" not in (kernel.directory / "log").read_text()
