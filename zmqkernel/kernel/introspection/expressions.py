"""What an expression names: an object, or only its type. Names, attributes, literal subscripts; nothing is run.

Of a call or a property only the declared type is known: the class that is called, or a return annotation that names a class.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from . import adapters
from .lookup import (
    TUPLE_FIELD,
    UNKNOWN,
    as_class,
    attribute,
    class_attribute,
    instance_dict,
    is_class,
    is_descriptor,
    is_module,
    is_plain_key,
    mro_of,
    reads_as,
    value_at,
    value_in,
)
from .targets import has_annotations, target_of, unwrapped

LONGEST = 10_000
"""Characters; a longer expression is not looked at."""
RECEIVER = {"Self", "typing.Self", "NDFrameT"}
"""Return annotations that mean the type of the object that the method is called on."""
LITERALS: dict[type[ast.expr], type] = {
    ast.List: list,
    ast.ListComp: list,
    ast.Dict: dict,
    ast.DictComp: dict,
    ast.Set: set,
    ast.SetComp: set,
    ast.JoinedStr: str,
    ast.Tuple: tuple,
    ast.Compare: bool,
}


class Found:
    """What stands at a place: ``value``, or only its type is known (``value`` is then UNKNOWN)."""

    __slots__ = ("holder", "is_bound", "is_opaque", "like", "raw", "type", "value")

    def __init__(
        self,
        value: Any,
        kind: type | None = None,
        holder: Found | None = None,
        *,
        like: Any = UNKNOWN,
        is_opaque: bool = False,
        is_bound: bool = False,
        raw: Any = UNKNOWN,
    ) -> None:
        self.value = value
        self.type: type = type(value) if kind is None else kind
        self.holder = holder
        """What the value was found on, None for a plain name."""
        self.like = value if like is UNKNOWN else like
        """The table whose columns this one has too, for all that is known."""
        self.is_opaque = is_opaque
        """``value`` is a property or another descriptor; only running it would tell more."""
        self.is_bound = is_bound
        """``value`` is a function that was found on an instance, by its class: its first argument is given already."""
        self.raw = value if raw is UNKNOWN else raw
        """What is written in the program: the property whose value is not known, else the value."""

    @property
    def is_instance(self) -> bool:
        """Neither a class nor a module: functions found on it are bound."""
        return not (is_class(self.value) or is_module(self.value))


def parse(source: str) -> ast.expr | None:
    """The expression, None when it is none: half-typed code is no error."""
    if len(source) > LONGEST:
        return None
    try:
        return ast.parse(f"({source})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # not an expression, or nested too deep for the parser


def evaluate(source: str, namespace: Mapping[str, Any]) -> Found | None:
    """What ``source`` names, None when that cannot be seen without running something."""
    node = parse(source)
    try:
        return node and found_at(node, namespace)
    except RecursionError:
        return None  # a chain of thousands of calls


def found_at(node: ast.expr, namespace: Mapping[str, Any]) -> Found | None:
    """What a node of the syntax tree names."""
    if type(node) in LITERALS:
        return Found(UNKNOWN, LITERALS[type(node)])
    match node:
        case ast.Constant(value):
            return Found(value)
        case ast.Name(id=name):
            return name_in(name, namespace)
        case ast.Attribute(value=inner, attr=name):
            found = found_at(inner, namespace)
            return attribute_of(found, name) if found else None
        case ast.Subscript(value=inner, slice=index):
            found = found_at(inner, namespace)
            return _item(found, index) if found else None
        case ast.Call(func=function):
            found = found_at(function, namespace)
            return _called(found) if found else None
        case ast.Await() | ast.NamedExpr() | ast.UnaryOp():
            return None
        case _:
            return None


def name_in(name: str, namespace: Mapping[str, Any]) -> Found | None:
    """A name of the namespace or a built-in."""
    value = value_in(namespace, name)
    if value is UNKNOWN:
        value = value_in(builtins.__dict__, name)
    return None if value is UNKNOWN else Found(value)


def attribute_of(found: Found, name: str) -> Found | None:
    """``found.name``; opaque when it is a descriptor whose type nothing declares."""
    if found.is_opaque:
        return None
    if found.value is UNKNOWN:
        raw = class_attribute(mro_of(found.type), name)
    else:
        raw = attribute(found.value, name)
    own = adapters.attribute(found.value, found.like, found.type, name, raw)
    if own is not None:
        value, kind, like = own
        return Found(value, kind, found, like=like)
    if raw is UNKNOWN:
        return None
    if found.is_instance and (is_descriptor(raw) or type(raw) is TUPLE_FIELD):
        declared = _declared(_getter(raw), found.type)
        if declared is not None:
            return Found(UNKNOWN, declared, found, like=_like(found, declared, name), raw=raw)
        return Found(raw, holder=found, is_opaque=True)
    is_bound = found.is_instance and class_attribute(mro_of(found.type), name) is raw
    return Found(raw, holder=found, like=found.like if is_bound else UNKNOWN, is_bound=is_bound)


def _getter(raw: Any) -> Any:
    """The function of a property."""
    if type(raw) is functools.cached_property:
        return instance_dict(raw).get("func")
    return raw.fget if type(raw) is property else None


def _like(found: Found, kind: type, name: str) -> Any:
    return found.like if adapters.keeps_columns(kind, name) else UNKNOWN


def _called(found: Found) -> Found | None:
    """What a call gives, as far as it is declared."""
    if found.is_opaque:
        return None
    if is_class(found.value):
        return Found(UNKNOWN, found.value) if class_attribute(mro_of(type(found.value)), "__call__") is _CALL else None
    target = target_of(found.value, found.is_bound)
    if target is None or target.function is None:
        return None
    receiver = found.holder.type if found.holder is not None and found.holder.is_instance else None
    kind = _declared(target.function, receiver)
    if kind is None:
        return None
    return Found(UNKNOWN, kind, like=_like(found, kind, target.function.__code__.co_name))


_CALL: Any = type.__dict__["__call__"]


def _declared(function: Any, receiver: type | None) -> type | None:
    """The class that a function's return annotation names."""
    if type(function) is not FunctionType:
        return None
    function = unwrapped(function)
    annotations = function.__annotations__ if has_annotations(function) else None
    if type(annotations) is not dict:
        return None
    declared = value_in(annotations, "return")
    if is_class(declared):
        return declared
    if type(declared) is not str:
        return None
    for part in reversed(declared.strip("'\"").split("|")):
        name = part.strip()
        known = receiver if name in RECEIVER else adapters.class_named(name, function)
        known = known or _class_in(name, function.__globals__)
        if known is not None and known is not type(None):
            return known
    return None


