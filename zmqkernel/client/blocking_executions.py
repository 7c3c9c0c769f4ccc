"""What :class:`Client` hands out: an execution to iterate over, and a follow of the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..protocol.errors import ReplyTimeout
from ..protocol.journal import Record
from ..protocol.messages import ExecuteReply, Position
from ..protocol.outputs import Fold, Output
from .follow import Published
from .waiting import Reader, Run

if TYPE_CHECKING:
    from .blocking import Client


class Execution:
    """Code that was submitted. Iterate for its outputs; then :attr:`reply` is there."""

    def __init__(self, client: Client, run: Run) -> None:
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

    def __iter__(self) -> Iterator[Published]:
        return self

    def __next__(self) -> Published:
        output = self._client.take_output(self._run, float("inf"))
        if output is None:
            if self._run.error:
                raise self._run.error
            raise StopIteration
        return output

    @property
    def done(self) -> bool:
        """Nothing more will come than what waits to be read."""
        return self._run.done

    def next(self, timeout: float) -> Published | None:
        """The next output, None when there is none within ``timeout`` seconds or at the end (see :attr:`done`)."""
        try:
            return self._client.take_output(self._run, time.monotonic() + timeout)
        except ReplyTimeout:
            return None

    def wait(self, timeout: float | None = None) -> ExecuteReply:
        """The reply; outputs that were not read are dropped. Raises ReplyTimeout after ``timeout`` seconds."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while self._client.take_output(self._run, deadline) is not None:
            pass  # each output is dropped
        if self._run.error:
            raise self._run.error
        assert self._run.reply is not None
        return self._run.reply

    def outputs(self) -> list[Output]:
        """Wait, and return what a person should see: streams joined, cleared and updated as Jupyter front ends do."""
        fold = Fold()
        for output in self:
            fold.add(output.msg_type, output.content)
        return fold.outputs

    def close(self) -> None:
        """Read no further; the code goes on."""
        self._client.drop(self._run)


class Following:
    """Reads the journal. Iterate, or ask with a timeout: :meth:`next`."""

    def __init__(self, client: Client, reader: Reader) -> None:
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

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        record = self._client.take_record(self._reader, float("inf"))
        if record is None:
            raise StopIteration
        return record

    def next(self, timeout: float) -> Record | None:
        """The next record, None when there is none within ``timeout`` seconds or at the end."""
        return self._client.take_record(self._reader, time.monotonic() + timeout)

    def close(self) -> None:
        """Stop reading."""
        self._client.drop(self._reader)
