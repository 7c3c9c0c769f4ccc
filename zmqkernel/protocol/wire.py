"""The Jupyter wire format: frames on one side, :class:`Message` on the other.

    [identities..., b"<IDS|MSG>", HMAC, header, parent_header, metadata, content, buffers...]

https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol

Rules:

1. A message is decoded once per process: the header here, the content by whoever handles it, the rest not at all.
2. The HMAC covers the four JSON frames exactly as they came, never the buffers.
3. Nothing here knows about sockets: frames in, frames out.
"""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from .errors import BadSignature, LocalProtocolError, RemoteProtocolError
from .messages import VERSION, Header

DELIMITER = b"<IDS|MSG>"
EMPTY = b"{}"
ONE_GO = 1024 * 1024
MAX_JSON = 64 * 1024 * 1024
"""Largest sum of the four JSON frames that we accept, in bytes."""

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")


def plain(value: Any) -> Any:
    """For objects that msgspec does not know: subclasses of str, int and float and numpy's numbers become what they
    stand for, any other object its ``repr``."""
    if isinstance(value, str):
        return str.__str__(value)
    for kind, method in ((int, "__index__"), (float, "__float__")):
        if hasattr(value, method):
            try:
                return kind(value)
            except (TypeError, ValueError, OverflowError):
                pass  # an array of several has the method as well
    return repr(value)


encode = msgspec.json.Encoder(enc_hook=plain).encode
"""JSON bytes of any message content; an object that JSON cannot hold becomes what :func:`plain` makes of it."""
_decode_header = msgspec.json.Decoder(Header).decode
_decode_any = msgspec.json.Decoder().decode


class Message(msgspec.Struct):
    """One message. ``header`` is decoded; the other three stay JSON bytes until somebody needs them."""

    header: Header
    header_json: bytes
    parent_json: bytes = EMPTY
    metadata_json: bytes = EMPTY
    content_json: bytes = EMPTY
    buffers: list[Buffer] = []
    idents: list[bytes] = []

    @property
    def msg_type(self) -> str:
        return self.header.msg_type

    @property
    def msg_id(self) -> str:
        return self.header.msg_id

    @property
    def parent(self) -> Header | None:
        """The decoded parent header, None when the message answers nothing."""
        if self.parent_json == EMPTY:
            return None
        return _checked(_decode_header, self.parent_json, "parent_header")

    @property
    def metadata(self) -> dict[str, Any]:
        return as_object(self.metadata_json, "metadata")

    @property
    def content(self) -> dict[str, Any]:
        """The content as plain dicts; prefer :meth:`read` where the type is known."""
        return as_object(self.content_json, "content")

    def read(self, kind: type[T]) -> T:
        """The content as ``kind``; RemoteProtocolError says which field is wrong."""
        try:
            return msgspec.json.decode(self.content_json, type=kind)
        except (ValueError, RecursionError) as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
            raise RemoteProtocolError(f"{self.header.msg_type}: {error}") from None


def as_object(text: bytes, what: str = "JSON") -> dict[str, Any]:
    """Decode a JSON object."""
    value = _checked(_decode_any, text, what)
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{what} is not a JSON object")
    return value  # pyright: ignore[reportUnknownVariableType]


def _checked(decode: Any, text: bytes, what: str) -> Any:
    try:
        return decode(text)
    except (ValueError, RecursionError) as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        raise RemoteProtocolError(f"{what}: {error}") from None


