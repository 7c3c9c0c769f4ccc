"""Inspection: what is known of the object at the cursor, without running any code of its own."""

from __future__ import annotations

import inspect as _inspect
import linecache
import re
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

from ...protocol.messages import InspectReply
from .completion import is_bound
from .lookup import (
    UNKNOWN,
    Found,
    class_dict,
    data_frame,
    evaluate,
    instance_dict,
    is_class,
    is_module,
    is_routine,
    name_of,
)
from .signatures import documentation, function_of, signature
from .tokens import Token, callee_around, expression_before, tokenize
from .values import shape_text, type_name, value_text

_MAGIC = re.compile(r"^\s*(%{1,2})(\w+)", re.MULTILINE)


def inspect(code: str, cursor_pos: int, detail_level: int, namespace: Mapping[str, Any], shell: Any) -> InspectReply:
    """Answer an inspect_request; ``detail_level`` 1 adds the source."""
    cursor = max(0, min(cursor_pos, len(code)))
    found, title = _at_cursor(code, cursor, namespace, shell)
    if found is None:
        return InspectReply(found=False)
    facts = _facts(found, title)
    source = source_of(found.value) if detail_level else ""
    if source:
        facts.append(("Source", f"\n{source}"))
    elif doc := documentation(found.value if found.value is not UNKNOWN else found.type):
        facts.append(("Docstring", f"\n{doc}"))
    plain = "\n".join(f"{name}:{'' if text.startswith(chr(10)) else ' '}{text}" for name, text in facts)
    return InspectReply(found=True, data={"text/plain": plain, "text/markdown": _markdown(facts, title)})


def _at_cursor(code: str, cursor: int, namespace: Mapping[str, Any], shell: Any) -> tuple[Found | None, str]:
    for magic in _MAGIC.finditer(code):
        if magic.start(1) <= cursor <= magic.end():
            kind = "cell" if magic.group(1) == "%%" else "line"
            function = shell.magics_manager.magics[kind].get(magic.group(2)) if shell is not None else None
            return (Found(function), magic.group().strip()) if function is not None else (None, "")
    tokens = tokenize(code)
    at = next(
        (at for at, token in enumerate(tokens) if token.kind == "name" and token.start <= cursor <= token.end), None
    )
    source = expression_before(tokens[: at + 1], code) if at is not None else _called(tokens, code, cursor)
    found = evaluate(source, namespace) if source else None
    if found is None and at is not None and (source := _called(tokens, code, cursor)):
        found = evaluate(source, namespace)
    return found, " ".join(source.split())


def _called(tokens: list[Token], code: str, cursor: int) -> str:
    """The function in whose parentheses the cursor stands."""
    return callee_around([token for token in tokens if token.start < cursor], code)


def _facts(found: Found, title: str) -> list[tuple[str, str]]:
    value = found.value
    facts: list[tuple[str, str]] = []
    shown = title.rpartition(".")[2].lstrip("%") or "object"
    if text := signature(value, is_bound(found)) if value is not UNKNOWN else "":
        facts.append(("Signature", f"{shown}{text}"))
    facts.append(("Type", type_name(found.type)))
    if value is UNKNOWN:
        return facts
    if not (is_routine(value) or is_class(value) or is_module(value)) and (text := value_text(value, 500)):
        facts.append(("Value", text))
    if text := shape_text(value):
        facts.append(("Length" if text.isdecimal() else "Shape", text))
    frame = data_frame(value)
    if frame is not None and (columns := frame.columns_as_text(50)):
        facts.append(("Columns", ", ".join(columns)))
    file, line = place_of(value)
    if file:
        facts.append(("File", f"{file}:{line}" if line else file))
    return facts


def place_of(value: Any) -> tuple[str, int]:
    """File and line (from 1) where a function, class or module was defined; ("", 0) when that cannot be seen."""
    if is_module(value):
        file = instance_dict(value).get("__file__")
        return (file, 0) if type(file) is str else ("", 0)
    code = _code_of(value)
    if code is None:
        return "", 0
    if is_class(value):
        return code.co_filename, _class_line(value, code.co_filename)
    return code.co_filename, code.co_firstlineno


def source_of(value: Any) -> str:
    """The source text of a function or class as it was compiled."""
    file, line = place_of(value)
    if not line:
        return ""
    lines = linecache.getlines(file)
    return "".join(_inspect.getblock(lines[line - 1 :])).rstrip() if len(lines) >= line else ""


def _code_of(value: Any) -> CodeType | None:
    if is_class(value):
        functions = (raw for raw in list(class_dict(value).values()) if type(raw) is FunctionType)
        name = f"{name_of(value)}."
        return next((f.__code__ for f in functions if name in f.__code__.co_qualname), None)
    if type(value) is property:
        value = value.fget
    found = function_of(value)
    return found[0].__code__ if found else None


def _class_line(cls: type, file: str) -> int:
    line = class_dict(cls).get("__firstlineno__")
    if type(line) is int:
        return line
    definition = re.compile(rf"\s*class\s+{re.escape(name_of(cls))}\b")
    numbered = enumerate(linecache.getlines(file), 1)
    return next((number for number, text in numbered if definition.match(text)), 0)


def _markdown(facts: list[tuple[str, str]], title: str) -> str:
    named = dict(facts)
    head = named.get("Signature") or f"{title}: {named['Type']}"
    parts = [f"```python\n{head}\n```"]
    short = [f"**{name}** `{text}`" for name, text in facts if name not in ("Signature", "Docstring", "Source")]
    parts.append("  \n".join(text.replace("\n", " ") for text in short))
    if "Source" in named:
        parts.append(f"```python{named['Source']}\n```")
    if "Docstring" in named:
        parts.append(named["Docstring"].strip())
    return "\n\n".join(parts)
