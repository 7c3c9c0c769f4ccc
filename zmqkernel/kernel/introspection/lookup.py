"""Looking at live objects without running any code of theirs.

Rules: ``type(x)`` and never ``x.__class__``; dictionaries of classes and instances are read through the slots of ``type``
and ``object`` themselves, so that no ``__getattribute__``, metaclass, property or ``__dir__`` of the user's runs; containers
are looked into when it is a built-in type that reads them, and copied in one step, because another thread may change them.
A name is looked up in a dictionary only when all its keys are plain strings: else comparing could run a key's ``__eq__``.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from types import BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

_slots: Any = type.__dict__
mro_of = _slots["__mro__"].__get__
"""The MRO of a class, whatever its metaclass says."""
_name_of = _slots["__name__"].__get__
module_of = _slots["__module__"].__get__
"""What a class says it was defined in; mostly a string."""
class_dict = _slots["__dict__"].__get__
"""The own attributes of a class."""
_flags_of = _slots["__flags__"].__get__
_module_slots: Any = ModuleType.__dict__
_module_dict = _module_slots["__dict__"].__get__


class Types:
    """Some types. ``in`` compares by identity: a metaclass may have an ``__eq__`` and a ``__hash__`` of its own."""

    def __init__(self, *kinds: type) -> None:
        self.kinds = kinds  # they stay alive, so their ids stay theirs
        self._ids = frozenset(map(id, kinds))

    def __contains__(self, kind: object) -> bool:
        return id(kind) in self._ids


HEAP_TYPE = 1 << 9
DICTS = Types(dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
PLAIN_KEYS = Types(str, int, float, bool, bytes, type(None))
FORWARDING = Types(MethodType, classmethod, staticmethod, property)
"""Built-in types that ask what they hold (``method.__doc__``), and that may be anything."""
READ_IN_C = Types(GetSetDescriptorType, MemberDescriptorType)
TUPLE_FIELD = type(collections.namedtuple("_Sample", "field").__dict__["field"])
LOOKED_AT = 100_000
"""Items of a user's dictionary that are looked at."""
_STRINGS = frozenset({id(str)})
_PLAIN = frozenset(map(id, PLAIN_KEYS.kinds))
ATTEMPTS = 5
"""How often a dictionary is read again that another thread changes meanwhile."""


class _Unknown:
    """The value of what is only known by its type."""


UNKNOWN = _Unknown()


def name_of(cls: Any) -> str:
    """The name of a class, as a plain string."""
    name = _name_of(cls)
    return name if type(name) is str else str.__str__(name)


def is_class(value: Any) -> bool:
    """Like ``isinstance(value, type)``, without asking ``value.__class__``."""
    return any(cls is type for cls in mro_of(type(value)))


def as_class(value: Any) -> type | None:
    """``value`` if it is a class."""
    return value if is_class(value) else None


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
        descriptor = value_in(class_dict(cls), "__dict__")
        if descriptor is UNKNOWN:
            continue
        if type(descriptor) not in READ_IN_C:
            return {}  # a property of the user's
        try:
            return names_in(descriptor.__get__(value))
        except (AttributeError, TypeError):
            return {}  # a slot of another layout
    return {}


def module_name(module: str, name: str) -> Any:
    """What a loaded module binds to ``name``, else UNKNOWN. Imports nothing."""
    loaded = sys.modules.get(module)
    return UNKNOWN if loaded is None or not is_module(loaded) else value_in(_module_dict(loaded), name)


def is_kind(kind: type, module: str, *names: str) -> bool:
    """Is ``kind`` exactly a class that a loaded module has under one of these names, which is its own?"""
    name = name_of(kind)
    return name in names and kind is module_name(module, name)


def is_kind_of(value: Any, module: str, name: str) -> bool:
    """Is ``value`` an instance of that class or of a subclass?"""
    return any(is_kind(cls, module, name) for cls in mro_of(type(value)))


def names_in(names: Any) -> dict[str, Any]:
    """A copy of a namespace with only its plain string keys."""
    return {name: value for name, value in items_in(names) if type(name) is str}


def items_in(names: Any, most: int = sys.maxsize) -> list[tuple[Any, Any]]:
    """The first items of a dictionary, read by ``dict`` itself; empty for anything else."""
    if not any(cls is dict for cls in mro_of(type(names))):
        return []
    for _ in range(ATTEMPTS):
        try:
            return list(itertools.islice(dict.items(names), most))
        except RuntimeError:
            continue  # another thread changed its size between two items
    return []


def has_only(names: Iterable[Any], kinds: Set[int]) -> bool:
    """Are all keys of exactly these types (their ids)? Then looking one up compares nothing of the user's."""
    names = names if type(names) is list else list(names)
    # In C, and without comparing types: a namespace of 10,000 names takes a quarter of a millisecond.
    return all(map(operator.is_, map(type, names), itertools.repeat(str))) or {*map(id, map(type, names))} <= kinds


def keys_in(value: Any, most: int = LOOKED_AT) -> list[Any]:
    """The plain keys of a dictionary that ``reads_as`` one, at most ``most``, in order."""
    for _ in range(ATTEMPTS):
        try:
            keys = list(itertools.islice(dict.__iter__(value), most))
        except RuntimeError:
            continue  # another thread changed its size between two keys
        return keys if has_only(keys, _PLAIN) else [key for key in keys if is_plain_key(key)]
    return []


