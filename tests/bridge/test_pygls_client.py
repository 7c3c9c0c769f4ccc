"""The bridge as another implementation of the protocol sees it: pygls' client, with lsprotocol's types for every message."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lsprotocol import types
from pygls.lsp.client import BaseLanguageClient

CODE = "import os\n\n# %% one\nx = os.getcwd()\nos.get\n"


async def converse(path: Path) -> tuple[types.InitializeResult, types.CompletionList, list[types.FoldingRange]]:
    """Begin, open a document, ask, end in order."""
    client = BaseLanguageClient("test", "1")
    await client.start_io(sys.executable, "-P", "-m", "lsp_bridge")
    root = path.parent.as_uri()
    begun = await client.initialize_async(
        types.InitializeParams(capabilities=types.ClientCapabilities(), root_uri=root, process_id=None)
    )
    client.initialized(types.InitializedParams())
    document = types.TextDocumentItem(uri=path.as_uri(), language_id="python", version=1, text=CODE)
    client.text_document_did_open(types.DidOpenTextDocumentParams(document))
    named = types.TextDocumentIdentifier(document.uri)
    found = await client.text_document_completion_async(types.CompletionParams(named, types.Position(4, 6)))
    folds = await client.text_document_folding_range_async(types.FoldingRangeParams(named))
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    assert isinstance(found, types.CompletionList)
    return begun, found, list(folds or [])


def test_pygls_client_is_understood_and_understands(home: Path) -> None:
    path = home / "analysis.py"
    path.write_text(CODE)
    begun, found, folds = asyncio.run(asyncio.wait_for(converse(path), 60))
    assert begun.capabilities.completion_provider is not None
    assert isinstance(found.is_incomplete, bool)
    assert [fold.start_line for fold in folds]
