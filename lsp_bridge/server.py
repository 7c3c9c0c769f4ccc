"""Start-up: put the editor, the workspace and the features together."""

from __future__ import annotations

import logging
import os
import sys

from zmqkernel import __version__

from .features import completion, hover, run
from .rpc import Json, Rpc
from .structures import DidChange, DidClose, DidOpen, read
from .workspace import Workspace


def main() -> None:
    """Serve one editor on standard input and output; ends the process when the editor leaves."""
    level = os.environ.get("ZMQKERNEL_LSP_LOG", "WARNING").upper()
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("pygls").setLevel("CRITICAL")  # it logs every error reply with a traceback; rpc.py logs ours
    rpc = Rpc("zmqkernel", __version__)
    workspace = Workspace(rpc)

    async def did_open(params: Json) -> None:
        workspace.open(read(DidOpen, params).text_document)

    async def did_change(params: Json) -> None:
        workspace.change(read(DidChange, params))

    async def did_close(params: Json) -> None:
        workspace.close(read(DidClose, params).text_document.uri)

    rpc.on("textDocument/didOpen", did_open)
    rpc.on("textDocument/didChange", did_change)
    rpc.on("textDocument/didClose", did_close)
    for feature in (run, hover, completion):
        feature.register(rpc, workspace)
    rpc.on_close(workspace.leave)
    rpc.run()
