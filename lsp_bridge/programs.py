"""Code as Python reads it: is it the same program, and what stands around the cursor."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MAGIC = re.compile(r"^(\s*)(?:[%!?]|\S+\?\s*$|[A-Za-z_]\w*\s*=\s*[%!])")
_BEGINS = re.compile(r"^[^\s#)\]}]")
_GOES_ON = re.compile(r"^(?:else|elif|except|finally)\b")


class Span(NamedTuple):
    """From ``row``, ``column`` to ``end_row``, ``end_column``: from 0, columns in code points."""

    row: int
    column: int
    end_row: int
    end_column: int


def parsed(code: str) -> ast.Module | None:
    """The tree, None when it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # '\d' is for the person to see when the code runs, not for our log
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # unfinished, or IPython's own language: the callers have an answer for that


def program(code: str) -> str:
    """What a formatter leaves as it is; empty when the code cannot be read."""
    tree = parsed(code)
    return ast.dump(tree) if tree else ""


def same_program(one: str, other: str) -> bool:
    """Are two texts the same program, but for their formatting?"""
    return one == other or (bool(read := program(one)) and read == program(other))


def line_at(lines: Sequence[str], row: int) -> Span | None:
    """The line, or the smallest statements that it is a part of when it cannot run alone; None without code on it."""
    text = lines[row] if row < len(lines) else ""
    if not text.strip() or text.lstrip().startswith("#"):
        return None
    alone = Span(row, 0, row, len(text))
    if _MAGIC.match(text) or parsed(text.strip()):
        return alone
    statements = _statements(_tree(lines, row), row)
    if not statements:
        return alone
    spans = [_whole(lines, statement) for statement in statements]
    return Span(*spans[0][:2], *spans[-1][2:])


def expression_at(lines: Sequence[str], row: int, column: int) -> Span | None:
    """The largest expression around a place, else the smallest statement there; None when there is none."""
    if row < len(lines) and _MAGIC.match(lines[row]):
        return Span(row, 0, row, len(lines[row]))
    tree = _tree(lines, row)
    for node in _walk(tree) if tree else ():
        span = _span(lines, node) if isinstance(node, ast.expr) else None
        if span and (span.row, span.column) <= (row, column) <= (span.end_row, span.end_column):
            if alone := _alone(lines, span):
                return alone
            break
    statements = _statements(tree, row)
    return _whole(lines, statements[-1]) if statements else None


def text_of(lines: Sequence[str], span: Span) -> str:
    """The text of a span."""
    rows = list(lines[span.row : span.end_row + 1])
    rows[-1] = rows[-1][: span.end_column]
    rows[0] = rows[0][span.column :]
    return "\n".join(rows)


def _alone(lines: Sequence[str], span: Span) -> Span | None:
    """The span, with the parentheses around it that it needs when it has several lines; None when they do not do."""
    while not parsed(text_of(lines, span)):
        before = "\n".join([*lines[: span.row], lines[span.row][: span.column]]).rstrip()
        after = "\n".join([lines[span.end_row][span.end_column :], *lines[span.end_row + 1 :]])
        if not before.endswith("(") or not after.lstrip().startswith(")"):
            return None
        gap = after[: len(after) - len(after.lstrip())] + ")"
        row, end_row = before.count("\n"), span.end_row + gap.count("\n")
        end_column = len(gap) if end_row == span.end_row else len(gap) - gap.rfind("\n") - 1
        shift = span.end_column if end_row == span.end_row else 0
        span = Span(row, len(before) - before.rfind("\n") - 2, end_row, shift + end_column)
    return span


def _tree(lines: Sequence[str], row: int) -> ast.Module | None:
    """The whole text, or the block around ``row`` when something else in it is unfinished."""
    plain = [_MAGIC.sub(r"\1pass #", line) for line in lines]
    tree = parsed("\n".join(plain))
    if tree:
        return tree
    first = row
    while first > 0 and (not _BEGINS.match(plain[first]) or _GOES_ON.match(plain[first])):
        first -= 1
    end = row + 1
    while end < len(plain) and (not _BEGINS.match(plain[end]) or _GOES_ON.match(plain[end])):
        end += 1
    return parsed("\n" * first + "\n".join(plain[first:end]))


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Outer nodes first."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.expr):
            yield from _walk(node)


def _statements(tree: ast.Module | None, row: int) -> list[ast.stmt]:
    """The innermost statements that have a part on a row."""
    there = [
        node
        for node in (_walk(tree) if tree else ())
        if isinstance(node, ast.stmt) and _first_row(node) <= row < (node.end_lineno or 0)
    ]
    outer = {id(node) for node in there for child in ast.walk(node) if child is not node and child in there}
    return [node for node in there if id(node) not in outer]


def _first_row(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)]) - 1


def _whole(lines: Sequence[str], node: ast.stmt) -> Span:
    """A statement's whole lines: its first line's indentation is that of the others. Of several on a line only itself."""
    span = _span(lines, node)
    first = _first_row(node)
    if first == span.row and lines[first][: span.column].strip():
        return span
    return Span(first, 0, span.end_row, span.end_column)


def _span(lines: Sequence[str], node: ast.expr | ast.stmt) -> Span:
    row, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    return Span(row, _column(lines[row], node.col_offset), end, _column(lines[end], node.end_col_offset or 0))


def _column(line: str, offset: int) -> int:
    """Python counts bytes."""
    return offset if line.isascii() else len(line.encode()[:offset].decode(errors="ignore"))
