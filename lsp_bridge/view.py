"""One open document as the editor should see it: its text, what ran in it, and where the outputs stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from zmqkernel.protocol.cell_magics import uncommented
from zmqkernel.protocol.cells import Cell, cell_at, quoted_lines, split
from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.protocol.journal import Record
from zmqkernel.protocol.messages import Origin

from .anchors import Anchor, Anchors
from .documents import Document
from .marks import Marks
from .matching import match
from .outputs import Execution, Executions, Pace
from .programs import same_program
from .structures import ContentChange, Range

STALE_SECONDS = 1.0
"""Changes of an editor may be on their way for this long (Neovim collects them for 150 ms)."""
QUIET_SECONDS = 0.2
"""After so long without a change it is seen which code is another than the one that ran."""


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

    def __init__(
        self, document: Document, editor: Editor, on_change: Callable[[View, list[Execution]], None] | None = None
    ) -> None:
        """``on_change`` hears which executions changed; of none when only the text or what is stale did."""
        self.document = document
        self.session = ""
        self.executions = Executions()
        self.anchors = Anchors()
        self.marks = Marks()
        """Lines that features remember."""
        self._handles = Marks()
        self._stale: set[str] = set()
        self._checking: asyncio.TimerHandle | None = None
        self._on_change = on_change or _nobody
        self._reserved = Anchors()
        self._editor = editor
        self._pace = Pace(self._tell, lambda: editor.congested)
        self._replaces: dict[str, list[str]] = {}
        self._asked: set[str] = set()
        self._told: dict[str, float] = {}
        self._again: set[str] = set()
        self._cells: tuple[int, list[Cell]] = (-1, [])
        self._quoted: tuple[int, set[int]] = (-1, set())
        self._changes = 0
        self._replaying = False

    # --- text --------------------------------------------------------------------------------------------------------

    @property
    def cells(self) -> list[Cell]:
        """The cells of the text as it is now."""
        if self._cells[0] != self._changes:
            self._cells = self._changes, split(self.document.text)
        return self._cells[1]

    @property
    def quoted(self) -> set[int]:
        """The lines that begin inside a string."""
        if self._quoted[0] != self._changes:
            self._quoted = self._changes, quoted_lines(self.document.text)
        return self._quoted[1]

    def handle_of(self, cell: Cell) -> str:
        """A name of a cell that holds through edits, for lenses and actions."""
        return self._handles.at(cell.start_line) or self._handles.add(cell.start_line)

    def forget_handles(self) -> None:
        """Of lines at which no cell begins any more; new names for all cells are about to be given."""
        self._handles.keep({cell.start_line for cell in self.cells})

    def cell_of_handle(self, handle: str) -> Cell:
        """The cell as it is now; ZmqKernelError when it is gone."""
        line = self._handles.line(handle)
        cell = next((cell for cell in self.cells if cell.start_line == line), None)
        if line is None or cell is None:
            raise ZmqKernelError("that cell is gone")
        return cell

    def change(self, changes: Iterable[ContentChange], version: int | None) -> None:
        """Take a didChange; the editor is told of outputs whose code has gone."""
        lost: list[str] = []
        for change in changes:
            edit = self.document.apply(change)
            lost += self.anchors.edit(edit)
            self._reserved.edit(edit)
            self._handles.edit(edit)
            self.marks.edit(edit)
        self._changes += 1
        self._check_soon()
        if version is not None:
            self.document.version = version
        now = asyncio.get_running_loop().time()
        # What was told a moment ago may have met a text that had this change already: its range is told again.
        self._told = {execution: time for execution, time in self._told.items() if now - time < STALE_SECONDS}
        self._again.update(self._told)
        self._pace.changed([*lost, *self._told])
        self._on_change(self, [])

    # --- what ran ----------------------------------------------------------------------------------------------------

    def reserve(self, name: str, cell: str, first: int, end: int) -> str:
        """This editor is going to run lines ``first`` to before ``end``; they are kept under ``name`` until it does."""
        self._reserved.add(Anchor(name, cell, first, end, bool(cell)))
        return name

    def begin(self, name: str, execution: str, code: str, sender: str, origin: Origin) -> None:
        """What was reserved is on its way, and this is its execution."""
        anchor = self._reserved.remove(name)
        self.executions.get(execution).submitted(code, sender, origin)
        if anchor:
            self._place(msgspec.structs.replace(anchor, execution=execution))
        self._pace.changed([execution])
        self._on_change(self, [self.executions.get(execution)])

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
        newer, self.anchors = self.anchors.all, Anchors()
        for anchor in [*reversed(anchors), *newer]:
            self._place(anchor)
        self._stale = self._now_stale()
        self._pace.changed(anchor.execution for anchor in self.anchors.all)
        self._tell_unmatched(nowhere)
        self._tell_inputs()
        self._on_change(self, list(self.executions.all.values()))

    def rewind(self) -> None:
        """A power failure took records that were shown: forget them all, a replay follows."""
        self._pace.close()
        self.executions, self.anchors = Executions(), Anchors()
        self._on_change(self, [])

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
        if changed and (record.kind != "iopub" or record.msg_type in ("status", "execute_input")):
            self._on_change(self, changed)  # not for every piece of output

    def close(self) -> None:
        self._pace.close()
        if self._checking:
            self._checking.cancel()

    # --- what is out of date -----------------------------------------------------------------------------------------

    def stale(self, execution: str) -> bool:
        """Is the code at an execution's anchor another program than the one that ran?"""
        return execution in self._stale

    def _now_stale(self) -> set[str]:
        lines = self._lines()
        cells = {cell.start_line: cell for cell in self.cells}
        stale: set[str] = set()
        for anchor in self.anchors.all:
            code = self.executions.get(anchor.execution).code
            cell = cells.get(anchor.first)
            if anchor.whole and cell:
                same = same_program(code, cell.code)
            else:
                there = lines[anchor.first : anchor.end]
                same = code in "\n".join(there) or code in "\n".join(uncommented(there, [False] * len(there)))
            if not same:
                stale.add(anchor.execution)
        return stale

    def _check_soon(self) -> None:
        if self._checking:
            self._checking.cancel()
        if self.anchors.all:
            self._checking = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._check)

    def _check(self) -> None:
        self._checking = None
        before, self._stale = self._stale, self._now_stale()
        if changed := before ^ self._stale:
            self._pace.changed(execution for execution in changed if self.anchors.get(execution))
            self._on_change(self, [])

    @property
    def replaying(self) -> bool:
        """Are records of the past read just now?"""
        return self._replaying

    def first_code_line(self, anchor: Anchor) -> int:
        """The line at which the code of an execution begins now."""
        cell = next((cell for cell in self.cells if anchor.whole and cell.start_line == anchor.first), None)
        return cell.first_code_line if cell else anchor.first

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
            facts["range"], facts["stale"] = self.range_of(anchor), self.stale(execution.execution)
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
        anchors = match([execution.ran], self._lines(), self.cells).anchors
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


def _nobody(_view: View, _executions: list[Execution]) -> None:
    """Where nobody listens."""
