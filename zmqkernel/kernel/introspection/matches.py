"""A candidate of a completion, and the words for what it is."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

from .adapters import is_frame
from .lookup import (
    TUPLE_FIELD,
    UNKNOWN,
    Types,
    is_class,
    is_descriptor,
    is_module,
    is_routine,
    name_of,
)
from .signatures import signature
from .values import shape_text, type_name

NUMBERS = Types(int, float, bool, complex, type(None))
JUPYTER_TYPES = {"variable": "instance", "key": "dict key", "column": "dict key", "parameter": "param"}
"""IPython's words in ``_jupyter_types_experimental`` where they are not ours."""


class Match(NamedTuple):
    """``text`` is put in.

    ``kind`` is variable, function, class, module, property, key, column, parameter, keyword, magic or path.
    """

    text: str
    kind: str
    value: Any = UNKNOWN
    bound: bool = False
    label: str = ""
    """What a list shows when ``text`` is no good for it: the key without quotes and brackets."""


def kind_of(value: Any) -> str:
    """The word for what ``value`` is."""
    kind = type(value)
    if kind is type:
        return "class"
    if kind in NUMBERS:
        return "variable"
    if is_routine(value) or type(value) is functools.partial:
        return "function"
    if type(value) is property or type(value) is TUPLE_FIELD:
        return "property"
    if is_class(value):
        return "class"
    if is_module(value):
        return "module"
    return "variable"


def starting(prefix: str, matches: Iterable[Match]) -> list[Match]:
    """Those that go on from ``prefix``; private names only when an underscore was typed."""
    hidden = () if prefix.startswith("_") else ("_",)
    return [match for match in matches if match.text.startswith(prefix) and not match.text.startswith(hidden)]


def signature_of(match: Match) -> str:
    """Of a function or class, "" of anything else."""
    if match.value is UNKNOWN or match.kind not in ("function", "class"):
        return ""
    return signature(match.value, match.bound)


def described(match: Match) -> tuple[str, str]:
    """The type of what a match stands for, and a few words more; empty where there is nothing to say."""
    value = match.value
    if value is UNKNOWN or match.kind in ("module", "class", "function", "keyword"):
        return "", ""
    if type(value) in NUMBERS:
        name = name_of(type(value))  # most values are one of these: no need to look closer
        return name, name
    if is_descriptor(value) or type(value) is TUPLE_FIELD:
        return "", ""
    name = type_name(type(value))
    short = name.rpartition(".")[2] if is_frame(type(value)) else name
    shape = shape_text(value)
    return name, f"{short} {shape}" if shape else short
