"""The outlet under a supervisor: what was printed is in the ring when print returns, whatever happens next."""

from __future__ import annotations

import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqkernel.kernel.link import RingOutlet
from zmqkernel.kernel.ownership import Owner, current
from zmqkernel.kernel.streams import OutStream
from zmqkernel.protocol.layout import HEADER, format_ring
from zmqkernel.protocol.ring import MAX_MESSAGE, LargeParts, Mark, Parts, RingReader, Text, unpack_parts
from zmqkernel.protocol.wire import Wire, message_of

from .signals import interrupted_after, interrupting

ROOT = Path(__file__).parents[2]
SIZE = 1 << 20
START = """
import os, signal, subprocess, sys, threading
from pathlib import Path
from zmqkernel.kernel.descriptors import capture
from zmqkernel.kernel.link import RingOutlet
from zmqkernel.kernel.ownership import Owner, current
from zmqkernel.kernel.streams import OutStream
from zmqkernel.protocol.wire import Wire
link = Path(sys.argv[1])
captured = capture(link)
outlet = RingOutlet(link, captured)
sys.stdout, sys.stderr = OutStream("stdout", outlet), OutStream("stderr", outlet)
one, two = (Owner(n, n.encode(), b"{}", [], False, "s") for n in ("one", "two"))
current.set(one)
outlet.settle(one)
"""


def make(name: str) -> Owner:
    return Owner(name, name.encode(), b"{}", [], allow_stdin=False, session="s")


ONE, TWO = make("one"), make("two")


class Link:
    """What a supervisor makes and reads."""

    def __init__(self, directory: Path, size: int = SIZE) -> None:
        self.directory = directory
        with open(directory / "ring", "w+b") as file:
            file.truncate(HEADER + size)
            self.memory = mmap.mmap(file.fileno(), 0)
        format_ring(memoryview(self.memory))
        os.mkfifo(directory / "wake")
        self.fifo = os.open(directory / "wake", os.O_RDWR | os.O_NONBLOCK)
        self.reader = RingReader(memoryview(self.memory))

    def rows(self) -> list[tuple]:
        """Everything there is, neighbouring text joined."""
        rows: list[tuple] = []
        while self.reader.has_more:
            for item in self.reader.read():
                match item:
                    case Text(stream, execution, data):
                        if rows and rows[-1][:2] == (stream, execution):
                            rows[-1] = (stream, execution, rows[-1][2] + data.decode())
                        else:
                            rows.append((stream, execution, data.decode()))
                    case Parts(channel, parts):
                        rows.append((channel, message_of(parts)))
                    case LargeParts(channel, name):
                        rows.append((channel, message_of(unpack_parts((self.directory / name).read_bytes()))))
                    case Mark(execution, fd1, fd2):
                        rows.append(("mark", execution, (fd1, fd2)))
            self.reader.confirm()
        return rows

    def text(self, stream: str = "stdout") -> str:
        return "".join(row[2] for row in self.rows() if row[0] == stream)

    def wait_for(self, text: str, seconds: float = 30) -> str:
        """Sleep on the FIFO until the text is there, as a supervisor does."""
        came, deadline = "", time.monotonic() + seconds
        while text not in came:
            assert time.monotonic() < deadline, f"only {came!r} came"
            if self.reader.wait():
                select.select([self.fifo], [], [], 0.5)
                try:
                    os.read(self.fifo, 4096)
                except BlockingIOError:
                    pass  # the time limit woke us
            came += self.text()
        return came

    def close(self) -> None:
        os.close(self.fifo)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    link = Link(tmp_path)
    yield link
    link.close()


@pytest.fixture
def outlet(link: Link) -> RingOutlet:
    return RingOutlet(link.directory)


@pytest.fixture(autouse=True)
def owned() -> Iterator[None]:
    token = current.set(ONE)
    yield
    current.reset(token)


