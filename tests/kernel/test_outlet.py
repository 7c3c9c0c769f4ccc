"""The outlet of a bare kernel: nothing is lost, order is kept, memory is bounded."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from zmqkernel.kernel import outlet as module
from zmqkernel.kernel.outlet import CHUNK, LIGHT, SocketOutlet
from zmqkernel.kernel.ownership import Owner, current, set_foreground
from zmqkernel.protocol.wire import Message, Wire

from .signals import interrupted_after, interrupting

WIRE = Wire("", "test")
Row = tuple[str, str, str]
"""Channel, msg_id of the owner or of the message, text or message type; a stream's name is in the channel."""


def make(name: str) -> Owner:
    return Owner(name, name.encode(), b"{}", [], allow_stdin=False, session="s")


ONE, TWO = make("one"), make("two")


def build(msg_type: str, content: object, owner: Owner | None) -> Message:
    return WIRE.message(msg_type, content, msg_id=owner.msg_id if owner else "nobody")


class Bench:
    def __init__(self) -> None:
        self.wakes = 0
        self.outlet = SocketOutlet(self.wake, build)
        self.writers = {name: self.outlet.writer(name) for name in ("stdout", "stderr")}

    def wake(self) -> None:
        self.wakes += 1

    def write(self, text: str, owner: Owner | None = ONE, stream: str = "stdout") -> None:
        token = current.set(owner)
        try:
            assert self.writers[stream](text) == len(text)
        finally:
            current.reset(token)

    def drain(self) -> list[Row]:
        """Everything, without waiting for the interval."""
        self.outlet._next = 0.0
        return [row_of(channel, message) for channel, message in self.outlet.drain()]


def row_of(channel: str, message: Message) -> Row:
    if message.msg_type == "stream":
        return message.content["name"], message.msg_id, message.content["text"]
    return channel, message.msg_id, message.msg_type


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield Bench()
    set_foreground(None)


def message(name: str) -> Message:
    return WIRE.message(name, msg_id=name)


def test_text_is_joined_for_each_stream_and_owner_in_order(bench: Bench) -> None:
    bench.write("a")
    bench.write("b")
    bench.write("!", stream="stderr")
    bench.write("c")
    bench.write("d", TWO)
    bench.outlet.send("iopub", message("display_data"))
    bench.write("e", TWO)
    bench.write("f", TWO)
    bench.outlet.send("shell", message("execute_reply"), message("next"))
    assert bench.drain() == [
        ("stdout", "one", "ab"),
        ("stderr", "one", "!"),
        ("stdout", "one", "c"),
        ("stdout", "two", "d"),
        ("iopub", "display_data", "display_data"),
        ("stdout", "two", "ef"),
        ("shell", "execute_reply", "execute_reply"),
        ("shell", "next", "next"),
    ]
    assert bench.drain() == []


def test_a_run_goes_on_after_it_was_drained(bench: Bench) -> None:
    bench.write("a")
    assert bench.drain() == [("stdout", "one", "a")]
    bench.write("b")
    bench.write("c")
    assert bench.drain() == [("stdout", "one", "bc")]


def test_the_first_text_wakes_and_the_next_waits_for_the_interval(bench: Bench) -> None:
    bench.write("a")
    assert bench.wakes == 1
    assert [row_of(*row) for row in bench.outlet.drain()] == [("stdout", "one", "a")]
    bench.outlet._next += 3600
    bench.write("b")
    assert bench.wakes == 1
    assert list(bench.outlet.drain()) == []
    assert bench.outlet.due() > 60
    bench.outlet.send("iopub", message("status"))
    assert bench.wakes == 2
    assert [row_of(*row)[2] for row in bench.outlet.drain()] == ["b", "status"]


def test_a_sleeping_io_thread_is_woken_again(bench: Bench) -> None:
    bench.write("a")
    bench.drain()
    assert bench.drain() == []
    assert bench.outlet.due() == 60.0
    bench.write("b")
    assert bench.wakes == 2


def test_several_messages_wake_once(bench: Bench) -> None:
    bench.outlet.send("iopub", message("a"), message("b"))
    bench.outlet.send("shell", message("c"))
    assert bench.wakes == 1
    assert [row[2] for row in bench.drain()] == ["a", "b", "c"]


def test_text_outside_of_every_cell_belongs_to_the_foreground(bench: Bench) -> None:
    bench.write("a", None)
    set_foreground(TWO)
    bench.write("b", None)
    assert bench.drain() == [("stdout", "nobody", "a"), ("stdout", "two", "b")]


def test_large_text_is_cut(bench: Bench) -> None:
    bench.write("x")
    bench.write("é" * (2 * CHUNK + 1))
    bench.write("y")
    rows = bench.drain()
    assert "".join(row[2] for row in rows) == "x" + "é" * (2 * CHUNK + 1) + "y"
    assert max(len(row[2]) for row in rows) == CHUNK


