"""What no well-behaved client sends: a clear error or a clean refusal, and the session unharmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zmq

from zmqkernel.client import Client
from zmqkernel.paths import Session
from zmqkernel.protocol.wire import Message, Wire

from .conftest import text_of, wait_for
from .raw import Raw


def wire_of(raw: Raw, session: str = "") -> Wire:
    return Wire(raw.info.key, session or os.urandom(8).hex())


def test_two_clients_with_one_identity_the_later_wins(session: Session, client: Client) -> None:
    with Raw(session) as first, Raw(session) as second:
        wire = wire_of(first, "same")
        for raw in (first, second):
            raw.socket.close()
            raw.socket = zmq.Context.instance().socket(zmq.DEALER)
            raw.socket.linger = 0
            raw.socket.setsockopt(zmq.IDENTITY, b"same")
            raw.socket.connect(raw.info.endpoint("control"))
            assert raw.exchange(wire, wire.message("session_info_request")).msg_type == "session_info_reply"
        assert second.exchange(wire, wire.message("session_info_request")).msg_type == "session_info_reply"
    assert text_of(client, "print('unharmed')") == "unharmed\n"


def test_a_client_that_reconnects_a_hundred_times_leaves_nothing_behind(session: Session, client: Client) -> None:
    pid = client.info().supervisor_pid

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    client.execute("1").wait(20)
    before = descriptors()
    for _ in range(100):
        with Raw(session) as raw:
            wire = wire_of(raw)
            assert raw.exchange(wire, wire.message("kernel_info_request")).msg_type == "kernel_info_reply"
    wait_for(lambda: descriptors() <= before + 2)  # ZeroMQ may keep one or two for what comes next


def test_a_message_of_200_mb_gets_an_error_and_costs_nothing_that_stays(session: Session, client: Client) -> None:
    status = Path(f"/proc/{client.info().supervisor_pid}/status")

    def resident() -> int:
        """RSS in kB."""
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))

    before = resident()
    with Raw(session) as raw:
        wire = wire_of(raw)
        huge = wire.message("execute_request", b'{"code":"' + b"#" * 200_000_000 + b'"}')
        reply = raw.exchange(wire, huge, 60)
        assert reply.msg_type == "execute_reply"
        assert reply.content["status"] == "error"
        assert "200 MB" in reply.content["evalue"]
        assert "file" in reply.content["evalue"]
        buffers = wire.message("comm_msg", {"comm_id": "x", "data": {}}, buffers=[b"\0" * 150_000_000])
        raw.socket.send_multipart(wire.pack(buffers))
        assert raw.exchange(wire, wire.message("session_info_request")).msg_type  # an answer to either
    wait_for(lambda: resident() < before + 30_000)
    assert text_of(client, "print('unharmed')") == "unharmed\n"


def test_a_replayed_shutdown_is_not_obeyed_again(session: Session, client: Client) -> None:
    with Raw(session) as raw:
        wire = wire_of(raw)
        restart = wire.message("shutdown_request", {"restart": True})
        assert raw.exchange(wire, restart).content == {"status": "ok", "restart": True}
        generation = client.info().generation
        again = raw.exchange(wire, restart)
        assert again.content["status"] == "error"
        assert "obeyed" in again.content["evalue"]
        assert client.info().generation == generation


def test_a_replayed_cell_is_executed_once(session: Session, client: Client) -> None:
    client.execute("n = 0").wait(20)
    with Raw(session) as raw:
        wire = wire_of(raw)
        cell = wire.message("execute_request", {"code": "n += 1"})
        positions = [raw.exchange(wire, cell).content["position"] for _ in range(3)]
        assert positions[0] == positions[1] == positions[2]
    assert text_of(client, "print(n)") == "1\n"


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_an_unknown_request_gets_no_answer_that_is_wrong_and_blocks_nobody(
    session: Session, client: Client, channel: str
) -> None:
    with Raw(session, channel) as raw:
        wire = wire_of(raw)
        raw.socket.send_multipart(wire.pack(wire.message("make_coffee_request", {"sugar": 2})))
        raw.socket.send_multipart(wire.pack(wire.message("make_tea", {"sugar": 2})))
        reply = raw.exchange(wire, wire.message("kernel_info_request"))
        assert reply.msg_type == "kernel_info_reply"
    assert text_of(client, "print('unharmed')") == "unharmed\n"


@pytest.mark.parametrize("version", ["5.0", "4.1", "", "99.9", "not a version"])
def test_an_old_or_odd_protocol_version_is_served(session: Session, version: str) -> None:
    with Raw(session, "shell") as raw:
        wire = wire_of(raw)
        message = wire.message("execute_request", {"code": "1", "silent": False})
        message.header.version = version
        old = Message(
            message.header, _header(message, version), b"{}", b"{}", message.content_json, idents=message.idents
        )
        reply = raw.exchange(wire, old)
        assert reply.content["status"] == "ok"


def _header(message: Message, version: str) -> bytes:
    import msgspec

    fields = msgspec.json.decode(message.header_json)
    if version:
        fields["version"] = version
    else:
        del fields["version"]  # before 5.1 nobody had to say it
        del fields["date"]
    return msgspec.json.encode(fields)
