"""Looking at live objects without running any code of theirs.

Rules: ``type(x)`` and never ``x.__class__``; dictionaries of classes and instances are read through the slots of ``type``
and ``object`` themselves, so that no ``__getattribute__``, metaclass, property or ``__dir__`` of the user's runs; containers
are looked into when they are exactly a built-in type, and copied in one step, because another thread may change them.
"""

from __future__ import annotations

import ast
import builtins
import collections
import sys
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

_slots: Any = type.__dict__
mro_of = _slots["__mro__"].__get__
"""The MRO of a class, whatever its metaclass says."""
name_of = _slots["__name__"].__get__
"""The name of a class."""
class_dict = _slots["__dict__"].__get__
"""The own attributes of a class."""
_flags_of = _slots["__flags__"].__get__
_module_slots: Any = ModuleType.__dict__
_module_dict = _module_slots["__dict__"].__get__

HEAP_TYPE = 1 << 9
DICTS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
LOOKED_AT = 100_000
"""A larger dictionary is not searched."""


class Found:
    """What stands at a place: ``value``, or only its type is known (``value`` is then UNKNOWN)."""

    __slots__ = ("holder", "is_opaque", "type", "value")

    def __init__(self, value: Any, kind: type | None = None, holder: Any = None, *, is_opaque: bool = False) -> None:
        self.value = value
        self.is_opaque = is_opaque
        """``value`` is a property or another descriptor; only running it would tell more."""
        self.type: type = type(value) if kind is None else kind
        self.holder = holder
        """The object that the value was found on, None for a plain name."""


class _Unknown:
    """The value of what is only known by its type."""


UNKNOWN = _Unknown()


def is_class(value: Any) -> bool:
    """Like ``isinstance(value, type)``, without asking ``value.__class__``."""
    return any(cls is type for cls in mro_of(type(value)))


def is_module(value: Any) -> bool:
    """A module, also a lazy one."""
    return any(cls is ModuleType for cls in mro_of(type(value)))


def is_builtin_type(cls: type) -> bool:
    """A type written in C: reading its slots runs no Python."""
    return not _flags_of(cls) & HEAP_TYPE


def instance_dict(value: Any) -> dict[str, Any]:
    """A copy of the instance's own attributes; empty when it has none that can be read without running code."""
    if is_module(value):
        return names_in(_module_dict(value))
    if is_class(value):
        return {}
    for cls in mro_of(type(value)):
        descriptor = class_dict(cls).get("__dict__")
        if descriptor is None:
            continue
        if type(descriptor) not in (GetSetDescriptorType, MemberDescriptorType):
            return {}  # a property of the user's
        try:
            return names_in(descriptor.__get__(value))
        except (AttributeError, TypeError):
            return {}  # a slot of another layout
    return {}


def names_in(names: Any) -> dict[str, Any]:
    """A copy of a namespace with only its plain string keys."""
    if not any(cls is dict for cls in mro_of(type(names))):
        return {}
    return {name: value for name, value in list(dict.items(names)) if type(name) is str}


def classes_of(value: Any) -> tuple[type, ...]:
    """Where attributes of ``value`` are looked for: its own MRO if it is a class, else that of its type."""
    return mro_of(value) if is_class(value) else mro_of(type(value))


def class_attribute(classes: tuple[type, ...], name: str) -> Any:
    """The raw attribute in the first class that has it, else UNKNOWN."""
    for cls in classes:
        found = class_dict(cls).get(name, UNKNOWN)
        if found is not UNKNOWN:
            return found
    return UNKNOWN


def attribute(value: Any, name: str) -> Any:
    """What ``value.name`` is known to be, raw: a property or another descriptor is given as it is. Else UNKNOWN."""
    classes = classes_of(value)
    raw = class_attribute(classes, name)
    if raw is UNKNOWN or not _is_data_descriptor(raw):
        own = instance_dict(value).get(name, UNKNOWN)
        if own is not UNKNOWN:
            return own
    if raw is UNKNOWN:
        return UNKNOWN
    if is_class(value):
        return raw
    if type(raw) is MemberDescriptorType or (type(raw) is GetSetDescriptorType and is_builtin_type(type(value))):
        return _read_slot(raw, value)
    return raw


def _read_slot(descriptor: Any, value: Any) -> Any:
    try:
        return descriptor.__get__(value)
    except Exception:  # noqa: BLE001  a getter in C may raise anything: then nothing is known
        return UNKNOWN


def _is_data_descriptor(raw: Any) -> bool:
    return any("__set__" in class_dict(cls) or "__delete__" in class_dict(cls) for cls in mro_of(type(raw)))


