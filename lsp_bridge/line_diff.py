"""Which lines of a text are still there in another: first those that occur once in both, then what lies between them.

``difflib`` alone takes half a minute for a formatter's 7,000 lines that are much alike; the bridge answers nothing meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

MAX_PRODUCT = 40_000
"""Of larger blocks in which every line occurs several times nothing is known."""


def kept_lines(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """The lines of ``old`` that are there in ``new``, in order: their places in both."""
    kept: dict[int, int] = {}
    blocks = [(0, len(old), 0, len(new))]
    while blocks:
        first, end, there, there_end = blocks.pop()
        while first < end and there < there_end and old[first] == new[there]:
            kept[first] = there
            first, there = first + 1, there + 1
        while first < end and there < there_end and old[end - 1] == new[there_end - 1]:
            end, there_end = end - 1, there_end - 1
            kept[end] = there_end
        if first == end or there == there_end:
            continue
        pairs = _once(old, (first, end), new, (there, there_end))
        if not pairs:
            kept.update(_blocks(old, (first, end), new, (there, there_end)))
            continue
        for one, other in [*pairs, (end, there_end)]:
            blocks.append((first, one, there, other))
            if one < end:
                kept[one] = other
                first, there = one + 1, other + 1
    return kept


def _once(
    old: Sequence[str], where: tuple[int, int], new: Sequence[str], there: tuple[int, int]
) -> list[tuple[int, int]]:
    """The longest ascending row of lines that occur once in both."""
    counts, others = Counter(old[slice(*where)]), Counter(new[slice(*there)])
    places = {line: number for number, line in enumerate(new[slice(*there)], there[0]) if others[line] == 1}
    pairs = [
        (number, places[line])
        for number, line in enumerate(old[slice(*where)], where[0])
        if line in places and counts[line] == 1
    ]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, place) in enumerate(pairs):
        at = bisect_left(tails, place)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [place]
        ends[at : at + 1] = [index]
    row: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        row.append(pairs[index])
        index = before[index]
    return row[::-1]


def _blocks(
    old: Sequence[str], where: tuple[int, int], new: Sequence[str], there: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    one, other = old[slice(*where)], new[slice(*there)]
    if len(one) * len(other) > MAX_PRODUCT:
        return
    for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks():
        for number in range(block.size):
            yield where[0] + block.a + number, there[0] + block.b + number
