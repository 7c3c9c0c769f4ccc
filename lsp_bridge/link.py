"""One session as the bridge knows it: at most one client, connected when somebody needs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from zmqkernel.client import AsyncClient, discovery
from zmqkernel.client.discovery import Session
from zmqkernel.protocol.connection import ConnectionInfo
from zmqkernel.protocol.errors import ZmqKernelError

Need = Literal["running", "journal", "kernel"]
"""running: only what is up now; journal: the past of a session that is not up, too; kernel: something that runs code."""

_log = logging.getLogger(__name__)


class Link:
    """``order`` is held by whoever submits, so that cells run in the order in which the editor asked."""

    def __init__(self, session: Session, sender: str, on_trouble: Callable[[str], None] | None = None) -> None:
        """``on_trouble`` hears what keeps the session from going on, and an empty text when that is over."""
        self.session = session
        self._on_trouble = on_trouble
        self.order = asyncio.Lock()
        self.told = 0
        """The number of the record of the newest kernel that the editor was told of: its documents all read of it."""
        self._sender = sender
        self._client: AsyncClient | None = None
        self._info: ConnectionInfo | None = None
        self._opening = asyncio.Lock()

    @property
    def client(self) -> AsyncClient | None:
        """The client, if there is a connection now."""
        return self._client if self._client and self._client.connected else None

    async def open(self, need: Need) -> AsyncClient | None:
        """A connected client, None when there is no such session. ZmqKernelError when it should be there and is not."""
        async with self._opening:
            if need == "running" and self._client and not self._client.connected and not self._client.ended:
                return None  # it comes back by itself: a client starts a supervisor that died again
            info = await asyncio.to_thread(self._door, need)
            if self._client and (self._info != info or self._client.ended):
                # The session was shut down, and another supervisor has it now: it does not know the key of the old one.
                self._client.close()
                self._client = None
            if info is None:
                return None
            if self._client is None:
                self._client, self._info = await self._connected(info), info
            if need == "kernel" and (await self._client.info()).state == "dead":
                await self._client.restart()
            return self._client

    async def _connected(self, info: ConnectionInfo) -> AsyncClient:
        client = AsyncClient(info, sender=self._sender, session=self.session)
        client.on_trouble = self._on_trouble
        try:
            await client.check()
        except BaseException:
            client.close()
            raise
        return client

    def _door(self, need: Need) -> ConnectionInfo | None:
        """Where the session listens, started if need be."""
        if not discovery.is_alive(self.session):
            if need == "running" or (need == "journal" and not self.session.settings_file.exists()):
                return None
            if need == "journal":
                discovery.open_journal(self.session)
            else:
                discovery.start(self.session)
        return discovery.locate(self.session, start=False).info

    def close(self) -> None:
        if self._client:
            self._client.close()


async def session_of(path: str) -> Session | None:
    """The session to which a file belongs, None when its place needs a name and has none."""
    try:
        session, _ = await asyncio.to_thread(discovery.find_or_new, None, Path(path))
    except ZmqKernelError as error:
        _log.info("%s: %s", path, error)  # a file in $HOME: its editor works on, without a session
        return None
    return session


__all__ = ["Link", "Need", "Session", "session_of"]
