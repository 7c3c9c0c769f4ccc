"""Where a live object was defined: its file or the document of its cell, line, and text as it was executed."""

from __future__ import annotations

import functools
import inspect as _inspect
import linecache
import re
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from ...protocol.messages import DefinitionReply
from .cursor import at_cursor
from .lookup import UNKNOWN, class_dict, instance_dict, is_class, is_module, is_routine, name_of, value_in
from .scope import Scope, answered
from .targets import target_of

LARGEST = 5_000_000
"""Characters of a file that are looked through for a class."""


def define(
    code: str, cursor_pos: int, namespace: Mapping[str, Any], shell: Any, policy: str = "safe"
) -> DefinitionReply:
    """Answer a definition_request: where what stands at the cursor was defined; of an instance where its class was."""
    cursor = max(0, min(cursor_pos, len(code)))
    return answered(Scope(namespace, shell, policy), lambda scope: _reply(code, cursor, scope))


def _reply(code: str, cursor: int, scope: Scope) -> DefinitionReply:
    found, title = at_cursor(code, cursor, scope)
    if found is None:
        return DefinitionReply()
    value = found.raw if found.raw is not UNKNOWN else found.type
    place = place_of(value)
    if not place[0] and not is_module(value):
        value = found.type
        place = place_of(value)
    file, line = place
    if not file:
        return DefinitionReply()
    name = _name_of(value) or title.rpartition(".")[2]
    line, column = _of_name(file, line, name) if line else (0, 0)
    return DefinitionReply(True, _as_path(file), max(0, line - 1), column, name, source_of(value))


def _as_path(file: str) -> str:
    """The file's path or the document's name; "" for a cell that stands in no document."""
    return "" if file.startswith("<") else file


def _name_of(value: Any) -> str:
    if is_class(value):
        return name_of(value)
    code = _code_of(value)
    return code.co_name if code is not None else ""


def place_of(value: Any) -> tuple[str, int]:
    """File and line (from 1) where a function, class or module was defined; ("", 0) when that cannot be seen."""
    if is_module(value):
        file = instance_dict(value).get("__file__")
        return (file, 0) if type(file) is str else ("", 0)
    if is_class(value):
        return _place_of_class(value)
    code = _code_of(value)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def source_of(value: Any) -> str:
    """The source text of a function or class as it was executed; "" when it cannot be found."""
    file, line = place_of(value)
    lines = lines_of(file) if line else []
    try:
        return "".join(_inspect.getblock(lines[line - 1 :])).rstrip() if len(lines) >= line > 0 else ""
    except (SyntaxError, IndentationError):
        return ""  # the text has changed since: that line begins nothing that ends


def lines_of(file: str) -> list[str]:
    """The lines of a file, or of what was executed under its name."""
    if len(linecache.cache.get(file, ())) == 1:
        return []  # only a loader could tell: it may be code of the user's
    return linecache.getlines(file)


def _code_of(value: Any) -> CodeType | None:
    if type(value) is property:
        value = value.fget
    elif type(value) is functools.cached_property:
        value = instance_dict(value).get("func")
    elif not (is_routine(value) or type(value) is functools.partial):
        return None  # an object with __call__ is more than that
    target = target_of(value, bound=False)
    return target.function.__code__ if target is not None and target.function is not None else None


# --- classes ----------------------------------------------------------------------------------------------------------


def _place_of_class(cls: type) -> tuple[str, int]:
    first = value_in(class_dict(cls), "__firstlineno__")
    method = _method_of(cls)
    candidates = [method.co_filename] if method is not None else list(_files_of(cls))
    for file in candidates:
        if type(first) is int and len(candidates) == 1:
            return file, first
        line = _class_line(cls, file, method.co_firstlineno if method is not None else 0)
        if line:
            return file, line
    return (method.co_filename, method.co_firstlineno) if method is not None else ("", 0)


def _method_of(cls: type) -> CodeType | None:
    """The code of a function that was written in the class's body."""
    name = value_in(class_dict(cls), "__qualname__")
    qualified = name if type(name) is str else name_of(cls)
    for raw in list(class_dict(cls).values()):
        function: Any = raw.fget if type(raw) is property else raw
        if type(function) is staticmethod or type(function) is classmethod:
            function = function.__func__
        if type(function) is FunctionType and function.__code__.co_qualname.rpartition(".")[0].endswith(qualified):
            return function.__code__
    return None


def _files_of(cls: type) -> Iterator[str]:
    """Files that a class without methods may be defined in: its module's, or what was executed, the newest first."""
    module = value_in(class_dict(cls), "__module__")
    loaded = sys.modules.get(module) if type(module) is str else None
    if module == "__main__":
        # linecache knows no time of change for what was executed from a document or a cell.
        executed = [name for name, entry in list(linecache.cache.items()) if len(entry) == 4 and entry[1] is None]
        yield from reversed(executed)
    if loaded is not None:
        file = instance_dict(loaded).get("__file__")
        if type(file) is str and file.endswith(".py"):
            yield file


def _class_line(cls: type, file: str, before: int) -> int:
    """The line of ``class Name`` in a file: the last one before its first method, else the last at all."""
    definition = re.compile(rf"[ \t]*class[ \t]+{re.escape(name_of(cls))}\b")
    lines = lines_of(file)
    if sum(map(len, lines)) > LARGEST:
        return 0
    numbers = [number for number, text in enumerate(lines, 1) if definition.match(text)]
    return max((number for number in numbers if not before or number <= before), default=0)


def _of_name(file: str, line: int, name: str) -> tuple[int, int]:
    """Line (from 1) and column of the name itself: decorators come before it."""
    lines = lines_of(file)
    definition = re.compile(rf"[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(?={re.escape(name)}\b)") if name else None
    for number in range(line, min(line + 100, len(lines) + 1)):
        match = definition.match(lines[number - 1]) if definition else None
        if match:
            return number, match.end()
    return line, 0
