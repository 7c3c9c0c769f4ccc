"""Documents on one side, sessions on the other: which document belongs to which session, and what flows between them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pygls.uris import to_fs_path  # the cheap part of pygls: see rpc.py for the rest

from zmqkernel.client import REWIND, AsyncClient, AsyncFollowing
from zmqkernel.protocol.errors import NoSuchSession, RemoteProtocolError, ZmqKernelError
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import Origin, Position

from .documents import Document
from .kernels import Kernels
from .link import Link, Need, session_of
from .outputs import Execution
from .pieces import Piece
from .rpc import Rpc
from .structures import DidChange, TextDocumentItem
from .view import View

T = TypeVar("T")

RETRY_SECONDS = 2.0
"""How often a document without a session looks whether one has come up."""
TURN = 200
"""Records of a replay between two looks at everything else."""

_log = logging.getLogger(__name__)


class Place:
    """An open document and the session that it belongs to. ``key`` is the document's name in the journal."""

    def __init__(self, view: View, path: str) -> None:
        self.view = view
        self.kernels = Kernels()
        self.path = path
        self.key = Path(path).as_uri() if path else ""
        self.link: Link | None = None
        self.found = asyncio.Event()
        self.order = asyncio.Lock()
        """Held while code of this document is submitted: what is run later comes later."""
        self.follow: asyncio.Task[None] | None = None
        self.followed: AsyncClient | None = None
        """Through which client ``follow`` reads."""
        self.position: Position | None = None
        """How far it has come."""
        self.live = False
        """The past has been read."""
        self.looked = 0.0


