"""The parts of LSP 3.17 that this bridge reads and writes, and the shapes of our own notifications.

https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/

Characters of a :class:`Position` count in the negotiated encoding; see ``documents.py`` for the way to code points.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from zmqkernel.protocol.errors import RemoteProtocolError

Json = dict[str, Any]
T = TypeVar("T")


class Lsp(msgspec.Struct, rename="camel", omit_defaults=True):
    """A structure with LSP's spelling of names."""


class Position(msgspec.Struct, order=True, frozen=True):
    line: int
    character: int


class Range(msgspec.Struct, frozen=True):
    start: Position
    end: Position


class TextDocumentItem(Lsp):
    uri: str
    text: str
    version: int = 0
    language_id: str = ""


class TextDocumentIdentifier(Lsp):
    uri: str
    version: int | None = None


class DidOpen(Lsp):
    text_document: TextDocumentItem


class DidClose(Lsp):
    text_document: TextDocumentIdentifier


class ContentChange(Lsp):
    """Without a range, ``text`` is the whole document."""

    text: str
    range: Range | None = None


class DidChange(Lsp):
    text_document: TextDocumentIdentifier
    content_changes: list[ContentChange]


class PositionParams(Lsp):
    """textDocument/hover and textDocument/completion."""

    text_document: TextDocumentIdentifier
    position: Position


class RunArgument(Lsp):
    """The one argument of our run commands. ``cell`` is the name that a lens or an action has for a cell: it holds through
    edits. ``version`` is that of the document whose ``range`` is meant; another one is refused."""

    uri: str
    position: Position | None = None
    range: Range | None = None
    cell: str = ""
    version: int | None = None


class DocumentArgument(Lsp):
    """``execution``: only if this one runs."""

    uri: str
    execution: str = ""


class AnswerInput(Lsp):
    request: str
    value: str


class TextEdit(msgspec.Struct):
    range: Range
    new_text: str = msgspec.field(name="newText")


class CompletionItem(Lsp):
    label: str
    text_edit: TextEdit
    kind: int | None = None
    detail: str | None = None
    sort_text: str | None = None
    filter_text: str | None = None


class CompletionList(msgspec.Struct):
    is_incomplete: bool = msgspec.field(name="isIncomplete")
    items: list[CompletionItem]


class MarkupContent(msgspec.Struct):
    value: str
    kind: str = "markdown"


class Hover(msgspec.Struct):
    contents: MarkupContent


class DocumentParams(Lsp):
    """textDocument/codeLens, foldingRange and documentSymbol; with a range inlayHint."""

    text_document: TextDocumentIdentifier
    range: Range | None = None


class ActionReasons(Lsp):
    """``trigger_kind`` 2: the editor asks by itself, whenever the cursor moves."""

    only: list[str] | None = None
    trigger_kind: int = 1


class ActionParams(Lsp):
    """textDocument/codeAction."""

    text_document: TextDocumentIdentifier
    range: Range
    context: ActionReasons = msgspec.field(default_factory=ActionReasons)


class Command(Lsp):
    title: str
    command: str
    arguments: list[Json] = []


class CodeLens(Lsp):
    range: Range
    command: Command


class CodeAction(Lsp):
    title: str
    kind: str
    command: Command


class InlayHint(Lsp):
    position: Position
    label: str
    tooltip: str | None = None
    padding_left: bool = False


class FoldingRange(Lsp):
    start_line: int = msgspec.field(name="startLine")  # not left out when it is 0
    end_line: int = msgspec.field(name="endLine")
    kind: str | None = None


class DocumentSymbol(Lsp):
    name: str
    kind: int
    range: Range
    selection_range: Range
    detail: str | None = None
    children: list[DocumentSymbol] = []


class Location(Lsp):
    uri: str
    range: Range


class SymbolInformation(Lsp):
    name: str
    kind: int
    location: Location


class RelatedInformation(Lsp):
    location: Location
    message: str


class Diagnostic(Lsp):
    range: Range
    message: str
    severity: int
    source: str | None = None
    code: str | None = None
    related_information: list[RelatedInformation] = []


def read(kind: type[T], value: Any) -> T:
    """``value``, parsed JSON, as ``kind``; RemoteProtocolError says which field is wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"{kind.__name__}: {error}") from None