def test_lone_surrogates_are_replaced(bench: Bench) -> None:
    bench.write("a\ud800b")
    bench.write("\ud83d\ude00")  # as two halves: this is what it means
    assert bench.drain() == [("stdout", "one", "a\ufffdb\U0001f600")]


def test_only_text_is_written(bench: Bench) -> None:
    for wrong in (b"bytes", 1, None):
        with pytest.raises(TypeError):
            bench.writers["stdout"](wrong)  # type: ignore[arg-type]

    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "loud"

    bench.write(Loud("quiet"))
    assert [type(item) for item in bench.outlet._queue[1:]] == [str]


def test_threads_lose_nothing_and_keep_their_own_order(bench: Bench) -> None:
    count, owners = 3000, [make(str(n)) for n in range(4)]
    stop = threading.Event()
    rows: list[Row] = []

    def io() -> None:
        while not stop.is_set():
            rows.extend(bench.drain())

    def write(owner: Owner) -> None:
        current.set(owner)
        stdout, stderr = bench.writers["stdout"], bench.writers["stderr"]
        for n in range(count):
            stdout(f"{owner.msg_id}:{n}")
            stdout("\n")
            if n % 100 == 0:
                stderr(f"{owner.msg_id}:{n}\n")
                bench.outlet.send("iopub", WIRE.message("display_data", {"n": n}, msg_id=owner.msg_id))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=write, args=(owner,)) for owner in owners]
    drainer = threading.Thread(target=io)
    try:
        for thread in (drainer, *threads):
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        drainer.join()
        sys.setswitchinterval(interval)
    rows += bench.drain()
    for owner in owners:
        mine = [row for row in rows if row[1] == owner.msg_id]
        assert "".join(row[2] for row in mine if row[0] == "stdout") == "".join(
            f"{owner.msg_id}:{n}\n" for n in range(count)
        )
        assert sum(row[0] == "iopub" for row in mine) == count // 100
    assert bench.outlet._heavy == 0


def test_writers_wait_when_much_is_queued(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAVY", 10 * LIGHT)
    total, done = 200 * LIGHT, threading.Event()

    def write() -> None:
        for _ in range(200):
            bench.write("x" * LIGHT)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    most = received = 0
    while not done.is_set() or bench.outlet._queue:
        most = max(most, bench.outlet._heavy)
        received += sum(len(row[2]) for row in bench.drain())
    writer.join()
    received += sum(len(row[2]) for row in bench.drain())
    assert received == total
    assert most <= 12 * LIGHT


def test_the_io_thread_never_waits_for_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 2)
    bench.drain()
    for _ in range(5):
        bench.write("x")
        bench.outlet.send("iopub", message("status"))
    assert len(bench.drain()) == 10


def test_an_interrupt_ends_the_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 0)
    with interrupted_after(0.05), pytest.raises(KeyboardInterrupt):
        bench.write("never")
    monkeypatch.undo()
    bench.write("later")
    assert bench.drain() == [("stdout", "one", "later")]


def test_a_signal_handler_that_prints_in_the_middle(bench: Bench) -> None:
    """It runs between any two bytecodes of a write; every piece of text must still reach its own owner."""
    stdout, stderr = bench.writers["stdout"], bench.writers["stderr"]
    handled = written = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        stderr("h")
        bench.outlet.text("stderr", "t", TWO)  # setting a context variable in here may crash Python 3.11
        stdout("H")

    rows: list[Row] = []
    token = current.set(ONE)
    try:
        with interrupting(handler):
            while handled < 200:
                stdout("o")
                stderr("n")
                written += 1
                if written % 500 == 0:
                    rows += bench.drain()
    finally:
        current.reset(token)
    rows += bench.drain()
    text = {key: sorted("".join(row[2] for row in rows if row[:2] == key)) for key in {row[:2] for row in rows}}
    assert text == {
        ("stdout", "one"): ["H"] * handled + ["o"] * written,
        ("stderr", "one"): ["h"] * handled + ["n"] * written,
        ("stderr", "two"): ["t"] * handled,
    }


def test_closing_lets_everything_out_at_once(bench: Bench) -> None:
    bench.write("a")
    list(bench.outlet.drain())
    bench.outlet._next += 3600
    bench.write("b")
    wakes = bench.wakes
    bench.outlet.close()
    assert bench.wakes > wakes
    assert [row_of(*row)[2] for row in bench.outlet.drain()] == ["b"]


def test_a_forked_child_writes_to_the_descriptors(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.write("parent")
    wakes = bench.wakes
    pid = os.fork()
    if pid == 0:
        bench.write("child out\n")
        bench.write("child err\n", stream="stderr")
        bench.outlet.send("iopub", message("display_data"))
        bench.outlet.settle(ONE)
        os._exit(0 if bench.wakes == wakes else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert bench.drain() == [("stdout", "one", "parent")]
    assert capfd.readouterr() == ("child out\n", "child err\n")
