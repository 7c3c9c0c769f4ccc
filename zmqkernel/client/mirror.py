"""The mirror for clients: a copy of what the session knows of the kernel's names, and keeping it up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ..protocol.errors import ReplyTimeout, Unreachable, ZmqKernelError
from ..protocol.mirror import Mirror, MirrorRequest
from .calls import take_page
from .waiting import Request


class AsyncMirroring:
    """The part of AsyncClient that is about the mirror."""

    def __init__(self) -> None:
        self._mirror_changed = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def _request(self, content: msgspec.Struct, seconds: float | None = None) -> Request:
        raise NotImplementedError

    async def mirror(self, known: Mirror | None = None, *, prefix: str = "") -> Mirror:
        """What the session knows of the kernel's names, answered at once whatever the kernel does, also when it is dead.

        ``known`` is brought up to date when it is given; ``prefix``: only names that begin so.
        """
        return await self._update(Mirror() if known is None else known, prefix, watch=False)

    async def watch_mirror(self, callback: Callable[[Mirror], object]) -> Mirror:
        """Keep a copy up to date until this client is closed; ``callback`` is called with it after every change.

        Returns the copy, which is complete then. One watch for each client: a second one takes the place of the first.
        """
        if self._watching is not None:
            self._watching.cancel()
        mirror = await self._update(Mirror(), "", watch=True)
        self._watching = asyncio.create_task(self._watch(mirror, callback))
        return mirror

    async def _watch(self, mirror: Mirror, callback: Callable[[Mirror], object]) -> None:
        while True:
            await self._mirror_changed.wait()
            self._mirror_changed.clear()
            try:
                # Again with ``watch``: another supervisor may have come meanwhile, and it knows of no watchers.
                await self._update(mirror, "", watch=True)
            except ReplyTimeout:
                continue  # the session is stopped, or under way to a new supervisor: it will be heard of again
            except Unreachable:
                return  # closed, or shut down: no more changes
            except ZmqKernelError:
                mirror.version = 0  # a page that cannot be read: begin anew with the next change
                continue
            callback(mirror)

    async def _update(self, mirror: Mirror, prefix: str, watch: bool) -> Mirror:
        done = False
        while not done:
            done = take_page(mirror, await self._request(MirrorRequest(mirror.version, prefix, watch)))
        return mirror

    def _end_watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
