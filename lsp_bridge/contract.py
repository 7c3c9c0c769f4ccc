"""What the bridge and its plugins say to each other beyond LSP: the source of the schemas, the types and the reference page.

``python docs/lsp_page.py`` writes them. Optional fields have defaults; ``docs/reference/lsp.md`` has the prose.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from .outputs import State
from .structures import Lsp, Position, Range

VERSION = 1
"""Of all that is in here; a plugin says which one it speaks."""

Execution = Annotated[str, Meta(description="the msg_id of the execute_request: it names the execution for ever")]
Uri = Annotated[str, Meta(description="the document, as the client named it")]
Cell = Annotated[str, Meta(description="a cell as a lens or an action names it; it holds through edits")]


class Features(Struct, rename="camel", omit_defaults=True, frozen=True):
    """What is switched off with false; everything else is on."""

    output: Annotated[bool, Meta(description="the notifications below")] = True
    lenses: Annotated[bool, Meta(description="textDocument/codeLens")] = True
    actions: Annotated[bool, Meta(description="textDocument/codeAction")] = True
    hints: Annotated[bool, Meta(description="textDocument/inlayHint")] = True
    diagnostics: Annotated[bool, Meta(description="exceptions as textDocument/publishDiagnostics")] = True
    symbols: Annotated[bool, Meta(description="textDocument/documentSymbol")] = True
    folding: Annotated[bool, Meta(description="textDocument/foldingRange")] = True
    progress: Annotated[bool, Meta(description="window/workDoneProgress")] = True


class Options(Struct, rename="camel", omit_defaults=True):
    """``initializationOptions.zmqkernel``: a client that sends it is a plugin of ours."""

    protocol: Annotated[int, Meta(description="the version of this contract that it speaks")] = VERSION
    features: Features = Features()
    siblings: Annotated[list[str], Meta(description="the other Python language servers of its documents")] = []


class Output(Struct, omit_defaults=True):
    """One output in nbformat's fields, folded: streams joined, ``\\r``, ``clear_output`` and display updates applied."""

    output_type: Annotated[str, Meta(description="as in nbformat")]
    name: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    execution_count: int | UnsetType | None = UNSET
    ename: str | UnsetType = UNSET
    evalue: str | UnsetType = UNSET
    traceback: list[str] | UnsetType = UNSET
    display_id: str | UnsetType = UNSET


class OutputNote(Lsp):
    """An execution of an open document, whoever ran it, as it is now: a snapshot that replaces the one before.

    At most 20 in a second for one execution, fewer when they are large, and one more at its end.
    """

    uri: Uri
    version: Annotated[int, Meta(description="the version of the document that `range` is about")]
    execution: Execution
    count: Annotated[int | None, Meta(description="the execution count, null before it has one")]
    state: Annotated[
        State, Meta(description="`aborted`: not run, because one before it failed; `died`: the kernel ended")
    ]
    sender: Annotated[str, Meta(description="who ran it")]
    earlier_kernel: Annotated[bool, Meta(description="its kernel died or was restarted: its variables are gone")]
    outputs: list[Output]
    range: Annotated[Range | None, Meta(description="where its code stands now; null: it is gone, show nothing")]
    stale: Annotated[bool, Meta(description="the code there is another program than the one that ran")] = False
    source: Annotated[str, Meta(description="the code, when `range` is null")] | UnsetType = UNSET
    duration: Annotated[float, Meta(description="seconds, at the end")] | UnsetType = UNSET
    replaces: Annotated[list[str], Meta(description="executions whose place it took: remove what they show")] = []


class UnmatchedNote(Lsp):
    """Executions of this document whose code it no longer has."""

    uri: Uri
    executions: list[OutputNote]


class KernelRestartedNote(Lsp):
    """The session has a new kernel in the place of one that the editor knew; once for all documents of the session."""

    session: str
    reason: str
    expected: Annotated[bool, Meta(description="somebody restarted it or ended the session")]


class InputRequestedNote(Lsp):
    """The code called `input()`. Sent again to every new bridge until it is answered."""

    execution: Execution
    request: str
    prompt: str
    password: bool


class InputClosedNote(Lsp):
    """It was answered or gave up."""

    request: str


class AnswerInput(Lsp):
    """The first answer of any client wins, a later one gets an error."""

    request: str
    value: str


class AtCell(Lsp):
    """A cell: by the place of the cursor, or by its name."""

    uri: Uri
    position: Position | UnsetType = UNSET
    cell: Cell | UnsetType = UNSET


class AtPosition(Lsp):
    uri: Uri
    position: Position


class Selection(Lsp):
    """A part of the text, with its columns."""

    uri: Uri
    range: Range
    version: Annotated[int, Meta(description="of the document; another one is refused")] | UnsetType = UNSET


class WholeDocument(Lsp):
    uri: Uri


class Running(Lsp):
    uri: Uri
    execution: Annotated[str, Meta(description="only if this one runs")] | UnsetType = UNSET


class Ran(Lsp):
    execution: Annotated[str | None, Meta(description="null: there is no code to run")]


class RanSeveral(Lsp):
    executions: list[str]


class Advanced(Lsp):
    execution: str | None
    position: Annotated[Position | None, Meta(description="where the next cell with code begins, null after the last")]


class Next(Lsp):
    position: Annotated[Position | None, Meta(description="where the next cell with code begins, null after the last")]


class Queued(Lsp):
    """Of an execution in no open document only the id is known."""

    execution: Execution
    uri: str | UnsetType = UNSET
    state: State | UnsetType = UNSET
    sender: str | UnsetType = UNSET
    range: Range | UnsetType | None = UNSET


class Queue(Lsp):
    executions: Annotated[list[Queued], Meta(description="in the order in which they run")]


class Command(NamedTuple):
    """``workspace/executeCommand``: the one argument, the result, and what it does."""

    argument: type[Struct]
    result: type[Struct] | None
    does: str


NOTIFICATIONS: dict[str, type[Struct]] = {
    "zmqkernel/output": OutputNote,
    "zmqkernel/unmatched": UnmatchedNote,
    "zmqkernel/kernelRestarted": KernelRestartedNote,
    "zmqkernel/inputRequested": InputRequestedNote,
    "zmqkernel/inputClosed": InputClosedNote,
}
REQUESTS: dict[str, type[Struct]] = {"zmqkernel/answerInput": AnswerInput}
COMMANDS = {
    "runCell": Command(AtCell, Ran, "the cell, as the bridge has its text now"),
    "runCellAndAdvance": Command(
        AtCell, Advanced, "the same, and where to go; a client without a plugin is moved there"
    ),
    "nextCell": Command(AtCell, Next, "runs nothing"),
    "runSelection": Command(Selection, Ran, "a selection, commented magics as in a cell"),
    "runLine": Command(AtPosition, Ran, "the line, or the statement that it is a part of"),
    "runExpression": Command(AtPosition, Ran, "the largest expression around the cursor, else the smallest statement"),
    "runAbove": Command(AtCell, RanSeveral, "the cells above"),
    "runToHere": Command(AtCell, RanSeveral, "the cells above, and this one"),
    "runBelow": Command(AtCell, RanSeveral, "this cell, and those below"),
    "runAll": Command(WholeDocument, RanSeveral, "all cells"),
    "interrupt": Command(Running, None, "interrupts what runs in the document's session"),
    "queue": Command(WholeDocument, Queue, "what runs in the document's session and what waits"),
}
"""Each begins with ``zmqkernel.server.``."""
