"""Who can say something about a place in a document: the session's mirror, the session itself, and analysis of the text."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from zmqkernel.client import AsyncClient
from zmqkernel.client.discovery import SessionFile
from zmqkernel.protocol.messages import KernelInfoReply
from zmqkernel.protocol.mirror import Mirror

from .asking import Live, Question, question, result_of
from .link import session_of
from .merge import Item
from .names import bound_in, words_in
from .place import Place
from .rpc import Rpc
from .static import NoStatic, Spot, Static, new_static
from .structures import Hover, Position
from .view import View
from .workspace import Workspace, real_path

Mode = Literal["sibling", "owner"]

KEPT = 64
"""Places whose late answers are kept."""
LOOKS, LOOK_SECONDS = 20, 0.05
"""How often, and how far apart, it is looked whether the session of a document that was opened has answered."""


class Answer(msgspec.Struct):
    """What a side said at a place, when ``prefix`` was typed there."""

    prefix: str
    items: list[Item]
    time: float


class Sources:
    """One for all features. Nothing is started before it is needed, and no session ever."""

    def __init__(self, rpc: Rpc, workspace: Workspace) -> None:
        self._rpc = rpc
        self._workspace = workspace
        self._live: dict[AsyncClient, Live] = {}
        self._mirrors: dict[AsyncClient, asyncio.Future[Mirror]] = {}
        self._kernels: dict[AsyncClient, asyncio.Future[KernelInfoReply]] = {}
        self._statics: dict[str, Static] = {}
        self._finding: dict[str, asyncio.Task[Static]] = {}
        self._warming: set[asyncio.Task[None]] = set()
        self._late: dict[tuple[Any, ...], Answer] = {}
        self._words: dict[str, tuple[str, frozenset[str], frozenset[str]]] = {}
        self.hovers: list[Callable[[View, Position], Hover | None]] = []
        """What others have to say at a place; when one has, nobody else is asked."""
        rpc.on_end(self._end)

    @property
    def mode(self) -> Mode:
        """owner: the editor has told us that it has no other Python server, so we do all that one would do."""
        siblings = self._rpc.ours.get("siblings")
        # Lua knows no difference between an empty list and an empty object.
        return "owner" if siblings in ([], {}) else "sibling"

    @property
    def engine(self) -> str:
        """Who analyses the text in owner mode; ``off``: nobody."""
        return str(self._rpc.ours.get("static", "jedi"))

    def view(self, uri: str) -> View:
        """The open document; RemoteProtocolError when it is not open."""
        return self._workspace.view(uri)

    def at(self, view: View, position: Position) -> Question | None:
        """The question about a position; None where no code is."""
        return question(view, position)

    # --- the session -------------------------------------------------------------------------------------------------

    def client(self, view: View) -> AsyncClient | None:
        """A connection to the document's session, None when it does not run."""
        return self._workspace.attached(view)

    def live(self, client: AsyncClient) -> Live:
        """What this session is being asked."""
        if client not in self._live:
            # Those of clients that were replaced go: there is one for each session of the open documents.
            self._live = {one: live for one, live in self._live.items() if not one.ended}
            self._live[client] = Live()
        return self._live[client]

    def mirror(self, view: View) -> Mirror | None:
        """What the session said of its names after its last execution, None when nothing is known."""
        client = self.client(view)
        if client is None:
            return None
        known = self._mirrors.get(client)
        if known is None or (known.done() and result_of(known) is None):  # it failed: the session was restarting
            self._mirrors = {one: copy for one, copy in self._mirrors.items() if not one.ended}
            self._kernels = {one: info for one, info in self._kernels.items() if not one.ended}
            self._mirrors[client] = asyncio.ensure_future(client.watch_mirror(_ignored))
            self._kernels[client] = asyncio.ensure_future(client.kernel_info())
        return result_of(self._mirrors[client])

    def extended(self, view: View) -> AsyncClient | None:
        """The client of a session whose kernel is ours, which answers more than Jupyter asks for."""
        client = self.client(view)
        self.mirror(view)  # which asks for both, the first time
        info = result_of(self._kernels.get(client)) if client else None
        return client if info and info.implementation == "zmqkernel" else None

    # --- the text ----------------------------------------------------------------------------------------------------

    def words(self, view: View) -> frozenset[str]:
        """All words of the document."""
        return self._names(view)[1]

    def bound(self, view: View) -> frozenset[str]:
        """The names that the document's text binds: another server knows them."""
        return self._names(view)[2]

    def _names(self, view: View) -> tuple[str, frozenset[str], frozenset[str]]:
        document = view.document
        known = self._words.get(document.uri)
        if known is None or known[0] is not document.text:
            known = document.text, words_in(document.lines), bound_in(document.lines)
            self._words = {document.uri: known}
        return known

    def spot(self, view: View, asked: Question) -> Spot:
        """The same place for static analysis."""
        document = view.document
        return Spot(document.text, asked.point.line, asked.point.column, real_path(document.uri))

    async def static(self, view: View) -> Static:
        """Who analyses the text; in sibling mode nobody."""
        if self.mode == "sibling":
            return NoStatic()
        folder = str(Path(real_path(view.document.uri) or "/").parent)
        known = self._statics.get(folder)
        if known is None:
            if folder not in self._finding:
                self._finding[folder] = asyncio.ensure_future(self._find(folder, real_path(view.document.uri)))
            known = await asyncio.shield(self._finding[folder])
        return known

    def warm(self, view: View) -> None:
        """A document was opened: whoever analyses it gets ready, when the editor has had its first answers."""
        task = asyncio.ensure_future(self._warm(view))
        self._warming.add(task)
        task.add_done_callback(self._warming.discard)

    async def _warm(self, view: View) -> None:
        for _ in range(LOOKS):
            if self.mirror(view):
                break
            await asyncio.sleep(LOOK_SECONDS)
        static = await self.static(view)
        static.warm(view.document.text, real_path(view.document.uri))

    async def _find(self, folder: str, path: str) -> Static:
        """The one of the document's session: each interpreter and project has one."""
        session = await session_of(path) if path else None
        python, project = "", folder
        if session:
            project = str(session.project)
            with contextlib.suppress(OSError, msgspec.MsgspecError):  # it never ran: then it will have our interpreter
                python = msgspec.json.decode(session.settings_file.read_bytes(), type=SessionFile).python
        same = f"{python}\n{project}"
        self._statics[folder] = self._statics.get(same) or new_static(self.engine, python, project)
        self._statics[same] = self._statics[folder]
        return self._statics[folder]

    def _end(self) -> None:
        for static in self._statics.values():
            static.close()

    # --- answers that came late --------------------------------------------------------------------------------------

    def place_key(self, view: View, asked: Question, place: Place, side: str) -> tuple[Any, ...]:
        """Where a word is being typed: the same for every key of it."""
        line = asked.lines[asked.point.line - asked.first]
        start = asked.column(place.start)
        return view.document.uri, asked.point.line, line[:start], side

    def keep(self, key: tuple[Any, ...], prefix: str, items: list[Item]) -> None:
        """An answer has come; who asked may be gone, the next key at this place takes it."""
        self._late.pop(key, None)
        self._late[key] = Answer(prefix, items, asyncio.get_running_loop().time())
        if len(self._late) > KEPT:
            del self._late[next(iter(self._late))]

    def kept(self, key: tuple[Any, ...], prefix: str, seconds: float) -> list[Item] | None:
        """What was answered here in the last ``seconds``, if it covers ``prefix``."""
        answer = self._late.get(key)
        if answer is None or not prefix.startswith(answer.prefix):
            return None
        return answer.items if asyncio.get_running_loop().time() - answer.time < seconds else None


def _ignored(_mirror: Mirror) -> None:
    """The copy is the same one; whoever asks looks into it."""