def _all_keys(value: Any) -> list[Any]:
    """All keys of a dictionary that ``reads_as`` one; one that counts as odd when they could not be read."""
    if type(value) is dict:
        return list(value)  # in one step
    for _ in range(ATTEMPTS):
        try:
            return list(dict.__iter__(value))  # not list(value): that would ask its __len__
        except RuntimeError:
            continue  # another thread changed its size between two keys
    return [UNKNOWN]


def value_at(value: Any, key: Any) -> Any:
    """``value[key]`` for a plain key of a dictionary that ``reads_as`` one, else UNKNOWN."""
    if dict.__len__(value) <= LOOKED_AT and has_only(_all_keys(value), _PLAIN):
        return dict.get(value, key, UNKNOWN)
    return next((item for own, item in items_of(value) if type(own) is type(key) and own == key), UNKNOWN)


def values_at(value: Any, keys: Sequence[str]) -> list[Any]:
    """``value_at`` for several strings at once."""
    if dict.__len__(value) <= LOOKED_AT and has_only(_all_keys(value), _PLAIN):
        return [dict.get(value, key, UNKNOWN) for key in keys]
    return [UNKNOWN] * len(keys)


def value_in(names: Mapping[str, Any], name: str) -> Any:
    """``names[name]``, else UNKNOWN. Compares only plain strings."""
    if has_only(names, _STRINGS):
        return names.get(name, UNKNOWN)
    return next((value for key, value in list(names.items()) if type(key) is str and key == name), UNKNOWN)


def classes_of(value: Any) -> tuple[type, ...]:
    """Where attributes of ``value`` are looked for: its own MRO if it is a class, else that of its type."""
    return mro_of(value) if is_class(value) else mro_of(type(value))


def class_attribute(classes: tuple[type, ...], name: str) -> Any:
    """The raw attribute in the first class that has it, else UNKNOWN."""
    for cls in classes:
        found = value_in(class_dict(cls), name)
        if found is not UNKNOWN:
            return found
    return UNKNOWN


def class_with(classes: Iterable[type], name: str) -> type | None:
    """The first class that has an attribute of this name itself."""
    return next((cls for cls in classes if value_in(class_dict(cls), name) is not UNKNOWN), None)


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
        return _member_of_enum(classes, name, raw)
    if type(raw) is TUPLE_FIELD and any(cls is tuple for cls in classes):
        return _read_slot(raw, value)
    kind = type(value)
    if type(raw) is MemberDescriptorType or (
        type(raw) is GetSetDescriptorType and is_builtin_type(kind) and kind not in FORWARDING
    ):
        return _read_slot(raw, value)
    return raw


def _member_of_enum(classes: tuple[type, ...], name: str, raw: Any) -> Any:
    """Until Python 3.12 a member of an enumeration lies behind a property of the class."""
    members = class_attribute(classes, "_member_map_") if is_descriptor(raw) else UNKNOWN
    return value_in(members, name) if type(members) is dict and name in names_in(members) else raw


def _read_slot(descriptor: Any, value: Any) -> Any:
    try:
        return descriptor.__get__(value)
    except Exception:  # noqa: BLE001  a getter in C may raise anything: then nothing is known
        return UNKNOWN


def _is_data_descriptor(raw: Any) -> bool:
    classes = mro_of(type(raw))
    return class_with(classes, "__set__") is not None or class_with(classes, "__delete__") is not None


def is_descriptor(raw: Any) -> bool:
    """A descriptor whose value only running it would tell (a property, a user's descriptor); functions are not."""
    kind = type(raw)
    if kind in ROUTINES or name_of(kind) == "cython_function_or_method":
        return False
    if is_builtin_type(kind) and kind is not property:
        return kind is GetSetDescriptorType
    return class_with(mro_of(kind), "__get__") is not None


READ_BY: dict[type, tuple[str, ...]] = {
    dict: ("__getitem__", "__iter__", "keys", "items"),
    list: ("__getitem__", "__iter__"),
    tuple: ("__getitem__", "__iter__"),
}


def reads_as(value: Any, kind: type) -> bool:
    """Is ``value`` a dict, list or tuple, or of a subclass that leaves reading its items to that type?"""
    if type(value) is kind:
        return True
    classes = mro_of(type(value))
    if not any(cls is kind for cls in classes):
        return False
    readers = (class_with(classes, name) for name in READ_BY[kind])
    return all(reader is not None and is_builtin_type(reader) for reader in readers)


def items_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """The items of a dictionary whose keys are plain (also tuples of plain ones): comparing them runs nothing of the user's."""
    if reads_as(value, dict):
        yield from ((key, item) for key, item in items_in(value, LOOKED_AT) if is_plain_key(key))


def is_plain_key(key: Any) -> bool:
    """Can ``key`` be compared and shown without running code of the user's?"""
    if type(key) is tuple:
        return len(key) < 20 and all(map(is_plain_key, key))
    return type(key) in PLAIN_KEYS


def is_routine(value: Any) -> bool:
    """A function or method of any sort."""
    return type(value) in ROUTINES


ROUTINES = Types(
    type(is_class),
    BuiltinFunctionType,
    MethodType,
    staticmethod,
    classmethod,
    type(str.upper),
    type(object.__init__),
    type(object().__str__),
    type(dict.__dict__["fromkeys"]),
    type(functools.lru_cache(lambda: None)),
    functools.partialmethod,
)