class Workspace:
    """All open documents of one editor."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._places: dict[str, Place] = {}
        self._links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self.observers: list[Callable[[View, list[Execution]], None]] = []
        """They hear which executions of a document changed; of none when its text did, or what is stale in it."""

    # --- documents ---------------------------------------------------------------------------------------------------

    def open(self, item: TextDocumentItem) -> None:
        """The editor shows a document. Starts no session; takes up one that is there, or its journal."""
        self.close(item.uri)
        path = real_path(item.uri)
        document = Document(item.uri, item.text, item.version, self._rpc.encoding)
        place = self._places[item.uri] = Place(View(document, self._rpc, self._changed), path)
        self._changed(place.view, [])
        if path:
            self._background(self._take_up(place))

    def change(self, change: DidChange) -> None:
        """The editor changed a document."""
        self.view(change.text_document.uri).change(change.content_changes, change.text_document.version)

    def close(self, uri: str) -> None:
        """The editor shows it no longer."""
        place = self._places.pop(uri, None)
        if place:
            place.view.close()
            if place.follow:
                place.follow.cancel()
            self._changed(place.view, [])

    def is_open(self, view: View) -> bool:
        """Does the editor still show it?"""
        return any(place.view is view for place in self._places.values())

    def view(self, uri: str) -> View:
        """The open document ``uri``; RemoteProtocolError when it is not open."""
        return self._place(uri).view

    def asked(self, request: str) -> View:
        """The document in which an ``input()`` waits under this id."""
        for place in self._places.values():
            if request in place.view.executions.inputs:
                return place.view
        raise ZmqKernelError("this input was answered or closed already")

    # --- sessions ----------------------------------------------------------------------------------------------------

    def attached(self, view: View) -> AsyncClient | None:
        """The client of a document's session, None when there is none now.

        Whether a session has come up, or another supervisor has it, is looked up meanwhile, for the next time.
        """
        place = self._place(view.document.uri)
        now = asyncio.get_running_loop().time()
        if place.link and now - place.looked > RETRY_SECONDS:
            place.looked = now
            self._background(self._connect(place, "running"))
        return place.link.client if place.link else None

    async def run(self, view: View, pieces: Sequence[Piece]) -> list[str]:
        """Submit code, in this order and with nothing of this editor in between; returns its executions.

        Starts the session if it does not run. ZmqKernelError when that cannot be.
        """
        if not pieces:
            return []
        place = self._place(view.document.uri)
        if not place.path:
            raise ZmqKernelError("this document is no file: save it first, its project decides on the session")
        version = view.document.version
        waiting = [
            (view.reserve(f"reserved-{next(self._numbers)}", piece.cell, piece.first, piece.end), piece)
            for piece in pieces
        ]
        executions: list[str] = []
        try:
            # In line already while the session is looked for: who comes just then must not get ahead of who waits.
            async with place.order:
                await place.found.wait()
                if place.link is None:
                    raise NoSuchSession(
                        f"a session in {Path(place.path).parent} needs a name",
                        hint="Move the file into a project folder.",
                    )
                async with place.link.order:
                    await self._submit(place, view, version, waiting, executions)
        finally:
            for reserved, _ in waiting:
                view.release(reserved)
        return executions

    async def _submit(
        self, place: Place, view: View, version: int, waiting: list[tuple[str, Piece]], executions: list[str]
    ) -> None:
        """Submit what waits, in order."""
        client = await self._connect(place, "kernel")
        assert client is not None
        while waiting:
            reserved, piece = waiting[0]
            origin = Origin(place.key, place.path, piece.at.line, piece.at.column, version, piece.cell)
            execution = client.execute(piece.code, origin=origin)
            execution.close()  # its outputs come with the document's
            view.begin(reserved, execution.msg_id, piece.code, self._rpc.sender, origin)
            del waiting[0]
            await execution.submitted()
            executions.append(execution.msg_id)

    @property
    def views(self) -> list[View]:
        """All open documents."""
        return [place.view for place in self._places.values()]

    @property
    def before(self) -> dict[str, int]:
        """For each execution that waits, how many of the same session run or wait before it."""
        counts: dict[str, int] = {}
        for link in self._links.values():
            views = [place.view for place in self._places.values() if place.link is link]
            unfinished = [one for view in views for one in view.executions.all.values() if not one.finished]
            unfinished.sort(key=lambda one: (one.state == "queued", one.number or sys.maxsize))
            counts.update((one.execution, number) for number, one in enumerate(unfinished))
        return counts

    async def leave(self) -> None:
        """The editor is going: sessions stay, connections close."""
        for link in self._links.values():
            link.close()

    async def _take_up(self, place: Place) -> None:
        """Find the session of a document that was opened, and what it has put out there."""
        session = await session_of(place.path)
        if session:
            link = self._links.get(session.id)
            if link is None:
                link = self._links[session.id] = Link(
                    session, self._rpc.sender, partial(self._tell_trouble, session.name)
                )
            place.link, place.view.session = link, session.name
        place.found.set()
        if place.link:
            await self._connect(place, "journal")

    async def _connect(self, place: Place, need: Need) -> AsyncClient | None:
        client = await place.link.open(need) if place.link else None
        if client:
            for one in self._places.values():
                if one.link is place.link and (one.followed is not client or one.follow is None or one.follow.done()):
                    self._start_follow(one, client)
        return client

    def _start_follow(self, place: Place, client: AsyncClient) -> None:
        if place.follow:
            place.follow.cancel()
        place.followed = client
        place.follow = self._background(self._follow(place, client))

    async def _follow(self, place: Place, client: AsyncClient) -> None:
        """Read the journal of one document: its past, then what comes."""
        while True:
            if not place.live:
                place.view.replay()
            if not await self._read(place, client.follow(place.position, document=place.key, until_end=not place.live)):
                place.position, place.live = None, False
                place.kernels = Kernels()
                place.view.rewind()
                if place.link:
                    place.link.told = 0  # the numbers after the rewind are given again
            elif client.ended:
                return  # it was shut down; whoever starts it again comes with another client
            elif not place.live:
                place.live = True
                place.view.live()

    async def _read(self, place: Place, following: AsyncFollowing) -> bool:
        """Read to the end; False when a power failure took back what was read."""
        number = 0
        async for record in following:
            if record.msg_type == REWIND:
                following.close()
                return False
            place.view.take(record)
            self._tell_kernel(place, record)
            place.position = following.position
            number += 1
            if number % TURN == 0:
                await asyncio.sleep(0)
        place.position = following.position
        return True

    def _tell_kernel(self, place: Place, record: Record) -> None:
        """Say it once when the session has another kernel: the variables are gone."""
        replaced = place.kernels.take(record)
        if not replaced or not place.live or not place.link or record.seq <= place.link.told:
            return
        place.link.told = record.seq
        name = place.link.session.name
        if self._rpc.renders:
            facts = {"session": name, "reason": replaced.reason, "expected": replaced.expected}
            self._rpc.notify("zmqkernel/kernelRestarted", facts)
        else:
            self._rpc.show(f"session {name}: {replaced.reason}; all variables are gone")

    def _tell_trouble(self, session: str, trouble: str) -> None:
        """What keeps a session from going on, once; and once that it is over."""
        self._rpc.show(f"session {session}: {trouble or 'the trouble is over'}", error=bool(trouble))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _changed(self, view: View, executions: list[Execution]) -> None:
        for observer in self.observers:
            try:
                observer(view, executions)
            except Exception:  # noqa: BLE001  what one feature cannot show must not stop the reading of the journal
                _log.exception("a feature failed")

    def _place(self, uri: str) -> Place:
        place = self._places.get(uri)
        if place is None:
            raise RemoteProtocolError(f"{uri} is not open")
        return place

    def _background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def soon(answer: Awaitable[T], seconds: float) -> T | None:
    """The answer of a session, None when it does not come in time or is an error: the editor asks again."""
    try:
        return await asyncio.wait_for(answer, seconds)
    except (TimeoutError, ZmqKernelError) as error:
        _log.debug("no answer: %s", error)
        return None


def real_path(uri: str) -> str:
    """The path that a file's uri means, links resolved, so that two names of a document are one; empty for other uris."""
    path = to_fs_path(uri)  # None for what is no file's uri
    return os.path.realpath(path) if path else ""


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    """Nobody awaits this: what goes wrong is a line in the log, and the next need tries again."""
    try:
        await work
    except ZmqKernelError as error:
        _log.warning("%s %s", error, error.hint)
    except Exception:  # noqa: BLE001  a bug in one task must not end the bridge
        _log.exception("a task of the bridge failed")
