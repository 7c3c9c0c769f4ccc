"""Readers for the crowd: ``python -m benchmarks.readers KIND COUNT PROJECT NAME CELLS``, steered by its parent.

KIND is ``ours`` (COUNT asyncio clients that read), ``stalled`` (they follow, and read only when a line comes on stdin), or
``plain`` (one jupyter_client). Prints ``ready`` when all follow, and at the end, after CELLS cells, one line of JSON:
a list of what each has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sys
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zmqkernel.client import AsyncClient, AsyncFollowing
from zmqkernel.paths import Session

SILENCE_SECONDS = 300.0
"""After so long without a message a reader gives up, and says what it has."""


@dataclass
class Sum:
    """What somebody has read, in order: how much, and checksums."""

    text: int = 0
    text_sum: int = 0
    images: int = 0
    images_sum: int = 0
    numbers: bool = True
    """The positions came one after the other."""

    def add(self, msg_type: str, content: dict[str, Any]) -> None:
        """Take an output."""
        if msg_type == "stream":
            data = content["text"].encode()
            self.text += len(data)
            self.text_sum = zlib.crc32(data, self.text_sum)
        elif msg_type == "display_data":
            self.images += 1
            self.images_sum = zlib.crc32(content["data"]["image/png"].encode(), self.images_sum)


async def ours(session: Session, cells: int, ready: asyncio.Event, go: asyncio.Event) -> Sum:
    """One client of ours: follows from the beginning, reads once ``go`` is set, until so many cells were answered."""
    found = Sum()
    async with await AsyncClient.connect(session, start=False, timeout=120.0) as client:
        following = client.follow()
        await client.info()
        ready.set()
        await go.wait()
        with contextlib.suppress(TimeoutError):  # then it has not read everything, and that is judged
            async with asyncio.timeout(SILENCE_SECONDS) as limit:
                await _read(following, cells, found, limit)
    return found


async def _read(following: AsyncFollowing, cells: int, into: Sum, limit: asyncio.Timeout) -> None:
    clock = asyncio.get_running_loop().time
    last, renew = 0, 0.0
    async for record in following:
        if clock() > renew:  # not for every one: there are a million
            renew = clock() + 1
            limit.reschedule(renew + SILENCE_SECONDS)
        into.numbers = into.numbers and record.seq == last + 1
        last = record.seq
        if record.kind == "iopub" and record.msg_type in ("stream", "display_data"):
            into.add(record.msg_type, record.data)
        cells -= record.kind == "reply"
        if not cells:
            return


async def many(session: Session, count: int, cells: int, stalled: bool) -> list[Sum]:
    """Several clients of ours in one process."""
    go = asyncio.Event()
    ready = [asyncio.Event() for _ in range(count)]
    reading = [asyncio.create_task(ours(session, cells, one, go)) for one in ready]
    for one in ready:
        await one.wait()
    print("ready", flush=True)
    if stalled:
        await asyncio.to_thread(sys.stdin.readline)
    go.set()
    return list(await asyncio.gather(*reading))


def plain(session: Session, cells: int) -> list[Sum]:
    """A client as others write it."""
    from jupyter_client.blocking.client import BlockingKernelClient

    found = Sum()
    client = BlockingKernelClient(connection_file=str(session.connection_file))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        print("ready", flush=True)
        while cells:
            try:
                message = client.get_iopub_msg(timeout=SILENCE_SECONDS)
            except queue.Empty:
                break  # what it has is judged
            if message["parent_header"].get("msg_type") != "execute_request":
                continue
            found.add(message["msg_type"], message["content"])
            cells -= message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
    finally:
        client.stop_channels()
    return [found]


def main() -> None:
    """Read, and say what was read."""
    kind, count, project, name, cells = sys.argv[1:6]
    session = Session(Path(project), name)
    if kind == "plain":
        sums = plain(session, int(cells))
    else:
        sums = asyncio.run(many(session, int(count), int(cells), kind == "stalled"))
    print(json.dumps([asdict(one) for one in sums]), flush=True)


if __name__ == "__main__":
    main()
