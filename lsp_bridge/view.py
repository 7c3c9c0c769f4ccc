"""One open document as the editor should see it: its text, what ran in it, and where the outputs stand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from zmqkernel.protocol.cells import Cell, cell_at, split
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import Origin

from .anchors import Anchor, Anchors, match
from .documents import Document
from .outputs import Execution, Executions, Pace
from .structures import ContentChange, Range

STALE_SECONDS = 1.0
"""Changes of an editor may be on their way for this long (Neovim collects them for 150 ms)."""


class Editor(Protocol):
    """What a view says to the editor; ``rpc.Rpc`` is one."""

    @property
    def congested(self) -> bool: ...
    @property
    def renders(self) -> bool: ...
    def notify(self, method: str, params: Any) -> int: ...
    def show(self, message: str, *, error: bool = False) -> None: ...


class View:
    """``session`` is the name to attach to when the editor itself cannot answer an ``input()``."""

    def __init__(self, document: Document, editor: Editor) -> None:
        self.document = document
        self.session = ""
        self.executions = Executions()
        self.anchors = Anchors()
        self._reserved = Anchors()
        self._editor = editor
        self._pace = Pace(self._tell, lambda: editor.congested)
        self._replaces: dict[str, list[str]] = {}
        self._asked: set[str] = set()
        self._told: dict[str, float] = {}
        self._again: set[str] = set()
        self._cells: tuple[int, list[Cell]] = (-1, [])
        self._changes = 0
        self._replaying = False

    # --- text --------------------------------------------------------------------------------------------------------

    @property
    def cells(self) -> list[Cell]:
        """The cells of the text as it is now."""
        if self._cells[0] != self._changes:
            self._cells = self._changes, split(self.document.text)
        return self._cells[1]

    def change(self, changes: Iterable[ContentChange], version: int | None) -> None:
        """Take a didChange; the editor is told of outputs whose code has gone."""
        lost: list[str] = []
        for change in changes:
            edit = self.document.apply(change)
            lost += self.anchors.edit(edit)
            self._reserved.edit(edit)
        self._changes += 1
        if version is not None:
            self.document.version = version
        now = asyncio.get_running_loop().time()
        # What was told a moment ago may have met a text that had this change already: its range is told again.
        self._told = {execution: time for execution, time in self._told.items() if now - time < STALE_SECONDS}
        self._again.update(self._told)
        self._pace.changed([*lost, *self._told])

    # --- what ran ----------------------------------------------------------------------------------------------------

    def reserve(self, name: str, cell: str, first: int, end: int) -> str:
        """This editor is going to run lines ``first`` to before ``end``; they are kept under ``name`` until it does."""
        self._reserved.add(Anchor(name, cell, first, end))
        return name

    def begin(self, name: str, execution: str, code: str, sender: str, origin: Origin) -> None:
        """What was reserved is on its way, and this is its execution."""
        anchor = self._reserved.remove(name)
        self.executions.get(execution).submitted(code, sender, origin)
        if anchor:
            self._place(msgspec.structs.replace(anchor, execution=execution))
        self._pace.changed([execution])

    def release(self, name: str) -> None:
        """It will not be run."""
        self._reserved.remove(name)

    def replay(self) -> None:
        """Records of the past follow, until :meth:`live`."""
        self._replaying = True

    def live(self) -> None:
        """The past is known: give its outputs back to the code that made them, and name those that have none."""
        self._replaying = False
        ran = [one.ran for one in reversed(self.executions.all.values()) if not self.anchors.get(one.execution)]
        anchors, old, nowhere = match(ran, self._lines(), self.cells, self.anchors.all)
        self.executions.forget(old)
        for anchor in reversed(anchors):
            self._place(anchor)
        self._pace.changed(anchor.execution for anchor in self.anchors.all)
        self._tell_unmatched(nowhere)
        self._tell_inputs()

    def rewind(self) -> None:
        """A power failure took records that were shown: forget them all, a replay follows."""
        self._pace.close()
        self.executions, self.anchors = Executions(), Anchors()

    def take(self, record: Record) -> None:
        """Take a journal record of this document."""
        changed = self.executions.take(record)
        if self._replaying:
            return
        if record.kind == "submit":
            for execution in changed:
                self._find_place(execution)
        if record.kind == "input":
            for one in changed:
                self._pace.now(one.execution)  # an editor that asks may draw nothing meanwhile
        elif record.kind == "event":
            self._pace.changed(one.execution for one in changed if self.anchors.get(one.execution))
        else:
            self._pace.changed((one.execution for one in changed), at_once=record.kind == "reply")
        self._tell_inputs()

    def close(self) -> None:
        self._pace.close()

    # --- what the editor is told -------------------------------------------------------------------------------------

    def range_of(self, anchor: Anchor) -> Range:
        """Where the code of an execution stands now; a cell ends with its last line that is not blank."""
        first, end = anchor.first, anchor.end
        cell = cell_at(self.cells, first)
        if cell and cell.start_line == first and end > cell.end_line:
            end = cell.end_line  # a marker was put into the middle of what ran
        while end > first + 1 and not self.document.content(min(end, len(self.document.lines)) - 1).strip():
            end -= 1
        return self.document.lines_range(first, end)

    def facts(self, execution: Execution) -> dict[str, Any]:
        """The content of a ``zmqkernel/output``; without a range the code is nowhere in the document, and comes along."""
        anchor = self.anchors.get(execution.execution)
        facts = {"uri": self.document.uri, "version": self.document.version, **execution.snapshot()}
        if anchor:
            facts["range"] = self.range_of(anchor)
        else:
            facts["range"], facts["source"] = None, execution.code
        return facts

    def _place(self, anchor: Anchor) -> None:
        replaced = self.anchors.add(anchor)
        self.executions.forget(replaced)
        if replaced:
            self._replaces.setdefault(anchor.execution, []).extend(replaced)

    def _find_place(self, execution: Execution) -> None:
        """Somebody else ran code of this document."""
        if self.anchors.get(execution.execution):
            return
        anchors, _, _ = match([execution.ran], self._lines(), self.cells, [])
        if anchors:
            self._place(anchors[0])
        else:
            self._tell_unmatched([execution.execution])

    def _lines(self) -> list[str]:
        return [line.rstrip("\r\n") for line in self.document.lines]

    def _tell(self, execution: str) -> int:
        if not self._editor.renders:
            return 0
        facts = self.facts(self.executions.get(execution))
        if execution in self._again:
            self._again.discard(execution)
        else:
            self._told[execution] = asyncio.get_running_loop().time()
        replaces = self._replaces.pop(execution, None)
        if replaces:
            facts["replaces"] = replaces
        return self._editor.notify("zmqkernel/output", facts)

    def _tell_unmatched(self, executions: list[str]) -> None:
        if executions and self._editor.renders:
            facts = [self.facts(self.executions.get(execution)) for execution in executions]
            self._editor.notify("zmqkernel/unmatched", {"uri": self.document.uri, "executions": facts})

    def _tell_inputs(self) -> None:
        waiting = self.executions.inputs
        for request in self._asked - set(waiting):
            self._asked.discard(request)
            if self._editor.renders:
                self._editor.notify("zmqkernel/inputClosed", {"request": request})
        for request in set(waiting) - self._asked:
            self._asked.add(request)
            if self._editor.renders:
                self._editor.notify("zmqkernel/inputRequested", msgspec.to_builtins(waiting[request]))
            else:
                prompt = waiting[request].prompt.strip()
                self._editor.show(
                    f"the cell waits for input{f' ({prompt})' if prompt else ''}: zmqkernel attach {self.session}"
                )
