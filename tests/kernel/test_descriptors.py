"""File descriptors 1 and 2: what C code and child processes write is captured, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zmqkernel.kernel.descriptors import PIECE, PUNCH, Tail
from zmqkernel.paths import punch

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}  # set, it also unbuffers C's stdout
START = """
import ctypes, json, os, subprocess, sys
from pathlib import Path
from zmqkernel.kernel.descriptors import capture
from zmqkernel.kernel.outlet import SocketOutlet
from zmqkernel.kernel.ownership import Owner, current
from zmqkernel.kernel.streams import OutStream
from zmqkernel.protocol.wire import Wire

wire, libc = Wire("", "t"), ctypes.CDLL(None)
one, two = (Owner(n, n.encode(), b"{}", [], False, "s") for n in ("one", "two"))
captured = capture(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
def build(msg_type, content, owner):
    return wire.message(msg_type, content, msg_id=owner.msg_id if owner else "")
outlet = SocketOutlet(lambda: None, build, captured)
sys.stdout, sys.stderr = OutStream("stdout", outlet), OutStream("stderr", outlet)
report = os.fdopen(captured._kept[0], "w")

def drained():
    outlet._next = 0.0
    return [(m.content["name"], m.msg_id, m.content["text"]) for _, m in outlet.drain()]

def tell(**what):
    report.write(json.dumps(what) + "\\n")
    report.flush()
"""


def run(code: str, *arguments: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-c", START + code, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_everything_arrives_in_order() -> None:
    (told,) = run("""
outlet.settle(one)
current.set(one)
print("python 1")
os.write(1, b"descriptor\\n")
outlet.settle(one)
print("python 2")
libc.printf(b"printf without a newline")
outlet.settle(one)
subprocess.run(["echo", "child"])
subprocess.run(["sh", "-c", "echo child stderr >&2"], stdout=sys.stdout)
outlet.settle(one)
os.system("echo shell")
outlet.settle(two)
os.write(2, b"of the next cell\\n")
outlet.settle(two)
tell(rows=drained())
""")
    rows = told["rows"]
    assert "".join(text for stream, who, text in rows if (stream, who) == ("stdout", "one")) == (
        "python 1\ndescriptor\npython 2\nprintf without a newlinechild\nshell\n"
    )
    assert [row for row in rows if row[0] == "stderr"] == [
        ["stderr", "one", "child stderr\n"],
        ["stderr", "two", "of the next cell\n"],
    ]


def test_python_text_comes_after_what_a_child_wrote_before_it() -> None:
    (told,) = run("""
outlet.settle(one)
current.set(one)
rows = []
for n in range(5):
    print("before", n)
    rows += drained()
    subprocess.run(["echo", "child", str(n)])
    print("after", n)
rows += drained()
tell(text="".join(row[2] for row in rows))
""")
    assert told["text"] == "".join(f"before {n}\nchild {n}\nafter {n}\n" for n in range(5))


def test_c_stdio_is_line_buffered_and_the_io_thread_finds_it() -> None:
    (told,) = run("""
outlet.settle(one)
libc.printf(b"a line\\n")
libc.printf(b"and half")
first = drained()
outlet.settle(one)
tell(first=first, second=drained(), due=outlet.due())
""")
    assert told["first"] == [["stdout", "one", "a line\n"]]
    assert told["second"] == [["stdout", "one", "and half"]]
    assert told["due"] <= 0.02


def test_half_characters_wait_and_bad_ones_are_replaced() -> None:
    (told,) = run("""
outlet.settle(one)
os.write(1, "é".encode()[:1])
first = drained()
os.write(1, "é".encode()[1:] + b"\\xff!")
tell(first=first, second=drained())
""")
    assert told == {"first": [], "second": [["stdout", "one", "é\ufffd!"]]}


def test_c_code_that_holds_the_gil_and_writes_much_does_not_dead_lock() -> None:
    (told,) = run("""
hold = ctypes.PyDLL(None)  # keeps the GIL
outlet.settle(one)
line = b"x" * 999 + b"\\n"
for _ in range(3000):
    hold.write(1, line, 1000)
outlet.settle(one)
rows = drained()
tell(size=sum(len(row[2]) for row in rows), blocks=os.fstat(captured.files[0]).st_blocks)
""")
    assert told["size"] == 3_000_000


def test_the_files_stay_small() -> None:
    (told,) = run("""
outlet.settle(one)
sizes = []
for _ in range(12):
    os.write(1, b"y" * 2_000_000)
    outlet.settle(one)
    assert sum(len(row[2]) for row in drained()) == 2_000_000
    sizes.append(os.fstat(captured.files[0]).st_blocks * 512)
tell(most=max(sizes), end=captured.sizes())
""")
    assert told["end"] == [24_000_000, 0]
    assert told["most"] < PUNCH + 3_000_000


def test_a_child_that_truncates_dev_stdout_does_not_stop_the_capture() -> None:
    (told,) = run("""
outlet.settle(one)
os.write(1, b"a long first line\\n")
rows = drained()
subprocess.run(["sh", "-c", "echo short > /dev/stdout"])
outlet.settle(one)
rows += drained()
os.write(1, b"after\\n")
outlet.settle(one)
tell(text="".join(row[2] for row in rows + drained()))
""")
    assert told["text"] == "a long first line\nshort\nafter\n"


def test_with_a_directory_the_files_have_names(tmp_path: Path) -> None:
    run(
        """
os.write(1, b"out")
os.write(2, b"err")
subprocess.run(["echo", " child"])
""",
        str(tmp_path),
    )
    assert (tmp_path / "fd1").read_bytes() == b"out child\n"
    assert (tmp_path / "fd2").read_bytes() == b"err"
    assert (tmp_path / "fd1").stat().st_mode & 0o777 == 0o600


def test_the_log_goes_to_the_original_stderr_and_everything_can_be_given_back() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            START
            + "os.write(captured.log, b'log')\nos.write(2, b'captured')\ncaptured.restore()\nos.write(2, b' restored')",
        ],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"log restored")


def test_closed_descriptors_at_the_start() -> None:
    code = START.replace("import ctypes", "import os; os.close(1); os.close(2)\nimport ctypes")
    code = code.replace('report = os.fdopen(captured._kept[0], "w")', "")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code + "os.write(1, b'x')\nassert [t for tail in captured.tails() for t in tail.take(9)] == ['x']",
        ],
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


def test_a_tail_takes_no_more_than_it_may(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, b"x" * (2 * PIECE + 5))
        tail = Tail(file, "stdout")
        assert [len(text) for text in tail.take(1)] == [PIECE]
        assert [len(text) for text in tail.take(9)] == [PIECE, 5]
        assert list(tail.take(9)) == []
    finally:
        os.close(file)


def test_a_file_system_without_holes_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"x" * 8192)
        file.flush()
        punch(file.fileno(), 0, 4096)
        punch(-1, 0, 4096)  # refused by the kernel
        file.seek(4096)
        assert file.read() == b"x" * 4096
