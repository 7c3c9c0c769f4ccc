"""Inspection: what is known of the object at the cursor, without running any code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...protocol.messages import InspectReply
from .adapters import children_of
from .cursor import at_cursor
from .definitions import place_of, source_of
from .docstrings import documentation, markdown
from .expressions import Found
from .lookup import UNKNOWN, instance_dict, is_builtin_type, is_class, is_module, is_routine
from .previews import dtypes, preview
from .scope import Scope, answered
from .signatures import signature
from .values import shape_text, structure_text, type_name, value_text

OWN_LINES = ("Signature", "Docstring", "Source", "Preview", "Class docstring")
"""Facts that are more than a line in Markdown."""
Facts = list[tuple[str, str]]


def inspect(
    code: str, cursor_pos: int, detail_level: int, namespace: Mapping[str, Any], shell: Any, policy: str = "safe"
) -> InspectReply:
    """Answer an inspect_request; ``detail_level`` 1 adds the source. ``policy`` as in ``complete``."""
    cursor = max(0, min(cursor_pos, len(code)))
    return answered(Scope(namespace, shell, policy), lambda scope: _reply(code, cursor, detail_level, scope))


def _reply(code: str, cursor: int, detail_level: int, scope: Scope) -> InspectReply:
    found, title = at_cursor(code, cursor, scope)
    if found is None:
        return InspectReply(found=False)
    facts = _facts(found, title)
    source = source_of(found.value) if detail_level else ""
    is_plain = found.value is not UNKNOWN and _is_data(found.value) and is_builtin_type(found.type)
    doc = "" if source or is_plain else documentation(found.raw if found.raw is not UNKNOWN else found.type)
    if source:
        facts.append(("Source", f"\n{source}"))
    elif doc:
        facts.append(("Docstring", f"\n{doc}"))
    plain = "\n".join(f"{name}:{'' if text.startswith(chr(10)) else ' '}{text}" for name, text in facts)
    ours = {"zmqkernel": {"source": "live", "incomplete": scope.budget.incomplete}}
    data = {"text/plain": plain, "text/markdown": _markdown(dict(facts), doc, title)}
    return InspectReply(found=True, data=data, metadata=ours)


def _facts(found: Found, title: str) -> Facts:
    value = found.value
    facts: Facts = []
    shown = title.rpartition(".")[2].lstrip("%") or "object"
    if text := signature(value, found.is_bound) if value is not UNKNOWN and _is_called(value) else "":
        facts.append(("Signature", f"{shown}{text}"))
    facts.append(("Type", type_name(found.type)))
    if value is UNKNOWN:
        return facts
    if _is_data(value) and (text := value_text(value, 500) or structure_text(value)):
        facts.append(("Value", text))
    if text := shape_text(value):
        facts.append(("Length" if text.isdecimal() else "Shape", text))
    if columns := dtypes(value):
        facts.append(("Columns", ", ".join(columns)))
        facts.append(("Dtypes", ", ".join(f"{name}: {dtype}" for name, dtype in columns.items())))
    if children := children_of(value):
        facts.append(("Children", ", ".join(list(children)[:50])))
    if text := preview(value):
        facts.append(("Preview", f"\n{text}"))
    file, line = place_of(value)
    if file:
        facts.append(("File", f"{file}:{line}" if line else file))
    return facts


def _is_data(value: Any) -> bool:
    return not (is_routine(value) or is_class(value) or is_module(value))


def _is_called(value: Any) -> bool:
    """Functions, classes, partials; an object with ``__call__`` is more than that, and its value says more."""
    return not _is_data(value) or not (instance_dict(value) or value_text(value) or shape_text(value))


def _markdown(facts: dict[str, str], doc: str, title: str) -> str:
    head = facts.get("Signature") or f"{title}: {facts['Type']}"
    parts = [_fenced(head)]
    short = [f"**{name}** {_code(text)}" for name, text in facts.items() if name not in OWN_LINES]
    parts.append("  \n".join(short))
    if "Preview" in facts:
        parts.append(_fenced(facts["Preview"].strip("\n"), "text"))
    if "Source" in facts:
        parts.append(_fenced(facts["Source"].strip("\n")))
    if doc:
        parts.append(markdown(doc))
    return "\n\n".join(parts)


def _code(text: str) -> str:
    """A code span that what is in it cannot close."""
    text = text.replace("\n", " ")
    ticks = "`" * (1 + max((len(run) for run in _runs(text)), default=0))
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _fenced(text: str, language: str = "python") -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in _runs(text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _runs(text: str) -> list[str]:
    return [run for run in "".join(c if c == "`" else " " for c in text).split(" ") if run] if "`" in text else []