class Wire:
    """Builds and reads the messages of one connection, signing with its key (an empty key: no signing)."""

    def __init__(self, key: str | bytes, session: str, username: str = "") -> None:
        raw = key.encode() if isinstance(key, str) else key
        self._key = raw
        self.session = session
        self.username = username
        self._numbers = itertools.count(1)

    def sign(self, parts: Sequence[Buffer]) -> bytes:
        """The hex HMAC-SHA256 over the four JSON frames, empty without a key."""
        if not self._key:
            return b""
        # In one go: an HMAC object costs four times as much. Content too large to be joined is worth one.
        if len(parts[-1]) < ONE_GO:
            return hmac.digest(self._key, b"".join(parts), "sha256").hex().encode()
        mac = hmac.new(self._key, digestmod="sha256")
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    def header(self, msg_type: str, msg_id: str = "") -> Header:
        """A new header; the id is the session and a number, unique as long as the session string is."""
        return Header(
            msg_id=msg_id or f"{self.session}_{next(self._numbers)}",
            msg_type=msg_type,
            session=self.session,
            username=self.username,
            date=datetime.now(UTC).isoformat(),
            version=VERSION,
        )

    def message(
        self,
        msg_type: str,
        content: Any = None,
        *,
        parent: bytes = EMPTY,
        metadata: Any = None,
        buffers: Sequence[Buffer] = (),
        idents: Sequence[bytes] = (),
        msg_id: str = "",
    ) -> Message:
        """Build a message; ``content`` and ``metadata`` may be structs, dicts or bytes that are JSON already."""
        # In line what header() and _json() do: a cell is five messages.
        header = Header(
            msg_id or f"{self.session}_{next(self._numbers)}",
            msg_type,
            self.session,
            self.username,
            datetime.now(UTC).isoformat(),
            VERSION,
        )
        return Message(
            header=header,
            header_json=encode(header),
            parent_json=parent,
            metadata_json=EMPTY if metadata is None else _json(metadata),
            content_json=content if type(content) is bytes else _json(content),
            buffers=list(buffers),
            idents=list(idents),
        )

    def pack(self, message: Message) -> list[Buffer]:
        """The frames to send, identities first."""
        parts = (message.header_json, message.parent_json, message.metadata_json, message.content_json)
        return [*message.idents, DELIMITER, self.sign(parts), *parts, *message.buffers]

    def unpack(self, frames: Sequence[Buffer]) -> Message:
        """Check and read frames. Raises BadSignature or RemoteProtocolError, never anything else."""
        start = frames.index(DELIMITER) if DELIMITER in frames else -1
        if start < 0:
            raise RemoteProtocolError("a message without the <IDS|MSG> delimiter")
        if len(frames) < start + 6:
            raise RemoteProtocolError(f"a message with {len(frames) - start - 1} of at least 5 frames")
        signature, *json_parts = map(bytes, frames[start + 1 : start + 6])
        if sum(map(len, json_parts)) > MAX_JSON:
            raise RemoteProtocolError(
                f"a message larger than {MAX_JSON} bytes", hint="Send large data as binary buffers or through a file."
            )
        if self._key and not hmac.compare_digest(self.sign(json_parts), signature):
            raise BadSignature("the signature of a message is wrong", hint="Is the connection file the newest?")
        header_json, parent_json, metadata_json, content_json = json_parts
        try:
            header = _decode_header(header_json)
        except (ValueError, RecursionError) as error:
            raise RemoteProtocolError(f"header: {error}") from None
        return Message(
            header=header,
            header_json=header_json,
            parent_json=parent_json,
            metadata_json=metadata_json,
            content_json=content_json,
            buffers=list(frames[start + 6 :]),
            idents=list(map(bytes, frames[:start])),
        )


def _json(value: Any) -> bytes:
    if value is None:
        return EMPTY
    if isinstance(value, bytes):
        return value
    try:
        return encode(value)
    except UnicodeEncodeError:
        # A lone surrogate in a user's string: JSON cannot hold it, the rest of the message matters more.
        whole = msgspec.to_builtins(value, enc_hook=plain, str_keys=True)
        return encode(json.loads(json.dumps(whole, ensure_ascii=False).encode(errors="replace")))
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"cannot be sent as JSON: {error}") from error


def message_of(parts: Sequence[Buffer]) -> Message:
    """A message from its four JSON parts and buffers, as they lie in the ring: unsigned, because memory is not a wire."""
    if len(parts) < 4:
        raise RemoteProtocolError(f"a message with {len(parts)} of at least 4 parts")
    header_json, parent_json, metadata_json, content_json, *buffers = parts
    return Message(
        header=_checked(_decode_header, bytes(header_json), "header"),
        header_json=bytes(header_json),
        parent_json=bytes(parent_json),
        metadata_json=bytes(metadata_json),
        content_json=bytes(content_json),
        buffers=list(buffers),
    )
