"""Is a thing still what it was? A witness answers in about a microsecond, without a hash of everything.

It keeps the identities of what a description was made from (items, keys, attributes) and a mark: a length, or what an adapter
says of its array or table. Small values (numbers, short texts) are kept themselves, so that no other can have their identity.
Objects are not kept: a variable that was deleted must be gone. Should another object have the place of a dead one,
it has a witness of its own below, which sees a difference wherever the description would show one.
"""

from __future__ import annotations

import sys
import zlib
from collections import deque
from collections.abc import Callable
from itertools import islice
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple

from ..introspection.lookup import class_dict, is_class, is_module, mro_of
from .adapters import adapter_of

Mark = Any
Parts = list[Any]
Reading = tuple[Parts, Mark]

ATOMS = frozenset({int, float, bool, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented)})
"""Types whose values never change."""
ITEMS = 20
"""Items of a list, a tuple or a set that are looked at."""
MORE = ITEMS + 1
KEYS = 100
"""Keys of a dictionary and attributes of an instance that are looked at."""
SHORT = 1000
"""Texts up to this length, in characters or bytes, are kept."""
BITS = 4000
"""The same for numbers."""


class View(NamedTuple):
    """How things of one type are looked at. ``read`` gives the parts whose identity matters, and a mark.

    ``sort``: text, dict, sequence, instance, module, class, function, adapted or opaque. Of an instance the parts are the
    values of its ``slots``, the names and the values in its dictionary (``own`` reads it), and the parts of its ``storage``,
    when its class derives from dict, list or tuple; of a dictionary the keys, then the values.
    """

    sort: str
    read: Callable[[Any], Reading]
    slots: dict[str, Any] = {}
    own: Any = None
    storage: View | None = None


class Witness:
    """Remembers how ``value`` was when it was read; ``reading`` is what its view gave."""

    __slots__ = ("children", "held", "ids", "kind", "mark", "where")

    def __init__(self, value: Any, view: View, reading: Reading, children: list[tuple[int, Witness]]) -> None:
        del view
        parts, self.mark = reading
        self.kind = type(value)
        self.where = id(value)
        self.ids = hash(tuple(map(id, parts)))  # one number: to compare a list of them would touch much memory
        self.held = tuple(part for part in parts if is_small(part)) or None
        self.children = children or None

    def is_of(self, value: Any) -> bool:
        """Is this the very object (as far as its address tells)?"""
        return self.where == id(value) and self.kind is type(value)

    def digest(self) -> int:
        """A checksum of the marks: with it an array whose data changes has another fingerprint, though its shape does not."""
        found = zlib.crc32(repr(self.mark).encode("utf-8", "surrogatepass"))
        for _, child in self.children or ():
            found = found * 31 + child.digest() & 0xFFFFFFFF
        return found

    def same(self, value: Any) -> bool:
        """Is it this object, and would it be described as it was?"""
        if id(value) != self.where or type(value) is not self.kind:
            return False
        try:
            parts, mark = view_of(value).read(value)
        except Exception:  # noqa: BLE001 - an adapter's library, or a dictionary that another thread changes: look at it anew
            return False
        if mark != self.mark or hash(tuple(map(id, parts))) != self.ids:
            return False
        return self.children is None or self._below(parts)

    def _below(self, parts: Any) -> bool:
        for at, child in self.children or ():  # noqa: SIM110 - a generator would cost more than the comparison
            if not child.same(parts[at]):
                return False
        return True


# The usual sorts once more, for speed: a namespace of ten thousand of these is gone through after every execution.


class ListWitness(Witness):
    """Of exactly a list or a tuple that is not longer than what is looked at."""

    __slots__ = ()

    def same(self, value: Any) -> bool:
        if id(value) != self.where or type(value) is not self.kind:
            return False
        if hash(tuple(map(id, value[:MORE]))) != self.ids:
            return False
        return self.children is None or self._below(value)


