"""The harness of the benchmarks measures what it says and judges by the limits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import zmq

from benchmarks.figures import RELAY, Samples
from benchmarks.report import BARE, DOOR, REFERENCE, markdown, summary
from benchmarks.subjects import Bare, processor_seconds, rss_megabytes, subjects


@pytest.fixture
def echo() -> Iterator[Bare]:
    """The echo kernel, started."""
    (subject,) = subjects("ipc", ["echo"])
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with contextlib.ExitStack() as stack:
        stack.callback(subject.remove)
        stack.callback(context.destroy, linger=0)
        subject.start(context)
        stack.callback(subject.stop)
        yield subject


def test_a_cell_is_measured_from_request_to_reply_and_idle(echo: Bare) -> None:
    echo.client.await_iopub()
    cell = echo.client.execute("pass")
    assert cell.sent < cell.replied and cell.sent < cell.idle
    header, parent, content = echo.client.read(cell.reply)
    assert header["msg_type"] == "execute_reply"
    assert parent["msg_type"] == "execute_request"
    assert content["status"] == "ok"
    assert [content["code"] for _, content in echo.client.outputs(cell, "execute_input")] == ["pass"]


def test_a_wrong_signature_is_noticed(echo: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    echo.client.await_iopub()
    cell = echo.client.execute("pass")
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="signature"):
        patch.setattr(echo.client, "key", b"another key")
        echo.client.read(cell.reply)


def test_processor_time_and_memory_are_read(echo: Bare) -> None:
    echo.client.await_iopub()
    before = processor_seconds(echo.kernel_pid)
    for _ in range(50):
        echo.client.execute("pass")
    assert processor_seconds(echo.kernel_pid) > before
    assert rss_megabytes(echo.kernel_pid) > 1


def test_limits_are_judged() -> None:
    samples = Samples()
    samples.add("pass, clock", REFERENCE, 1.0, 2.0, 3.0)
    samples.add("pass, clock", BARE, 0.2, 0.4, 0.6)
    samples.add("pass, clock", DOOR, 0.8, 0.9, 1.0)
    figures = summary(samples)
    assert figures["pass, clock"][BARE] | {"ratio": 0.2, "kept": True} == figures["pass, clock"][BARE]
    assert figures["pass, clock"][DOOR] | {"ratio": 0.45, "kept": False} == figures["pass, clock"][DOOR]
    assert figures["pass, clock, what the door adds"][DOOR]["median"] == pytest.approx(0.5)
    row = next(line for line in markdown(figures).splitlines() if line.startswith("| pass, clock |"))
    assert "limit 0.25 ok" in row and "limit 0.36 MISSED" in row


def test_the_relay_is_held_against_a_whole_cell_of_the_reference() -> None:
    samples = Samples()
    samples.add("pass, processor time", REFERENCE, 2.0)
    samples.add("pass, processor time of the supervisor", DOOR, 0.5)
    samples.add(RELAY, DOOR, 0.8)
    figures = summary(samples)
    assert figures["pass, processor time of the supervisor"][DOOR]["ratio"] == 0.25
    assert "0.80 (0.80) of the kernel's" in markdown(figures)


def test_lost_output_is_shown() -> None:
    samples = Samples()
    samples.add("100k prints", REFERENCE, 10.0)
    samples.add("100k prints", BARE, 1.0)
    samples.exact["100k prints"][BARE].extend([1.0, 0.5])
    assert "only 50.0% arrived" in markdown(summary(samples))
