"""Short texts of values, for exactly the built-in types: no ``__repr__`` of a user's class runs."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from .adapters import is_frame, is_own_dtype
from .lookup import (
    DICTS,
    Types,
    instance_dict,
    is_class,
    is_kind,
    is_kind_of,
    is_module,
    is_routine,
    items_of,
    module_of,
    mro_of,
    name_of,
    reads_as,
)

PLAIN = Types(bool, float, complex, type(None), type(Ellipsis), type(NotImplemented), range, slice)
NAMED = Types(FunctionType, BuiltinFunctionType, type(str.upper), type(object.__init__), type(object().__str__))
BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
BUILT_IN = Types(*BRACKETS)
SIZED = Types(*BRACKETS, str, bytes, bytearray)
ENDS = Types(int, type(None))
SHOWN_BY_THEIR_REPR = Types(
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
    *(decimal.Decimal, fractions.Fraction, pathlib.PosixPath, pathlib.PurePosixPath, uuid.UUID),
)
"""Types of the standard library whose repr() runs nothing but the standard library."""
SCALARS = ("Timestamp", "Timedelta", "Period", "Interval")
ITEMS = 20
DEPTH = 3


def value_text(value: Any, most: int = 200, depth: int = DEPTH) -> str:
    """The value in at most about ``most`` characters; "" when showing it would run code of the user's."""
    kind = type(value)
    if kind is int:
        return repr(value) if int.bit_length(value) < 4000 else f"<int of {int.bit_length(value)} bits>"
    if kind is str or kind is bytes:
        shown = repr(value[:most])
        return shown if len(value) <= most else f"{shown}..."
    if kind in PLAIN:
        return _plain(value)
    if kind in BUILT_IN or kind in DICTS:
        return _container(value, most, depth)
    if is_module(value):
        return f"<module {_text(instance_dict(value).get('__name__'))}>"
    if is_class(value):
        return f"<class {type_name(value)}>"
    if is_routine(value):
        return f"<function {_text(_qualified(value))}>"
    if kind in SHOWN_BY_THEIR_REPR and _is_plain_time(value):
        return repr(value)
    return _scalar(value) or _member(value) or _of_subclass(value, most, depth)


def _of_subclass(value: Any, most: int, depth: int) -> str:
    """``Point(1, 2)``: of a list, tuple or dictionary that leaves reading to the built-in type."""
    name = name_of(type(value))
    for kind in (tuple, list):
        if reads_as(value, kind):
            text = _container(kind(islice(kind.__iter__(value), ITEMS + 1)), most, depth)
            return name + text if kind is tuple else f"{name}({text})"
    if reads_as(value, dict):
        return f"{name}({_container(dict(islice(items_of(value), ITEMS + 1)), most, depth)})"
    return ""


def _qualified(value: Any) -> Any:
    if type(value) is MethodType:
        return _qualified(value.__func__) if is_routine(value.__func__) else "?"
    return getattr(value, "__qualname__", "?") if type(value) in NAMED else "?"


def _is_plain_time(value: Any) -> bool:
    """A time zone may be of a class of the user's."""
    if type(value) is datetime.datetime or type(value) is datetime.time:
        return value.tzinfo is None or type(value.tzinfo) is datetime.timezone
    return True


def _scalar(value: Any) -> str:
    """A number of numpy's, a time of pandas'."""
    kind = type(value)
    if is_kind_of(value, "numpy", "generic"):
        plain = is_kind(kind, "numpy", name_of(kind)) and not is_kind(kind, "numpy", "void", "object_")
        return str(value) if plain else ""
    return str(value) if is_kind(kind, "pandas", *SCALARS) and not is_kind(kind, "pandas", "Interval") else ""


def _member(value: Any) -> str:
    """``Color.RED``."""
    classes = mro_of(type(value))
    if not any(cls is enum.Enum for cls in classes):
        return ""
    name = instance_dict(value).get("_name_")
    return f"{name_of(type(value))}.{name}" if type(name) is str else ""


def structure_text(value: Any, most: int = 500) -> str:
    """``Thing(size=3, words=[...])``: the attributes of an object's own, for what value_text shows nothing of."""
    own = instance_dict(value)
    parts: list[str] = []
    for name, item in islice(own.items(), ITEMS):
        if not name.startswith("_"):
            parts.append(f"{name}={value_text(item, 60, 1) or f'<{type_name(type(item))}>'}")
            if sum(map(len, parts)) > most:
                return f"{name_of(type(value))}({', '.join(parts)}, ...)"
    return f"{name_of(type(value))}({', '.join(parts)})" if parts else ""


def _plain(value: Any) -> str:
    if (type(value) is range or type(value) is slice) and not all(
        type(x) in ENDS for x in (value.start, value.stop, value.step)
    ):
        return ""
    return repr(value)


def _container(value: Any, most: int, depth: int) -> str:
    kind = type(value)
    opening, closing = BRACKETS[kind] if kind in BUILT_IN else "{}"
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
    module = module_of(cls)
    name = name_of(cls)
    return name if type(module) is not str or module in ("builtins", "__main__") else f"{module}.{name}"


def shape_text(value: Any) -> str:
    """``3 x 4, float64`` for exactly numpy's, pandas', polars' and torch's types, the length of a built-in container, else ""."""
    kind = type(value)
    if kind in SIZED or kind in DICTS:
        return str(len(value))
    try:
        if is_frame(kind):
            return _product(value.shape)
        if is_kind(kind, "polars", "Series"):
            return f"{_product(value.shape)}, {value.dtype}"
        if is_kind(kind, "pandas", "Series") and is_own_dtype(value.dtype):
            return f"{_product(value.shape)}, {value.dtype}"
        if is_kind(kind, "pandas", "Index", "RangeIndex", "MultiIndex", "DatetimeIndex"):
            return str(len(value))
        if is_kind(kind, "numpy", "ndarray", "recarray", "memmap"):
            return f"{_product(value.shape)}, {value.dtype}"
        if is_kind(kind, "torch", "Tensor") or is_kind(kind, "torch.nn", "Parameter"):
            return f"{_product(value.shape)}, {value.dtype}"
    except Exception:  # noqa: BLE001  another thread changes the table while its library reads it: then nothing is said
        return ""
    return ""


def _product(shape: Any) -> str:
    return " x ".join(str(size) for size in tuple(shape)) or "scalar"


def _text(value: Any) -> str:
    return value if type(value) is str else "?"
