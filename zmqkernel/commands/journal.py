"""``zmqkernel log``."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from ..client.blocking import Client
from ..client.discovery import was_shut_down
from ..protocol.journal import Record
from ..protocol.messages import Metadata, Position
from .render import Renderer
from .running import TICK, Interrupts
from .story import SHUT_DOWN, Story, sender_of


def show(
    client: Client, renderer: Renderer, *, since: int = 0, last: int = 0, follow: bool = False, as_json: bool = False
) -> None:
    """Write the journal after record ``since``, or its ``last`` cells; with ``follow`` go on until Ctrl-C or the shutdown of
    the session."""
    end = client.info()
    if since > end.seq:
        print(f"the journal ends at {end.seq}", file=sys.stderr)
        if not follow:
            return
    over = follow and end.state == "dead" and was_shut_down(Path(end.connection_file))
    follow = follow and not over
    story = Story(renderer)
    senders: dict[str, str] = {}
    if last:
        since = _before_last(client, last, story, senders)
    position = Position(end.epoch, min(since, end.seq)) if since else Position()
    following = client.follow(position, until_end=not follow)
    said = False
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
            said = record.msg_type == "close"
            if said and follow and following.live:
                break  # the session is at its end; an earlier close is followed by what came after it
    renderer.end()
    if over:
        print(f"the session does not run: nothing more comes. Start it: zmqkernel start {end.name}", file=sys.stderr)
    elif client.ended and not said:
        # It was shut down before we had its last record; whoever reads JSON reads records only.
        print(SHUT_DOWN, file=sys.stderr)


def _before_last(client: Client, cells: int, story: Story, senders: dict[str, str]) -> int:
    """The number of the record before the last so many cells. Who ran them, and those still running, is remembered."""
    starts: deque[int] = deque(maxlen=cells)
    following = client.follow(until_end=True)
    for record in following:
        if record.kind == "submit":
            starts.append(record.seq)
            story.note_submit(record)
            senders[record.execution] = sender_of(record)
    following.close()
    return starts[0] - 1 if starts else 0


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
        senders[record.execution] = sender_of(record)
        ours["origin"] = metadata.origin
    ours["sender"] = senders.get(record.execution, "")
    ours["content"] = msgspec.Raw(record.content)
    ours["buffers"] = [len(buffer) for buffer in record.buffers]
    return msgspec.json.encode(ours).decode() + "\n"