def _class_in(name: str, names: dict[str, Any]) -> type | None:
    """The class at a dotted name in a module's globals; ``list[int]`` is a list."""
    first, *rest = name.partition("[")[0].split(".")
    value = value_in(names, first)
    if value is UNKNOWN:
        value = value_in(builtins.__dict__, first)
    for part in rest:
        value = value_in(instance_dict(value), part) if is_module(value) else UNKNOWN
    return as_class(value)


def literal(node: ast.expr) -> Any:
    """The value of a literal, UNKNOWN for anything else. Slices of literals count."""
    if isinstance(node, ast.Slice):
        parts = [None if part is None else literal(part) for part in (node.lower, node.upper, node.step)]
        return slice(*parts) if all(type(part) in (int, type(None)) for part in parts) else UNKNOWN
    if isinstance(node, ast.Tuple) and any(isinstance(part, ast.Slice) for part in node.elts):
        return tuple(literal(part) for part in node.elts)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN  # not a literal


def _item(found: Found, index: ast.expr) -> Found | None:
    if found.is_opaque:
        return None
    key, value = literal(index), found.value
    own = adapters.item(value, found.like, found.type, key)
    if own is not None:
        item, kind, like = own
        return Found(item, kind, like=like)
    if value is UNKNOWN or key is UNKNOWN:
        return None
    if reads_as(value, dict):
        item = value_at(value, key) if is_plain_key(key) else UNKNOWN
        return None if item is UNKNOWN else Found(item)
    for kind in (list, tuple):
        if reads_as(value, kind) and type(key) in (int, slice):
            return _at(value, kind, key)
    return _at(value, str, key) if type(value) is str and type(key) in (int, slice) else None


def _at(value: Any, kind: Any, key: Any) -> Found | None:
    try:
        return Found(kind.__getitem__(value, key))
    except (IndexError, ValueError):
        return None  # not that long, or a step of 0


def same_key(own: Any, key: Any) -> bool:
    """Are two plain keys the same, type included?"""
    return type(own) is type(key) and own == key
