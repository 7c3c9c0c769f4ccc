"""What a kernel has left that died while no supervisor lived: it is read before anything new is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..paths import Session, remove_tree
from ..protocol.errors import RemoteProtocolError
from ..protocol.wire import Wire
from .death import Death
from .endings import kernel_died
from .link import RingLink, Taken
from .link_dir import generation_of, remains
from .log import log
from .process import tail

if TYPE_CHECKING:
    from .recall import Recall
    from .relay import Relay


def bury(session: Session, context: Any, relay: Relay, recall: Recall, exact: bool) -> None:
    """Journal what dead kernels have said, and answer what they were asked; ``exact`` as in :func:`kernel_died`.

    When all of it is committed, :func:`clear` removes the directories.
    """
    death = None
    for directory in remains(session.directory):
        death = Death(None, tail(directory / "fault"), tail(directory / "fd2"))
        if (directory / "ring").exists():
            generation = generation_of(_read(directory / "kernel.json"))
            if generation != recall.buried:
                _drain(directory, context, relay, recall.link if generation == recall.generation else None)
    if death is None and relay.pending:
        death = Death(None, "", "")  # after a reboot, or when somebody has cleaned up
    if death is not None:
        kernel_died(relay, death, expected=False, exact=exact)


def clear(session: Session) -> None:
    """What dead kernels have said is journaled."""
    for directory in remains(session.directory):
        remove_tree(directory)


def _drain(directory: Path, context: Any, relay: Relay, taken: Taken | None) -> None:
    try:
        link = RingLink(context, None, Wire(b"", ""), directory, taken)
        relay.link = link.taken
        while not link.drained(relay):
            relay.journal.commit()
        relay.journal.commit()
        link.close()
    except (OSError, RemoteProtocolError) as error:
        # A power failure has torn it, or somebody has taken files away: the rest is lost, and that is said.
        log(f"link: what the dead kernel left cannot be read: {error}")
        relay.event("gap", {"reason": "damage", "why": f"what the dead kernel left cannot be read: {error}"})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
