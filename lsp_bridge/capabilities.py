"""What LSP calls the things that a server can do, and what both sides agree on."""

from __future__ import annotations

from typing import Any, cast

from .documents import Encoding

PROVIDERS = {
    "textDocument/codeAction": "codeActionProvider",
    "textDocument/codeLens": "codeLensProvider",
    "textDocument/completion": "completionProvider",
    "textDocument/definition": "definitionProvider",
    "textDocument/diagnostic": "diagnosticProvider",
    "textDocument/documentHighlight": "documentHighlightProvider",
    "textDocument/documentLink": "documentLinkProvider",
    "textDocument/documentSymbol": "documentSymbolProvider",
    "textDocument/foldingRange": "foldingRangeProvider",
    "textDocument/hover": "hoverProvider",
    "textDocument/inlayHint": "inlayHintProvider",
    "textDocument/references": "referencesProvider",
    "textDocument/selectionRange": "selectionRangeProvider",
    "textDocument/signatureHelp": "signatureHelpProvider",
    "workspace/symbol": "workspaceSymbolProvider",
}
"""Method: the capability under which an editor learns that we answer it."""
RESOLVERS = {
    "codeAction/resolve": "codeActionProvider",
    "codeLens/resolve": "codeLensProvider",
    "completionItem/resolve": "completionProvider",
    "documentLink/resolve": "documentLinkProvider",
    "inlayHint/resolve": "inlayHintProvider",
}


def encoding_of(offered: Any) -> Encoding:
    """In which characters of positions count: the first of the client's list that LSP knows, without one UTF-16."""
    for name in cast(list[Any], offered) if isinstance(offered, list) else []:
        match name:
            case "utf-8" | "utf-16" | "utf-32":
                return name
            case _:
                continue
    return "utf-16"
