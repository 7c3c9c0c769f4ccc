"""The journal's record format, and reading it back from bytes that may be torn.

A journal is a run of frames ``[length u32][crc32 u32][body]``, little endian, the body a msgpack array (:class:`Record`).
The CRC covers the body. A frame that is cut short at the end is a torn tail: normal after a power failure, and dropped.
Anything else that does not check is damage: it is reported with its offset, and reading goes on at the next frame
that checks.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from .errors import RemoteProtocolError
from .messages import Header
from .wire import EMPTY, Buffer, Message, encode

FRAME = struct.Struct("<II")
MAX_BODY = 1 << 31
"""A longer body is taken for damage."""
WINDOW = 1024 * 1024
"""Bytes that are searched at once for the next frame that checks."""


class Record(msgspec.Struct, array_like=True, frozen=True):
    """One journal entry: a Jupyter message as it was, or an event of the session.

    ``kind``:

    * ``submit``   an execute_request, before it is forwarded
    * ``iopub``    an iopub message, before it is published
    * ``reply``    an execute_reply
    * ``input``    an input_request
    * ``answer``   an input_reply (the value is left out when it was a password)
    * ``event``    ours: ``msg_type`` is open, close, kernel_started, kernel_died, gap ..., the content says more

    ``execution`` is the msg_id of the execute_request it belongs to (empty: none), ``document`` that request's origin uri.
    The four JSON parts are kept verbatim. ``link``, in what the kernel said: with this record the supervisor had taken its
    output up to (position in the ring, offset in fd1, offset in fd2); the next supervisor goes on there.
    """

    seq: int
    time: float
    kind: str
    msg_type: str
    execution: str = ""
    document: str = ""
    header: bytes = EMPTY
    parent: bytes = EMPTY
    metadata: bytes = EMPTY
    content: bytes = EMPTY
    buffers: list[bytes] = []
    link: tuple[int, int, int] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """The content as plain dicts."""
        return msgspec.json.decode(self.content)

    def message(self) -> Message:
        """The Jupyter message that this record holds; an event has none and raises RemoteProtocolError."""
        if self.kind == "event":
            raise RemoteProtocolError(f"journal record {self.seq} is an event, not a message")
        return Message(
            header=msgspec.json.decode(self.header, type=Header),
            header_json=self.header,
            parent_json=self.parent,
            metadata_json=self.metadata,
            content_json=self.content,
            buffers=list(self.buffers),
        )


OUTPUTS = frozenset(
    {
        "stream",
        "display_data",
        "update_display_data",
        "execute_input",
        "execute_result",
        "error",
        "clear_output",
    }
)
"""The iopub messages that a filter with ``outputs_only`` lets through."""

_FIELDS = len(Record.__struct_fields__)
_MARKERS = re.compile(bytes([0x5B, 0x90 | (_FIELDS - 1), 0x90 | _FIELDS, 0x5D]))
"""How a body begins: msgpack's marker of an array of so many fields. Journals of 0.1 have one field less."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def record_of(
    seq: int,
    time: float,
    kind: str,
    message: Message,
    execution: str,
    document: str,
    link: tuple[int, int, int] | None = None,
) -> Record:
    """The record that holds ``message``."""
    return Record(
        seq,
        time,
        kind,
        message.header.msg_type,
        execution,
        document,
        message.header_json,
        message.parent_json,
        message.metadata_json,
        message.content_json,
        message.buffers,  # pyright: ignore[reportArgumentType]  any bytes-like is written as bytes
        link,
    )


def event(seq: int, time: float, name: str, content: Any, execution: str = "", document: str = "") -> Record:
    """The record of an event of the session itself."""
    return Record(seq, time, "event", name, execution, document, content=encode(content))


def frame(record: Record) -> bytes:
    """The bytes to append."""
    body = _encoder.encode(record)
    return FRAME.pack(len(body), zlib.crc32(body)) + body


class Damage(msgspec.Struct, frozen=True):
    """Bytes ``start`` to ``end`` do not check. ``torn`` means that they are the unfinished end."""

    start: int
    end: int
    torn: bool


def scan(data: Buffer, start: int = 0) -> Iterator[tuple[int, int, Record] | Damage]:
    """Read frames from ``data`` beginning at offset ``start``.

    Yields (offset, end offset, record) for each frame that checks, and :class:`Damage` for what lies between.
    """
    view = memoryview(data)
    size = len(view)
    while start < size:
        found = _read(view, start, size)
        if found is None:
            following = _resync(view, start + 1, size)
            yield Damage(start, following, torn=following == size)
            start = following
        else:
            end, record = found
            yield start, end, record
            start = end


def records(data: Buffer) -> list[Record]:
    """All records of a page, which is whole: damage raises RemoteProtocolError."""
    result: list[Record] = []
    for item in scan(data):
        if isinstance(item, Damage):
            raise RemoteProtocolError(f"a journal page is damaged at byte {item.start}")
        result.append(item[2])
    return result


def _read(view: memoryview, start: int, size: int) -> tuple[int, Record] | None:
    if start + FRAME.size > size:
        return None
    length, crc = FRAME.unpack_from(view, start)
    end = start + FRAME.size + length
    if not 0 < length <= MAX_BODY or end > size:
        return None
    body = view[start + FRAME.size : end]
    if zlib.crc32(body) != crc:
        return None
    try:
        return end, _decoder.decode(body)
    except ValueError:  # the CRC is right but the body is another version's: damage for this reader
        return None


def _resync(view: memoryview, start: int, size: int) -> int:
    """The next offset at which a frame checks, or ``size``."""
    for window in range(start + FRAME.size, size, WINDOW):
        haystack = bytes(view[window : window + WINDOW])
        for marker in _MARKERS.finditer(haystack):
            start = window + marker.start() - FRAME.size
            if _read(view, start, size) is not None:
                return start
    return size


def wanted(record: Record, document: str, execution: str, outputs_only: bool) -> bool:
    """Does a follower with this filter get this record? Events always pass: they say what happened to the session."""
    if record.kind == "event":
        return True
    if (document and record.document != document) or (execution and record.execution != execution):
        return False
    return not outputs_only or (record.kind == "iopub" and record.msg_type in OUTPUTS)


def join(records_: Sequence[Record]) -> bytes:
    """Frames of several records, one after the other."""
    return b"".join(map(frame, records_))
