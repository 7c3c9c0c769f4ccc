"""What a call runs in the end: through bound methods, partials, wrappers and classes, by static lookup."""

from __future__ import annotations

import functools
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple

from .lookup import UNKNOWN, Types, class_attribute, instance_dict, is_class, is_routine, mro_of, names_in, value_in

DEEPEST = 10
_partial_slots: Any = functools.partial.__dict__
CACHED = type(functools.lru_cache(lambda: None))
C_ROUTINES = Types(
    BuiltinFunctionType,
    type(str.upper),
    type(object.__init__),
    type(object().__str__),
    type(dict.__dict__["fromkeys"]),
)
IGNORED = (object.__dict__["__init__"], object.__dict__["__new__"])


class Target(NamedTuple):
    """What runs: a Python function, or something in C. ``given`` positional arguments are there already, and ``named`` ones."""

    function: FunctionType | None
    value: Any
    given: int = 0
    named: tuple[str, ...] = ()


def target_of(value: Any, bound: bool) -> Target | None:
    """What a call of ``value`` runs, None when that cannot be seen. ``bound``: ``value`` was found on an instance."""
    given, named = int(bound and type(value) is FunctionType), tuple[str, ...]()
    for _ in range(DEEPEST):
        kind: Any = type(value)
        if kind is FunctionType:
            return Target(unwrapped(value), value, given, named)
        if kind is MethodType or kind is classmethod:
            value, given = value.__func__, given + 1
        elif kind is staticmethod:
            value = value.__func__
        elif kind is functools.partial:
            given += len(_partial_slots["args"].__get__(value))
            named += tuple(names_in(_partial_slots["keywords"].__get__(value)))
            value = _partial_slots["func"].__get__(value)
        elif kind is functools.partialmethod:
            parts = instance_dict(value)
            positional = parts.get("args")
            given += 1 + (len(positional) if type(positional) is tuple else 0)
            named += tuple(names_in(parts.get("keywords")))
            value = parts.get("func")
        elif kind is CACHED:
            given += int(bound)
            value = instance_dict(value).get("__wrapped__")
        elif kind in C_ROUTINES:
            return Target(None, value, given, named)
        else:
            found = _constructor(value) if is_class(value) else _call_of(value)
            if found is None:
                return Target(None, value, given, named) if is_class(value) else None
            value, given = found, given + 1
    return None


def _constructor(cls: Any) -> Any:
    """``__init__`` or ``__new__`` in Python, whichever is the more derived; None when both are in C."""
    classes = mro_of(cls)
    for name in ("__init__", "__new__"):
        raw = class_attribute(classes, name)
        if type(raw) is staticmethod:
            raw = raw.__func__
        if type(raw) is FunctionType:
            return raw
    return None


def _call_of(value: Any) -> Any:
    raw = class_attribute(mro_of(type(value)), "__call__")
    return raw if type(raw) is FunctionType else None


def unwrapped(function: FunctionType) -> FunctionType:
    """The function that a ``functools.wraps`` wrapper stands for."""
    for _ in range(DEEPEST):
        inner = value_in(function.__dict__, "__wrapped__")
        if type(inner) is CACHED:
            inner = instance_dict(inner).get("__wrapped__")
        if type(inner) is not FunctionType:
            break
        function = inner
    return function


def has_annotations(function: FunctionType) -> bool:
    """From Python 3.14 on reading annotations runs a function of the user's module."""
    return getattr(function, "__annotate__", None) is None


def is_callable(value: Any) -> bool:
    """Can it be called, as far as its type tells?"""
    return is_routine(value) or is_class(value) or class_attribute(mro_of(type(value)), "__call__") is not UNKNOWN
