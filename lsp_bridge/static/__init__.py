"""What analysis of the text tells, always from a process of its own: jedi's, or a language server that is a child of ours."""

from __future__ import annotations

from .jedi import JediStatic
from .server import LspStatic
from .static import Location, NoStatic, Signature, Spot, Static

SERVERS = {"ty": ["ty", "server"], "pyrefly": ["pyrefly", "lsp"]}
"""Name: the command of a language server that may serve instead of jedi."""


def new_static(engine: str, python: str, project: str) -> Static:
    """The static side: ``jedi``, ``off``, or one of SERVERS.

    ``python`` is the session's interpreter, empty when it is ours; ``project`` the folder that imports are looked up in.
    Nothing is started before it is needed.
    """
    if engine == "off":
        return NoStatic()
    if engine in SERVERS:
        return LspStatic(SERVERS[engine], python, project)
    return JediStatic(python, project)


__all__ = ["Location", "NoStatic", "Signature", "Spot", "Static", "new_static"]
