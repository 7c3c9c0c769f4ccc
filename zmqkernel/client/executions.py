"""What :class:`AsyncClient` hands out: an execution to iterate over, and a follow of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ..protocol.errors import ReplyTimeout
from ..protocol.journal import Record
from ..protocol.messages import ExecuteReply, Position
from ..protocol.outputs import Fold, Output
from .follow import Published
from .waiting import Reader, Run

if TYPE_CHECKING:
    from .client import AsyncClient


class AsyncExecution:
    """Code that was submitted. Iterate for its outputs; then :attr:`reply` is there."""

    def __init__(self, client: AsyncClient, run: Run) -> None:
        self._client = client
        self._run = run

    @property
    def msg_id(self) -> str:
        """The msg_id of the execute_request: the name of this execution in the journal."""
        return self._run.msg_id

    @property
    def reply(self) -> ExecuteReply | None:
        """The execute_reply once it is there. A dead kernel is a reply too: ``ename == "KernelDied"``."""
        return self._run.reply

    @property
    def position(self) -> Position | None:
        """Where the request stands in the journal once the session has it."""
        return self._run.submitted

    async def submitted(self) -> Position:
        """Wait until the session has the request on its journal; from then on it survives us. Raises ReplyTimeout."""
        return await self._client.when_submitted(self._run)

    def __aiter__(self) -> AsyncIterator[Published]:
        return self

    async def __anext__(self) -> Published:
        output = await self._client.take_output(self._run)
        if output is None:
            if self._run.error:
                raise self._run.error
            raise StopAsyncIteration
        return output

    async def wait(self, timeout: float | None = None) -> ExecuteReply:  # noqa: ASYNC109  as in the blocking face
        """The reply; outputs that were not read are dropped. Raises ReplyTimeout after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while await self._client.take_output(self._run) is not None:
                    pass  # each output is dropped
        except TimeoutError:
            raise ReplyTimeout("the execution still runs", hint="zmqkernel interrupt ends it.") from None
        if self._run.error:
            raise self._run.error
        assert self._run.reply is not None
        return self._run.reply

    async def outputs(self) -> list[Output]:
        """Wait, and return what a person should see: streams joined, cleared and updated as Jupyter front ends do."""
        fold = Fold()
        async for output in self:
            fold.add(output.msg_type, output.content)
        return fold.outputs

    def close(self) -> None:
        """Read no further; the code goes on."""
        self._client.drop(self._run)


class AsyncFollowing:
    """Reads the journal: ``async for record in following``."""

    def __init__(self, client: AsyncClient, reader: Reader) -> None:
        self._client = client
        self._reader = reader

    @property
    def live(self) -> bool:
        """Everything that was in the journal has been read."""
        return self._reader.live

    @property
    def finished(self) -> bool:
        """The end was read: that of the journal when ``until_end`` was asked for, or the session was shut down."""
        return self._reader.finished and not self._reader.records

    @property
    def position(self) -> Position:
        """Where to follow from next time (records that were received but not read yet are not counted)."""
        return self._reader.position

    def __aiter__(self) -> AsyncIterator[Record]:
        return self

    async def __anext__(self) -> Record:
        record = await self._client.take_record(self._reader)
        if record is None:
            raise StopAsyncIteration
        return record

    def close(self) -> None:
        """Stop reading."""
        self._client.drop(self._reader)