class DictWitness(Witness):
    """Of exactly a dictionary that is not larger than what is looked at."""

    __slots__ = ()

    def same(self, value: Any) -> bool:
        if id(value) != self.where or type(value) is not dict or len(value) != self.mark:  # pyright: ignore[reportUnknownArgumentType]
            return False
        parts = [*value, *value.values()]
        return hash(tuple(map(id, parts))) == self.ids and (self.children is None or self._below(parts))


class InstanceWitness(Witness):
    """Of an instance that has no more than a dictionary, which is not larger than what is looked at."""

    __slots__ = ("own",)

    def __init__(self, value: Any, view: View, reading: Reading, children: list[tuple[int, Witness]]) -> None:
        super().__init__(value, view, reading, children)
        self.own = view.own.__get__

    def same(self, value: Any) -> bool:
        if id(value) != self.where or type(value) is not self.kind:
            return False
        names = self.own(value)
        if type(names) is not dict or len(names) > KEYS:  # pyright: ignore[reportUnknownArgumentType]
            return False
        parts = [*names, *names.values()]
        return hash(tuple(map(id, parts))) == self.ids and (self.children is None or self._below(parts))


class FunctionWitness(Witness):
    """Of a Python function."""

    __slots__ = ()

    def same(self, value: Any) -> bool:
        return (
            id(value) == self.where
            and type(value) is FunctionType
            and hash((id(value.__code__), id(value.__defaults__), id(value.__kwdefaults__), id(value.__doc__)))
            == self.ids
        )


WITNESSES = frozenset({Witness, ListWitness, DictWitness, InstanceWitness, FunctionWitness})


def witness_of(value: Any, view: View, reading: Reading, children: list[tuple[int, Witness]]) -> Witness:
    """The witness for what was read."""
    kind, length = type(value), reading[1]
    sort: type[Witness] = Witness
    if (kind is list or kind is tuple) and length <= ITEMS:
        sort = ListWitness
    elif kind is dict and length <= KEYS:
        sort = DictWitness
    elif kind is FunctionType:
        sort = FunctionWitness
    elif view.sort == "instance" and not view.slots and view.storage is None and length[0] <= KEYS:
        sort = InstanceWitness
    return sort(value, view, reading, children)


def is_small(value: Any) -> bool:
    """A value that never changes and costs next to nothing to keep."""
    kind = type(value)
    if kind in (str, bytes):
        return len(value) <= SHORT
    if kind is int:
        return value.bit_length() <= BITS
    return kind in ATOMS


_views: dict[type, View] = {}
MANY_TYPES = 5000


def view_of(value: Any) -> View:
    """How to look at ``value``."""
    kind = type(value)
    view = _views.get(kind)
    if view is None:
        if len(_views) > MANY_TYPES:
            _views.clear()  # classes that are made anew again and again: do not keep all of them
        view = _views[kind] = _view(value, kind)
    return view


def _view(value: Any, kind: type) -> View:
    if kind in _BUILT_IN:
        return _BUILT_IN[kind]
    adapter = adapter_of(kind)
    if adapter is not None:
        return View("adapted", lambda value: ([], adapter.mark(value)))
    classes = mro_of(kind)
    if ModuleType in classes:
        return View("module", _read_module) if is_module(value) else View("opaque", _read_nothing)
    if is_class(value):
        return View("class", _read_class)
    storage = next((_STORAGE[cls] for cls in classes if cls in _STORAGE), None)
    own, slots = _own_attributes(classes), _slots(classes)
    if own is None and not slots and "_fields" not in class_dict(kind):
        return storage or View("opaque", _read_nothing)
    return View("instance", _instance_reader(tuple(slots.values()), own, storage), slots, own, storage)


def _own_attributes(classes: tuple[type, ...]) -> Any:
    """The descriptor that reads ``__dict__`` without running code of the user's."""
    for cls in classes:
        descriptor = class_dict(cls).get("__dict__")
        if descriptor is not None:
            return descriptor if type(descriptor) in (GetSetDescriptorType, MemberDescriptorType) else None
    return None


