"""sys.stdout as user code expects it."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest

from zmqkernel.kernel.ownership import Owner, owner
from zmqkernel.kernel.streams import OutStream
from zmqkernel.protocol.wire import Message


class Pieces:
    """An outlet that keeps text."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []
        self.flushed = 0

    def text(self, stream: str, text: str, owner: Owner | None) -> None:
        self.pieces.append((stream, text))

    def writer(self, stream: str) -> Callable[[str], int]:
        def write(text: str) -> int:
            self.text(stream, text, owner())
            return len(text)

        return write

    def send(self, channel: str, *messages: Message, soon: bool = False) -> None:
        raise AssertionError

    def flush(self) -> None:
        self.flushed += 1

    def settle(self, owner: Owner | None) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


@pytest.fixture
def outlet() -> Pieces:
    return Pieces()


@pytest.fixture
def stdout(outlet: Pieces) -> OutStream:
    return OutStream("stdout", outlet)


def text(outlet: Pieces) -> str:
    return "".join(piece for _, piece in outlet.pieces)


def test_print(outlet: Pieces, stdout: OutStream) -> None:
    print("a", 1, sep="-", end="!", file=stdout, flush=True)
    assert outlet.pieces == [("stdout", "a"), ("stdout", "-"), ("stdout", "1"), ("stdout", "!")]
    assert outlet.flushed == 1
    assert stdout.write("häh") == 3
    stdout.writelines(["x", "y"])
    assert text(outlet) == "a-1!hähxy"


def test_the_two_streams(outlet: Pieces) -> None:
    out, err = OutStream("stdout", outlet), OutStream("stderr", outlet)
    with redirect_stdout(out), redirect_stderr(err):
        print("o")
        print("e", file=sys.stderr)
        handler = logging.StreamHandler()
        handler.emit(logging.LogRecord("n", logging.INFO, "p", 1, "logged", (), None))
    assert [piece for stream, piece in outlet.pieces if stream == "stdout"] == ["o", "\n"]
    assert "".join(piece for stream, piece in outlet.pieces if stream == "stderr") == "e\nlogged\n"
    assert (out.fileno(), err.fileno(), out.buffer.fileno()) == (1, 2, 1)


def test_bytes(outlet: Pieces, stdout: OutStream) -> None:
    assert stdout.buffer.write(b"") == 0
    assert stdout.buffer.write("é".encode()[:1]) == 1
    assert outlet.pieces == []
    assert stdout.buffer.write("é".encode()[1:] + b"!\xff") == 3
    stdout.buffer.write(memoryview(b"ab"))
    stdout.buffer.writelines([b"c", bytearray(b"d")])
    stdout.buffer.flush()
    assert text(outlet) == "é!\ufffdabcd"
    wrapped = io.TextIOWrapper(stdout.buffer, encoding="utf-8")
    wrapped.write("wrapped")
    wrapped.detach()
    assert text(outlet).endswith("wrapped")
    stdout.buffer.close()
    stdout.buffer.write(b"open")


def test_what_it_says_of_itself(stdout: OutStream) -> None:
    assert (stdout.encoding, stdout.errors, stdout.newlines, stdout.mode) == ("utf-8", "replace", None, "w")
    assert (stdout.name, stdout.buffer.name, stdout.line_buffering) == ("<stdout>", "<stdout>", True)
    assert (stdout.isatty(), stdout.readable(), stdout.writable(), stdout.seekable()) == (False, False, True, False)
    assert isinstance(stdout, io.TextIOBase)
    assert "stdout" in repr(stdout)


def test_what_it_cannot_do(stdout: OutStream) -> None:
    for call in (stdout.read, stdout.readline, stdout.tell, stdout.detach):
        with pytest.raises(io.UnsupportedOperation):
            call()


def test_closing_and_reconfiguring_are_harmless(outlet: Pieces, stdout: OutStream) -> None:
    stdout.reconfigure(encoding="latin-1", line_buffering=False, write_through=False)
    stdout.close()
    with stdout:
        pass
    assert not stdout.closed
    print("still here", file=stdout)
    assert text(outlet) == "still here\n"


def test_a_subclass_may_call_the_method(outlet: Pieces, stdout: OutStream) -> None:
    assert OutStream.write(stdout, "abc") == 3
    assert text(outlet) == "abc"
    stdout.write = lambda text: 0  # what some libraries do to the real sys.stdout
    print("swallowed", file=stdout)
    assert text(outlet) == "abc"
