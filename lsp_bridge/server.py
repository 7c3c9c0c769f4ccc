"""Start-up: put the editor, the workspace and the features together."""

from __future__ import annotations

import logging
import os
import sys

from zmqkernel import __version__

from .features import (
    actions,
    completion,
    definition,
    diagnostics,
    folding,
    hints,
    hover,
    input,
    lenses,
    progress,
    refresh,
    run,
    signature,
    symbols,
)
from .features.cell_hover import cell_output
from .rpc import Json, Rpc
from .sources import Sources
from .structures import DidChange, DidClose, DidOpen, read
from .workspace import Workspace

PROTOCOL = 1
"""The version of our own notifications and requests; a plugin says which it speaks."""
SWITCHABLE = {
    "lenses": lenses,
    "actions": actions,
    "hints": hints,
    "diagnostics": diagnostics,
    "symbols": symbols,
    "folding": folding,
    "progress": progress,
}
"""What ``initializationOptions.zmqkernel.features`` can switch off."""


def main() -> None:
    """Serve one editor on standard input and output; ends the process when the editor leaves."""
    level = os.environ.get("ZMQKERNEL_LSP_LOG", "WARNING").upper()
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s")
    rpc = Rpc("zmqkernel", __version__)
    workspace = Workspace(rpc)
    sources = Sources(rpc, workspace)
    sources.hovers.append(cell_output)

    async def did_open(params: Json) -> None:
        opened = read(DidOpen, params).text_document
        workspace.open(opened)
        sources.warm(workspace.view(opened.uri))

    async def did_change(params: Json) -> None:
        workspace.change(read(DidChange, params))

    async def did_close(params: Json) -> None:
        workspace.close(read(DidClose, params).text_document.uri)

    rpc.on("textDocument/didOpen", did_open)
    rpc.on("textDocument/didChange", did_change)
    rpc.on("textDocument/didClose", did_close)
    run.register(rpc, workspace)
    input.register(rpc, workspace)
    for feature in (completion, definition, hover, signature):
        feature.register(rpc, sources)

    def start() -> None:
        for name, feature in SWITCHABLE.items():
            if rpc.wants(name):
                feature.register(rpc, workspace)
        refresh.register(rpc, workspace)
        spoken = rpc.ours.get("protocol", PROTOCOL)
        if spoken != PROTOCOL:
            rpc.show(
                f"this plugin speaks version {spoken} of the bridge's protocol, the bridge {PROTOCOL}: update both",
                error=True,
            )

    rpc.on_start(start)
    rpc.on_close(workspace.leave)
    rpc.run()
