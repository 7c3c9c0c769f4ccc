"""What a round of kills must have left in the journal, whoever died: compares it with the ground truth.

Nothing here talks to anybody: made-up data can be checked as well.
"""

from __future__ import annotations

import bisect
import itertools
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zmqkernel.protocol import journal
from zmqkernel.protocol.journal import Record

from .ground import KINDS, LARGE, Noted

TOKEN = re.compile(r"<(\d+)([a-z])(\d+)>")
CODE = re.compile(r"Cell\('[^']*', (\d+)\)")


@dataclass
class Answered:
    """What our client got for a cell: the statuses of its replies, in order, and the text that it read."""

    statuses: list[str] = field(default_factory=list)
    text: str = ""
    whole: bool = True
    """The client read to the end: then its text is that of the journal."""


@dataclass
class Found:
    """What the journal has about a cell."""

    execution: str
    submits: int = 0
    replies: list[tuple[int, str]] = field(default_factory=list)
    """(position, status)."""
    tokens: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Kind to (position, number)."""
    text: list[tuple[int, str]] = field(default_factory=list)
    images: list[tuple[int, str]] = field(default_factory=list)
    """(position, what was there): standard output, and what names each image."""

    @property
    def said(self) -> str:
        """Standard output as a whole."""
        return "".join(text for _, text in self.text)


def check(
    records: Sequence[Record],
    begin: int,
    noted: Mapping[int, Noted],
    answered: Mapping[int, Answered],
    seen: Sequence[tuple[int, int]],
) -> list[str]:
    """Sentences about every promise that was broken; none is what we want.

    ``records``: what was read after position ``begin``; ``noted`` and ``answered`` by cell; ``seen``: (position, checksum) of
    the records that another client got, in its order.
    """
    broken = _numbers(records, begin) + check_seen(records, seen)
    broken += [f"a gap at {one.seq}: {one.data}" for one in records if one.kind == "event" and one.msg_type == "gap"]
    cells, strange = collect(records)
    broken += strange
    for cell, note in noted.items():
        found = cells.get(cell, Found(""))
        broken += [f"cell {cell}: {text}" for text in _requests(found, note) + _output(found, note)]
        if cell in answered:
            broken += [f"cell {cell}: {text}" for text in _answers(found, answered[cell])]
    broken += [f"cell {cell} is in the journal, and nobody knows it" for cell in cells if cell not in noted]
    return broken


def checksum(record: Record) -> int:
    """Of everything in a record."""
    return zlib.crc32(journal.frame(record))


def collect(records: Sequence[Record]) -> tuple[dict[int, Found], list[str]]:
    """What the journal has about each cell, and sentences about output that cannot be."""
    cells: dict[int, Found] = {}
    by_execution: dict[str, Found] = {}
    nobody = Found("")
    broken: list[str] = []
    for record in records:
        if record.kind == "submit" and (match := CODE.search(record.data["code"])):
            found = cells.setdefault(int(match[1]), Found(record.execution))
            found.submits += 1
            by_execution[record.execution] = found
        found = by_execution.get(record.execution, nobody)
        if record.kind == "reply":
            found.replies.append((record.seq, record.data["status"]))
        elif record.kind == "iopub" and record.msg_type == "stream" and record.data["name"] == "stdout":
            found.text.append((record.seq, record.data["text"]))
        elif record.kind == "iopub" and record.msg_type == "display_data":
            broken += _image(record, found)
    for cell, found in cells.items():
        broken += _tokens(cell, found)
    broken += [
        f"at {seq} is output that belongs to no cell: {text[:80]!r}" for seq, text in nobody.text if text.strip()
    ]
    return cells, broken


def _image(record: Record, found: Found) -> list[str]:
    data = record.data["data"]
    found.images.append((record.seq, data["text/plain"]))
    image = data["image/png"]
    return [] if image == image[:1] * LARGE else [f"the image at {record.seq} is not what was sent"]


def _tokens(cell: int, found: Found) -> list[str]:
    """Sort the tokens of a cell by kind. A message may end in the middle of one."""
    broken: list[str] = []
    ends = list(itertools.accumulate(len(text) for _, text in found.text))
    for match in TOKEN.finditer("".join(text for _, text in found.text)):
        seq = found.text[bisect.bisect_left(ends, match.end())][0]
        if int(match[1]) == cell:
            found.tokens.setdefault(match[2], []).append((seq, int(match[3])))
        else:
            broken.append(f"{match[0]} at {seq} belongs to another cell's output")
    for seq, text in found.images:
        match = TOKEN.fullmatch(text)
        if match and int(match[1]) == cell:
            found.tokens.setdefault(match[2], []).append((seq, int(match[3])))
        else:
            broken.append(f"the image {text} at {seq} belongs to another cell")
    return broken


def _numbers(records: Sequence[Record], begin: int) -> list[str]:
    expected = begin
    for record in records:
        expected += 1
        if record.seq != expected:
            return [f"position {record.seq} where {expected} should be"]
    return []


def check_seen(records: Sequence[Record], seen: Sequence[tuple[int, int]]) -> list[str]:
    """What a client got must be in the journal, the same, and have come in order, without a gap or a duplicate."""
    there = {record.seq: checksum(record) for record in records}
    broken = [
        f"the follower got {after[0]} after {before[0]}"
        for before, after in itertools.pairwise(seen)
        if after[0] != before[0] + 1
    ]
    broken += [f"a message that the follower had seen is lost: {seq}" for seq, _ in seen if seq not in there]
    broken += [f"{seq} is not what the follower had seen" for seq, crc in seen if there.get(seq, crc) != crc]
    return broken


def _requests(found: Found, note: Noted) -> list[str]:
    broken: list[str] = []
    if note.begun > 1:
        broken.append(f"executed {note.begun} times")
    if found.submits > 1:
        broken.append(f"{found.submits} times in the journal")
    if note.begun and not found.submits:
        broken.append("executed, but not in the journal")
    if len(found.replies) != found.submits:
        broken.append(f"{len(found.replies)} replies to {found.submits} requests")
    if not note.begun and any(status == "ok" for _, status in found.replies):
        broken.append("answered ok, but never executed")
    return broken


def _answers(found: Found, answered: Answered) -> list[str]:
    broken: list[str] = []
    if len(answered.statuses) != 1:
        broken.append(f"the client got {len(answered.statuses)} answers: {answered.statuses}")
    elif [status for _, status in found.replies] not in ([], answered.statuses):
        broken.append(f"the client got {answered.statuses}, the journal has {found.replies}")
    if answered.statuses and not found.submits:
        broken.append(f"the client got {answered.statuses}, the journal has no request")
    if answered.whole and answered.text != found.said:
        broken.append(f"the client read {len(answered.text)} characters, the journal has {len(found.said)}")
    return broken


def _output(found: Found, note: Noted) -> list[str]:
    broken: list[str] = []
    end = found.replies[-1][0] if found.replies else None
    for kind, name in KINDS.items():
        tokens = found.tokens.get(kind, [])
        numbers, returned = [number for _, number in tokens], note.returned.get(kind, 0)
        if numbers != list(range(len(numbers))):
            broken.append(f"{name}: {_first_wrong(numbers)}")
        elif len(numbers) < returned:
            broken.append(f"{name}: {returned} had returned, {len(numbers)} are in the journal")
        elif len(numbers) > returned + 1:  # one may be out and not noted yet
            broken.append(f"{name}: {returned} had returned, but {len(numbers)} are in the journal")
        if end and tokens and tokens[-1][0] > end:
            broken.append(f"{name}: output at {tokens[-1][0]} after the reply at {end}")
    text = found.said
    rest = TOKEN.sub("", text)
    if rest.strip("\n"):
        broken.append(f"torn text: {rest.strip()[:80]!r}")
    elif len(rest) not in (len(TOKEN.findall(text)), len(TOKEN.findall(text)) - 1):
        broken.append(f"{len(rest)} line ends for {len(TOKEN.findall(text))} lines")
    return broken


def _first_wrong(numbers: list[int]) -> str:
    for expected, number in enumerate(numbers):
        if number != expected:
            what = "twice" if number in numbers[:expected] else "out of order or lost before it"
            return f"{number} where {expected} should be ({what})"
    return "in order"
