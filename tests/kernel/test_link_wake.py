"""When the outlet wakes the supervisor, and when it lets it sleep."""

from __future__ import annotations

import os
import select

from zmqkernel.kernel.link import RingOutlet
from zmqkernel.protocol.layout import NAPS
from zmqkernel.protocol.wire import Wire

from . import test_link
from .test_link import Link

link, outlet = test_link.link, test_link.outlet  # its fixtures


def is_woken(link: Link) -> bool:
    """Take the wake-up out of the FIFO if there is one."""
    if not select.select([link.fifo], [], [], 0)[0]:
        return False
    return os.read(link.fifo, 10) == b"\0"


def test_a_whole_line_or_a_flush_wakes_a_reader_that_sleeps_and_only_once(link: Link, outlet: RingOutlet) -> None:
    write = outlet.writer("stdout")
    for text in ("slow\n", "fast\n", "\n"):
        assert link.reader.wait()
        write(text)
        assert is_woken(link)
        assert link.text() == text
        write("nobody sleeps\n")
        assert link.text() == "nobody sleeps\n"
        assert not is_woken(link)
    assert link.reader.wait()
    write("half a line")
    assert not is_woken(link)
    outlet.flush()
    assert is_woken(link)


def test_a_reader_that_naps_is_woken_by_messages_only(link: Link, outlet: RingOutlet) -> None:
    write = outlet.writer("stdout")
    write("a line\n")
    assert link.text() == "a line\n"
    assert link.reader.wait(NAPS)
    write("a line\n")
    assert not is_woken(link)
    message = Wire("", "x").message("status", {"execution_state": "idle"})
    outlet.send("iopub", message, soon=True)
    assert not is_woken(link)
    outlet.send("iopub", message)
    assert is_woken(link)