def _slots(classes: tuple[type, ...]) -> dict[str, Any]:
    """Name to descriptor of what ``__slots__`` made."""
    found: dict[str, Any] = {}
    for cls in classes[:-1]:
        if "__slots__" not in class_dict(cls):
            continue
        for name, raw in class_dict(cls).items():
            if type(raw) is MemberDescriptorType and type(name) is str:
                found.setdefault(name, raw)
    return found


class _Absent:
    """In the place of a slot without a value."""


ABSENT = _Absent()


def _instance_reader(slots: tuple[Any, ...], own: Any, storage: View | None) -> Callable[[Any], Reading]:
    def read(value: Any) -> Reading:
        parts = [read_slot(descriptor, value) for descriptor in slots] if slots else []
        length, rest = 0, None
        names = own_names(own, value)
        if names is not None:
            length = dict.__len__(names)
            parts += islice(dict.keys(names), KEYS)
            parts += islice(dict.values(names), KEYS)
        if storage is not None:
            more, rest = storage.read(value)
            parts += more
        return parts, (length, rest)

    return read


def own_names(own: Any, value: Any) -> Any:
    """The dictionary of an instance, None when it has none."""
    names = own.__get__(value) if own is not None else None
    return names if type(names) is dict or dict in mro_of(type(names)) else None


def read_slot(descriptor: Any, value: Any) -> Any:
    """The value of a slot, or ABSENT."""
    try:
        return descriptor.__get__(value)
    except AttributeError:
        return ABSENT


def _read_nothing(value: Any) -> Reading:
    del value
    return [], None


def _read_text(value: Any) -> Reading:
    return [], (len(value), value[:SHORT])


def _read_int(value: int) -> Reading:
    return [], value.bit_length()


def _read_sequence(value: Any) -> Reading:
    return list(value[:ITEMS]), len(value)


def _read_iterable(value: Any) -> Reading:
    return list(islice(value, ITEMS)), len(value)


def _read_dict(value: Any) -> Reading:
    return [*islice(dict.keys(value), KEYS), *islice(dict.values(value), KEYS)], dict.__len__(value)


def _read_bytes(value: Any) -> Reading:
    return [], (len(value), bytes(value[:SHORT]))


def _read_module(value: Any) -> Reading:
    return [], len(_module_dict(value))


def _read_class(value: Any) -> Reading:
    names = class_dict(value)
    return [*names.keys(), *names.values()], len(names)


def _read_function(value: FunctionType) -> Reading:
    return [value.__code__, value.__defaults__, value.__kwdefaults__, value.__doc__], None


def _read_tuple_storage(value: Any) -> Reading:
    return list(tuple.__getitem__(value, slice(0, ITEMS))), tuple.__len__(value)


def _read_list_storage(value: Any) -> Reading:
    return list.__getitem__(value, slice(0, ITEMS)), list.__len__(value)


_module_slots: Any = ModuleType.__dict__
_module_dict = _module_slots["__dict__"].__get__

SEQUENCE = View("sequence", _read_sequence)
DICTIONARY = View("dict", _read_dict)
_BUILT_IN: dict[type, View] = {
    list: SEQUENCE,
    tuple: SEQUENCE,
    set: View("sequence", _read_iterable),
    frozenset: View("sequence", _read_iterable),
    deque: View("sequence", _read_iterable),
    dict: DICTIONARY,
    str: View("text", _read_text),
    bytes: View("text", _read_text),
    bytearray: View("text", _read_bytes),
    int: View("text", _read_int),
    FunctionType: View("function", _read_function),
    **dict.fromkeys(ATOMS - {int, str, bytes}, View("opaque", _read_nothing)),
}
_STORAGE: dict[type, View] = {
    dict: DICTIONARY,
    list: View("sequence", _read_list_storage),
    tuple: View("sequence", _read_tuple_storage),
}
"""For subclasses: what they store is read by the built-in's own methods."""


def shallow_size(value: Any) -> int:
    """Bytes of memory of exactly a built-in, without what it refers to; 0 for anything else."""
    return sys.getsizeof(value) if type(value) in _BUILT_IN else 0
