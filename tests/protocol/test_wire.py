"""The wire format: what goes in comes out, and nothing else is let in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqkernel.protocol.errors import BadSignature, LocalProtocolError, RemoteProtocolError
from zmqkernel.protocol.messages import CONTENT, ExecuteRequest, Metadata
from zmqkernel.protocol.wire import DELIMITER, EMPTY, MAX_JSON, Message, Wire, message_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
CONTENTS = st.dictionaries(TEXT, VALUES, max_size=5)
FRAMES = st.lists(st.binary(max_size=30), max_size=4)
FEW = settings(max_examples=30)


def wire(key: str = "secret") -> Wire:
    return Wire(key, "session")


@FEW
@given(CONTENTS, CONTENTS, FRAMES, FRAMES, TEXT)
def test_round_trip(
    content: dict[str, Any], metadata: dict[str, Any], buffers: list[bytes], idents: list[bytes], key: str
) -> None:
    idents = [ident for ident in idents if ident != DELIMITER]
    sent = wire(key).message(
        "comm_msg", content, metadata=metadata, parent=b'{"msg_id":"1","msg_type":"x"}', buffers=buffers, idents=idents
    )
    read = wire(key).unpack(wire(key).pack(sent))
    assert read == sent
    assert (read.content, read.metadata, read.buffers, read.idents) == (content, metadata, buffers, idents)
    assert read.parent is not None
    assert (read.parent.msg_id, read.msg_type, read.header.version) == ("1", "comm_msg", "5.5")


@FEW
@given(st.data(), CONTENTS, FRAMES)
def test_tampering_is_seen(data: st.DataObject, content: dict[str, Any], buffers: list[bytes]) -> None:
    frames = [bytes(frame) for frame in wire().pack(wire().message("status", content, buffers=buffers))]
    index = data.draw(st.integers(1, 5))  # the signature and the four JSON frames
    frame = bytearray(frames[index])
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    frames[index] = bytes(frame)
    with pytest.raises(BadSignature):
        wire().unpack(frames)


def test_the_signature_does_not_cover_buffers() -> None:
    frames = wire().pack(wire().message("comm_msg", {}, buffers=[b"big"]))
    assert wire().unpack([*frames[:-1], b"other"]).buffers == [b"other"]


def test_moved_frames_and_other_keys_are_refused() -> None:
    message = wire().message("status", {"a": 1}, metadata={"b": 2})
    frames = wire().pack(message)
    frames[4], frames[5] = frames[5], frames[4]
    with pytest.raises(BadSignature, match="signature"):
        wire().unpack(frames)
    with pytest.raises(BadSignature):
        wire("other").unpack(wire().pack(message))
    with pytest.raises(BadSignature):
        wire().unpack(wire("").pack(message))
    assert wire("").unpack(wire().pack(message)) == message


@given(st.lists(st.binary(max_size=40) | st.just(DELIMITER) | st.just(EMPTY), max_size=9), st.booleans())
def test_garbage_raises_only_our_error(frames: list[bytes], signed: bool) -> None:
    reader = wire("secret" if signed else "")
    try:
        message = reader.unpack(frames)
    except RemoteProtocolError:
        return
    for look in (lambda: message.content, lambda: message.metadata, lambda: message.parent):
        try:
            look()
        except RemoteProtocolError:
            pass  # garbage is refused when somebody looks at it, and only so


@pytest.mark.parametrize(
    "text",
    [b"\xff", b'{"msg_id":"\xff","msg_type":""}', b"{}", b"[]", b"[" * 10000, b'{"msg_id":1,"msg_type":""}', b""],
)
def test_bad_json_anywhere(text: bytes) -> None:
    unsigned = wire("")
    with pytest.raises(RemoteProtocolError):
        unsigned.unpack([DELIMITER, b"", text, EMPTY, EMPTY, EMPTY])
    with pytest.raises(RemoteProtocolError):
        message_of([text, EMPTY, EMPTY, EMPTY])
    message = Message(unsigned.header("execute_request"), EMPTY, content_json=text)
    with pytest.raises(RemoteProtocolError, match="execute_request"):
        message.read(ExecuteRequest)


def test_too_few_parts() -> None:
    with pytest.raises(RemoteProtocolError, match="3 of at least 5"):
        wire().unpack([b"id", DELIMITER, b"", EMPTY, EMPTY])
    with pytest.raises(RemoteProtocolError, match="delimiter"):
        wire().unpack([b"", EMPTY, EMPTY, EMPTY, EMPTY])
    with pytest.raises(RemoteProtocolError, match="at least 4"):
        message_of([EMPTY])


def test_too_large() -> None:
    with pytest.raises(RemoteProtocolError, match="larger") as caught:
        wire().unpack([DELIMITER, b"", EMPTY, EMPTY, EMPTY, bytes(MAX_JSON)])
    assert caught.value.hint


def test_message_of_is_what_went_into_the_ring() -> None:
    sent = wire().message("display_data", {"data": {}}, buffers=[b"x", b""])
    assert (
        message_of([sent.header_json, sent.parent_json, sent.metadata_json, sent.content_json, *sent.buffers]) == sent
    )


def test_numbers_make_ids_unique() -> None:
    one = wire()
    assert one.message("status").msg_id != one.message("status").msg_id
    assert one.message("status", msg_id="given").msg_id == "given"


def test_objects_that_json_does_not_know() -> None:
    message = wire().message("display_data", {"data": {"x": {1, 2}, 3: b"b", "nan": float("nan"), "o": complex(1, 2)}})
    assert message.content == {"data": {"x": [1, 2], "3": "Yg==", "nan": None, "o": "(1+2j)"}}


def test_a_lone_surrogate_does_not_lose_the_message() -> None:
    message = wire().message("stream", {"name": "stdout", "text": "a\ud800b", "nan": float("nan")})
    assert json.loads(message.content_json) == {"name": "stdout", "text": "a?b", "nan": None}


def test_what_cannot_be_sent_is_our_bug() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(LocalProtocolError):
        wire().message("status", loop)


@FEW
@given(st.sampled_from(sorted(CONTENT)), CONTENTS)
def test_any_content_is_read_or_refused(msg_type: str, content: dict[str, Any]) -> None:
    message = wire().message(msg_type, content)
    try:
        message.read(CONTENT[msg_type])
    except RemoteProtocolError as error:
        assert str(error).startswith(msg_type)


def test_unknown_fields_are_ignored_and_defaults_are_those_of_the_specification() -> None:
    asked = wire().message("execute_request", {"code": "1", "from_the_future": 1}).read(ExecuteRequest)
    assert asked == ExecuteRequest("1", silent=False, store_history=None, allow_stdin=True, stop_on_error=True)


def test_our_metadata() -> None:
    ours = {"epoch": 1, "seq": 2, "sender": "me", "origin": {"uri": "file:///a.py", "line": 3}}
    message = wire().message("status", metadata={"other": 1, "zmqkernel": ours})
    read = Message(message.header, EMPTY, content_json=message.metadata_json).read(Metadata).zmqkernel
    assert (read.epoch, read.seq, read.sender) == (1, 2, "me")
    assert read.origin is not None
    assert (read.origin.uri, read.origin.line, read.origin.column) == ("file:///a.py", 3, 0)
