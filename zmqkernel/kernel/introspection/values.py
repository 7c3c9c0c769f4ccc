"""Short texts of values, for exactly the built-in types: no ``__repr__`` of a user's class runs."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

from .lookup import DICTS, class_dict, data_frame, instance_dict, is_class, is_module, is_routine, name_of

PLAIN = (bool, float, complex, type(None), type(Ellipsis), type(NotImplemented), range, slice)
BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
ITEMS = 20
DEPTH = 3


def value_text(value: Any, most: int = 200, depth: int = DEPTH) -> str:
    """The value in at most about ``most`` characters; "" when showing it would run code of the user's."""
    kind = type(value)
    if kind is int:
        return repr(value) if int.bit_length(value) < 4000 else f"<int of {int.bit_length(value)} bits>"
    if kind in (str, bytes):
        shown = repr(value[:most])
        return shown if len(value) <= most else f"{shown}..."
    if kind in PLAIN:
        return _plain(value)
    if kind in BRACKETS or kind in DICTS:
        return _container(value, most, depth)
    if is_module(value):
        return f"<module {_text(instance_dict(value).get('__name__'))}>"
    if is_class(value):
        return f"<class {type_name(value)}>"
    if is_routine(value):
        return f"<function {_text(getattr(value, '__qualname__', '?'))}>"
    return ""


def _plain(value: Any) -> str:
    if type(value) in (range, slice) and not all(
        type(x) in (int, type(None)) for x in (value.start, value.stop, value.step)
    ):
        return ""
    return repr(value)


def _container(value: Any, most: int, depth: int) -> str:
    kind = type(value)
    opening, closing = BRACKETS.get(kind, "{}")
    if depth == 0:
        return f"{opening}...{closing}"
    parts: list[str] = []
    room = most
    try:
        source = dict.items(value) if kind in DICTS else value
        taken: list[Any] = list(islice(source, ITEMS + 1))
    except RuntimeError:
        return f"{opening}...{closing}"  # another thread changed it meanwhile
    for item in taken[:ITEMS]:
        if kind in DICTS:
            part = f"{_inner(item[0], room, depth)}: {_inner(item[1], room, depth)}"
        else:
            part = _inner(item, room, depth)
        room -= len(part) + 2
        if room < 0 and parts:
            break
        parts.append(part)
    else:
        if len(taken) <= ITEMS:
            comma = "," if kind is tuple and len(parts) == 1 else ""
            return f"{opening}{', '.join(parts)}{comma}{closing}"
    return f"{opening}{', '.join(parts)}, ...{closing}"


def _inner(value: Any, room: int, depth: int) -> str:
    return value_text(value, max(20, min(60, room)), depth - 1) or f"<{type_name(type(value))}>"


def type_name(cls: type) -> str:
    """``module.Name``, without the module for built-ins and for what was defined in a cell."""
    module = class_dict(cls).get("__module__")
    name = name_of(cls)
    return name if type(module) is not str or module in ("builtins", "__main__") else f"{module}.{name}"


def shape_text(value: Any) -> str:
    """``3 x 4, float64`` for exactly numpy's and pandas' own types, the length of a built-in container, else ""."""
    kind = type(value)
    if kind in BRACKETS or kind in DICTS or kind in (str, bytes, bytearray):
        return str(len(value))
    if data_frame(value) is not None:
        return _product(value.shape)
    for module, names in (("numpy", ("ndarray",)), ("pandas", ("Series",))):
        loaded = sys.modules.get(module)
        if loaded is not None and any(kind is instance_dict(loaded).get(name) for name in names):
            return f"{_product(value.shape)}, {value.dtype}"
    return ""


def _product(shape: Any) -> str:
    return " x ".join(str(size) for size in tuple(shape)) or "scalar"


def _text(value: Any) -> str:
    return value if type(value) is str else "?"