def is_descriptor(raw: Any) -> bool:
    """A descriptor whose value only running it would tell (a property, a user's descriptor); functions are not."""
    kind = type(raw)
    if is_builtin_type(kind) and kind is not property:
        return kind is GetSetDescriptorType
    return any("__get__" in class_dict(cls) for cls in mro_of(kind))


def evaluate(source: str, namespace: Mapping[str, Any]) -> Found | None:
    """The object that ``source`` names: names, attributes and literal subscripts, nothing that runs. None: not known."""
    try:
        node = ast.parse(f"({source})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # not an expression: half-typed code is no error
    return _evaluate(node, namespace)


def _evaluate(node: ast.expr, namespace: Mapping[str, Any]) -> Found | None:
    match node:
        case ast.Constant(value):
            return Found(value)
        case ast.List() | ast.ListComp():
            return Found(UNKNOWN, list)
        case ast.Dict() | ast.DictComp():
            return Found(UNKNOWN, dict)
        case ast.Set() | ast.SetComp():
            return Found(UNKNOWN, set)
        case ast.JoinedStr():
            return Found(UNKNOWN, str)
        case ast.Name(id=name):
            return name_in(name, namespace)
        case ast.Attribute(value=inner, attr=name):
            found = _evaluate(inner, namespace)
            return _attribute(found, name) if found and not found.is_opaque else None
        case ast.Subscript(value=inner, slice=index):
            found = _evaluate(inner, namespace)
            return _item(found, index) if found and not found.is_opaque else None
        case _:
            return None


def name_in(name: str, namespace: Mapping[str, Any]) -> Found | None:
    """A name of the namespace or a built-in."""
    value = namespace.get(name, UNKNOWN)
    if value is UNKNOWN:
        value = builtins.__dict__.get(name, UNKNOWN)
    return None if value is UNKNOWN else Found(value)


def _attribute(found: Found, name: str) -> Found | None:
    if found.value is UNKNOWN:
        raw = class_attribute(mro_of(found.type), name)
    else:
        raw = attribute(found.value, name)
        if raw is UNKNOWN or is_descriptor(raw):
            frame = data_frame(found.value)
            if frame is not None and name in frame.columns_as_text():
                return Found(UNKNOWN, frame.series)
    if raw is UNKNOWN:
        return None
    stands_for_itself = is_class(found.value) or is_module(found.value)
    return Found(raw, holder=found.value, is_opaque=is_descriptor(raw) and not stands_for_itself)


def _item(found: Found, index: ast.expr) -> Found | None:
    try:
        key = ast.literal_eval(index)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None  # not a literal
    value, kind = found.value, type(found.value)
    if kind in DICTS:
        return next((Found(item) for own, item in items_of(value) if type(own) is type(key) and own == key), None)
    if kind in (list, tuple, str) and type(key) is int:
        try:
            return Found(value[key])
        except IndexError:
            return None
    frame = data_frame(value)
    if frame is not None and type(key) is str and key in frame.columns_as_text():
        return Found(UNKNOWN, frame.series)
    return None


def items_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """The items of an exact dictionary whose keys are plain, so that comparing them runs nothing of the user's."""
    if dict.__len__(value) > LOOKED_AT:
        return
    for key, item in list(dict.items(value)):
        if type(key) in (str, int, float, bool, bytes, type(None)):
            yield key, item


class Frame:
    """A pandas DataFrame: pandas' own code tells its columns."""

    def __init__(self, frame: Any, series: type) -> None:
        self.frame = frame
        self.series = series

    def columns_as_text(self, most: int = 10_000) -> list[str]:
        """The columns that are strings; of several levels the first."""
        labels = [label[0] if type(label) is tuple and label else label for label in self.frame.columns[:most].tolist()]
        return list(dict.fromkeys(label for label in labels if type(label) is str))


def data_frame(value: Any) -> Frame | None:
    """``value`` as a frame, if it is exactly a pandas DataFrame. Imports nothing."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    names = instance_dict(pandas)
    if type(value) is not names.get("DataFrame", UNKNOWN):
        return None
    return Frame(value, names["Series"])


def callable_of(value: Any) -> Any:
    """The function that a call of ``value`` ends in, if that can be seen: a function, a bound method's, a class's __init__."""
    if type(value) is MethodType:
        return value.__func__
    if is_class(value):
        start = class_attribute(mro_of(value), "__init__")
        if start is not UNKNOWN and start is not object.__dict__["__init__"]:
            return start
    return value


def is_routine(value: Any) -> bool:
    """A function or method of any sort."""
    return type(value) in ROUTINES


ROUTINES = frozenset(
    {
        type(evaluate),
        BuiltinFunctionType,
        MethodType,
        staticmethod,
        classmethod,
        type(str.upper),
        type(object.__init__),
        type(object().__str__),
        type(dict.__dict__["fromkeys"]),
    }
)