def start(link: Link, code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START + code, str(link.directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr


def test_text_and_messages_in_order(link: Link, outlet: RingOutlet) -> None:
    stdout, stderr = OutStream("stdout", outlet), OutStream("stderr", outlet)
    print("a", file=stdout)
    print("b", file=stdout)
    message = Wire("", "k").message("display_data", {"data": {}}, buffers=[b"buffer"])
    outlet.send("iopub", message, Wire("", "k").message("status"))
    print("c", file=stdout)
    print("oops", file=stderr)
    current.set(TWO)
    print("d", file=stdout)
    rows = link.rows()
    assert rows[1] == ("iopub", message)
    del rows[1:3]
    assert rows == [
        ("stdout", "one", "a\nb\n"),
        ("stdout", "one", "c\n"),
        ("stderr", "one", "oops\n"),
        ("stdout", "two", "d\n"),
    ]


def test_all_sorts_of_text(link: Link, outlet: RingOutlet) -> None:
    write = outlet.writer("stdout")
    for _ in range(2):  # the second time takes the fast way
        assert [write(text) for text in ("", "é", "a\ud800b", "\n", "x" * 70_000)] == [0, 1, 3, 1, 70_000]
    assert link.text() == ("éa\ufffdb\n" + "x" * 70_000) * 2
    for wrong in (b"bytes", 1, None):
        with pytest.raises(TypeError):
            write(wrong)  # type: ignore[arg-type]
    outlet.text("stderr", "plain", None)
    assert link.rows() == [("stderr", "", "plain")]


def test_large_messages_wait_for_a_reader_that_is_behind(
    link: Link, outlet: RingOutlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmqkernel.kernel.link.LARGE_WAITING", 3 * MAX_MESSAGE)
    large = Wire(b"", "k").message("comm_msg", {}, buffers=[bytes(MAX_MESSAGE)])
    sent: list[int] = []

    def send() -> None:
        for number in range(6):
            outlet.send("iopub", large)
            sent.append(number)

    thread = threading.Thread(target=send)
    thread.start()
    deadline = time.monotonic() + 20
    while len(sent) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert sent == [0, 1, 2]
    while thread.is_alive() and time.monotonic() < deadline:
        for path in link.directory.glob("large-*"):
            if path.name != "large-1":  # one that a supervisor which died has left must not be waited for
                path.unlink()
        time.sleep(0.001)
    thread.join(1)
    assert sent == [*range(6)]


def test_large_messages_go_through_files(link: Link, outlet: RingOutlet) -> None:
    wire = Wire("", "k")
    small = wire.message("comm_msg", {}, buffers=[bytes(MAX_MESSAGE - 1000)])
    large = wire.message("comm_msg", {}, buffers=[memoryview(bytes(MAX_MESSAGE)), b"", bytearray(b"x")])
    outlet.send("iopub", small, large, small)
    assert link.rows() == [("iopub", small), ("iopub", large), ("iopub", small)]
    assert [path.name for path in link.directory.glob("large-*")] == ["large-1"]


def test_a_full_ring_waits_for_the_reader_and_drops_nothing(link: Link, outlet: RingOutlet) -> None:
    write = outlet.writer("stdout")
    lines = [f"{n:09}\n" for n in range(3 * SIZE // 10)]

    def produce() -> None:
        current.set(ONE)
        for line in lines:
            write(line)
        write("é" * SIZE)
        write("end\n")

    writer = threading.Thread(target=produce)
    writer.start()
    came = link.wait_for("end\n")
    writer.join()
    assert came == "".join(lines) + "é" * SIZE + "end\n"


def test_threads_keep_their_own_text_together(link: Link, outlet: RingOutlet) -> None:
    write, count, owners = outlet.writer("stdout"), 4000, [make(str(n)) for n in range(4)]

    def produce(owner: Owner) -> None:
        current.set(owner)
        for n in range(count):
            write(f"{owner.msg_id}:{n}")
            write("\n")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=produce, args=(owner,)) for owner in owners]
    rows: list[tuple] = []
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            rows += link.rows()
    finally:
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    rows += link.rows()
    for owner in owners:
        text = "".join(row[2] for row in rows if row[1] == owner.msg_id)
        assert text == "".join(f"{owner.msg_id}:{n}\n" for n in range(count))


def test_a_signal_handler_that_prints_in_the_middle(link: Link, outlet: RingOutlet) -> None:
    stdout, stderr = outlet.writer("stdout"), outlet.writer("stderr")
    wire = Wire("", "k")
    handled = written = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        stdout("h")
        stdout("\n")
        outlet.text("stderr", "e", TWO)  # setting a context variable in here may crash Python 3.11
        outlet.send("iopub", wire.message("status"))

    rows: list[tuple] = []
    with interrupting(handler):
        while handled < 200:
            stdout(f"{written}")
            stdout(";")
            stderr("e")
            written += 1
            rows += link.rows() if written % 100 == 0 else []
    rows += link.rows()
    text = {
        key: "".join(row[2] for row in rows if row[:2] == key) for key in {row[:2] for row in rows if row[0] != "iopub"}
    }
    assert (text["stderr", "one"], text["stderr", "two"]) == ("e" * written, "e" * handled)
    mixed = text["stdout", "one"]
    assert mixed.replace("h", "").replace("\n", "") == "".join(f"{n};" for n in range(written))
    assert (mixed.count("h"), mixed.count("\n"), len(text)) == (handled, handled, 3)
    assert sum(row[0] == "iopub" for row in rows) == handled


def test_an_interrupt_while_the_ring_is_full_leaves_it_in_order(link: Link, outlet: RingOutlet) -> None:
    write = outlet.writer("stdout")
    with interrupted_after(0.1), pytest.raises(KeyboardInterrupt):
        while True:
            write("0123456789" * 50)
    assert set(link.text()) == set("0123456789")
    worker = threading.Thread(target=write, args=("from another thread",))  # the lock is free
    worker.start()
    worker.join(10)
    assert link.text() == "from another thread"


def test_a_full_fifo_is_fine(link: Link, outlet: RingOutlet) -> None:
    with pytest.raises(BlockingIOError):
        while True:
            os.write(link.fifo, bytes(4096))
    assert link.reader.wait()
    outlet.text("stdout", "x", ONE)
    assert link.text() == "x"


@pytest.mark.parametrize("exits", ["os._exit(0)", "sys.exit(0)"])
def test_a_forked_child_never_writes_into_the_ring(link: Link, exits: str) -> None:
    process = start(
        link,
        f"""
print("parent 1")
pid = os.fork()
if pid == 0:
    print("child")
    print("child error", file=sys.stderr)
    outlet.send("iopub", Wire("", "k").message("status"))
    outlet.settle(two)
    big = bytearray(64 << 20)  # may come to lie where the ring was
    {exits}
assert os.waitpid(pid, 0)[1] == 0
import multiprocessing
def work():
    print("worker")
worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
assert worker.exitcode == 0
print("parent 2")
""",
    )
    finish(process)
    rows = link.rows()
    assert [row[2] for row in rows if row[0] == "stdout"] == ["parent 1\n", "parent 2\n"]
    assert not [row for row in rows if row[0] == "iopub"]
    assert (link.directory / "fd1").read_text() == "child\nworker\n"
    assert (link.directory / "fd2").read_text() == "child error\n"


def test_text_is_there_though_the_next_statement_holds_the_gil(link: Link) -> None:
    process = start(link, "import ctypes\nprint('before the hog')\nctypes.PyDLL(None).sleep(60)\nprint('after')")
    try:
        assert link.wait_for("before the hog\n") == "before the hog\n"
        assert process.poll() is None
        assert link.text() == ""  # PyDLL keeps the GIL: it is still at it
    finally:
        process.kill()
        process.communicate()


def test_text_is_there_though_the_process_is_killed(link: Link) -> None:
    process = start(
        link,
        """
print("a", end="")
print("b", file=sys.stderr)
os.write(1, b"descriptor")
print("last", end="")
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    rows = [row for row in link.rows() if row[0] != "mark"]
    assert rows == [("stdout", "one", "a"), ("stderr", "one", "b\n"), ("stdout", "one", "last")]
    assert (link.directory / "fd1").read_bytes() == b"descriptor"


def test_marks_say_where_the_descriptors_were(link: Link) -> None:
    process = start(
        link,
        """
print("python 1")
subprocess.run(["sh", "-c", "echo child; echo error >&2"])
print("python 2")
outlet.settle(one)
outlet.settle(one)
os.write(1, b"more\\n")
outlet.settle(two)
current.set(two)
os.write(1, b"even more\\n")
outlet.close()
""",
    )
    finish(process)
    assert link.rows() == [
        ("mark", "one", (0, 0)),
        ("stdout", "one", "python 1\n"),
        ("mark", "one", (6, 6)),
        ("stdout", "one", "python 2\n"),
        ("mark", "two", (11, 6)),
        ("mark", "two", (21, 6)),
    ]
