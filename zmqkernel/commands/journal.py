"""``zmqkernel log``."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from ..client.blocking import Client
from ..protocol.journal import Record
from ..protocol.messages import Metadata, Position
from .render import Renderer
from .running import TICK, Interrupts
from .story import Story


def show(client: Client, renderer: Renderer, *, since: int, follow: bool, as_json: bool) -> None:
    """Write the journal after record ``since``; with ``follow`` go on until Ctrl-C."""
    position = Position(client.info().epoch, since) if since else Position()
    following = client.follow(position, until_end=not follow)
    story = Story(renderer)
    senders: dict[str, str] = {}
    with Interrupts() as interrupts:
        while not interrupts.take():
            record = following.next(TICK)
            if record is None and following.finished:
                break
            if record is None:
                continue
            if as_json:
                sys.stdout.write(json_line(record, senders))
                sys.stdout.flush()
            else:
                story.tell(record)
    renderer.end()


def json_line(record: Record, senders: dict[str, str]) -> str:
    """One record as a line of JSON. ``senders`` remembers who ran what."""
    ours: dict[str, Any] = {
        "seq": record.seq,
        "time": record.time,
        "kind": record.kind,
        "msg_type": record.msg_type,
        "execution": record.execution,
        "document": record.document,
    }
    if record.kind == "submit":
        metadata = msgspec.json.decode(record.metadata, type=Metadata).zmqkernel
        header = record.message().header
        senders[record.execution] = metadata.sender or f"{header.username or 'somebody'} ({header.session[:8]})"
        ours["origin"] = metadata.origin
    ours["sender"] = senders.get(record.execution, "")
    ours["content"] = msgspec.Raw(record.content)
    ours["buffers"] = [len(buffer) for buffer in record.buffers]
    return msgspec.json.encode(ours).decode() + "\n"
