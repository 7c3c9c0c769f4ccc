"""The order of what Python prints and what C code and children write to fd 1 and 2, as the supervisor will see it."""

from __future__ import annotations

import pytest

from . import test_link
from .test_link import Link, finish, start

link = test_link.link  # its fixture


def ordered(link: Link) -> list[str]:
    """What a supervisor makes of it: the captured descriptors' text merged at the marks."""
    parts, at = [], [0, 0]
    for row in link.rows():
        if row[0] == "mark":
            for stream, end in enumerate(row[2]):
                data = (link.directory / f"fd{stream + 1}").read_bytes()[at[stream] : end].decode()
                at[stream] = end
                parts.append(data)
        else:
            parts.append(row[2])
    return "".join(parts).splitlines()


def test_c_output_and_python_output_keep_their_order_without_any_pause(link: Link) -> None:
    process = start(
        link,
        """
import ctypes
puts = ctypes.PyDLL(None).puts  # as an extension would, which keeps the GIL
line, write, out = b"C", os.write, sys.stdout.write
for n in range(300):
    print("P")
    puts(line)
    print("P")
    write(1, b"W\\n")
    print()
    write(2, b"E\\n")
    out("P\\n")
    out("\\n")
    write(1, b"W\\n")
    out("\\n")
outlet.settle(one)
""",
    )
    finish(process)
    assert ordered(link) == ["P", "C", "P", "W", "", "E", "P", "", "W", ""] * 300


def test_c_output_after_a_flood_of_prints_is_a_little_late_at_most_and_then_in_order_again(link: Link) -> None:
    process = start(
        link,
        """
import time
def flood():
    for n in range(20000):
        print("P")
flood()
time.sleep(0.001)
for n in range(200):
    os.write(1, b"W\\n")
    print("Q")
flood()
subprocess.run(["echo", "child"])
print("after the child")
outlet.settle(one)
""",
    )
    finish(process)
    lines = ordered(link)
    first, last = lines.index("W"), len(lines) - lines[::-1].index("Q")
    assert lines[first:last] == ["W", "Q"] * 200
    assert lines[-2:] == ["child", "after the child"]


def test_a_look_at_the_descriptors_keeps_the_gil(link: Link) -> None:
    process = start(
        link,
        """
seen = 0
def run():
    global seen
    while busy:
        seen += 1
busy = True
sys.setswitchinterval(0.5)  # the other thread runs only when this one lets go
thread = threading.Thread(target=run)
thread.start()
before = seen
for n in range(20000):
    captured.sizes()
after, busy = seen, False
sys.setswitchinterval(0.001)
print(before == after, before, after)
""",
    )
    finish(process)
    assert link.text().startswith("True"), link.text()


def test_a_c_line_survives_sigkill_and_half_a_line_does_not(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # it also unbuffers C's stdout
    process = start(
        link,
        """
import ctypes
library = ctypes.PyDLL(None)
library.printf(b"a whole line\\n")
library.printf(b"half a line")
library.fputs(b"unbuffered", ctypes.c_void_p.in_dll(library, "stderr"))
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    process.communicate(timeout=60)
    assert (link.directory / "fd1").read_text() == "a whole line\n"
    assert (link.directory / "fd2").read_text() == "unbuffered"
