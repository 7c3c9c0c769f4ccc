"""Connection files, as Jupyter reads and writes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqkernel.protocol.connection import CHANNELS, ConnectionInfo
from zmqkernel.protocol.errors import RemoteProtocolError
from zmqkernel.protocol.layout import connection_text

PORTS = st.integers(1, 65535)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=50)
@given(st.tuples(PORTS, PORTS, PORTS, PORTS, PORTS), TEXT, TEXT, st.sampled_from(["tcp", "ipc"]), TEXT)
def test_round_trip(ports: tuple[int, ...], ip: str, key: str, transport: str, name: str) -> None:
    fields = dict(zip([f"{channel}_port" for channel in CHANNELS], ports, strict=True))
    info = ConnectionInfo(**fields, ip=ip, key=key, transport=transport, kernel_name=name)  # type: ignore[arg-type]
    assert ConnectionInfo.decode(info.encode()) == info
    assert [info.port(channel) for channel in CHANNELS] == list(ports)


def test_endpoints() -> None:
    tcp = ConnectionInfo(shell_port=1, iopub_port=2, stdin_port=3, control_port=4, hb_port=5)
    assert tcp.endpoint("control") == "tcp://127.0.0.1:4"
    ipc = ConnectionInfo.decode(connection_text("/run/k", "key", "zmqkernel"))
    assert (ipc.key, ipc.kernel_name, ipc.transport) == ("key", "zmqkernel", "ipc")
    assert [ipc.endpoint(channel) for channel in CHANNELS] == [f"ipc:///run/k-{n}" for n in range(1, 6)]


def test_jupyter_reads_it_and_is_read(tmp_path: pytest.TempPathFactory) -> None:
    connect = pytest.importorskip("jupyter_client.connect")
    path, theirs = connect.write_connection_file(str(tmp_path / "kernel.json"), transport="ipc", key=b"k")  # type: ignore[operator]
    with open(path, "rb") as file:
        info = ConnectionInfo.decode(file.read())
    assert (info.transport, info.key, info.ip) == ("ipc", "k", theirs["ip"])
    assert [info.port(channel) for channel in CHANNELS] == [theirs[f"{channel}_port"] for channel in CHANNELS]
    ours = json.loads(info.encode())
    assert "kernel_name" in ours  # molten-nvim refuses a file without it
    assert set(theirs) <= set(ours)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"ip":"\xff"}',
        b'{"shell_port": "x"}',
        b'{"shell_port":1,"iopub_port":2,"stdin_port":3}',
    ],
)
def test_what_is_no_connection_file(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"spot\.json is not a Jupyter connection file"):
        ConnectionInfo.decode(text, "spot.json")


def test_another_signature_scheme_is_refused() -> None:
    info = ConnectionInfo.decode(connection_text("/k", "key", ""))
    info.signature_scheme = "hmac-md5"
    with pytest.raises(RemoteProtocolError, match="hmac-md5"):
        ConnectionInfo.decode(info.encode())
