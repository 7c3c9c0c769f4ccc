"""From an object to an Entry and the witness for it, in one walk, so that both tell of the same moment."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from ...protocol.mirror import DEPTH, Entry
from ..introspection.lookup import class_attribute, is_class, is_module, is_routine, mro_of
from ..introspection.values import value_text
from .adapters import adapter_of, label_text
from .secrets import is_secret_key, is_secret_name, is_secret_text
from .tables import Tables
from .texts import first_line, safe_signature, shown, type_text
from .witness import (
    ABSENT,
    DICTIONARY,
    ITEMS,
    KEYS,
    Parts,
    View,
    Witness,
    is_small,
    own_names,
    read_slot,
    shallow_size,
    view_of,
    witness_of,
)

ENTRIES = 400
"""Attributes, keys and items of one name, at all depths together."""
NESTED = 3
"""Items of a sequence that are looked into: a list of records needs no more to be understood."""
TEXT = 120
"""Characters of a value; of a value inside another INNER."""
INNER = 40

_BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
_LENGTHS = frozenset({*_BRACKETS, deque})


class Description:
    """Describes one name; ``used`` are the member tables that its entries refer to."""

    def __init__(self, tables: Tables) -> None:
        self.used: set[str] = set()
        self._tables = tables
        self._room = ENTRIES

    def look(self, value: Any, depth: int = 0) -> tuple[Entry, Witness | None]:
        """What ``value`` is. The witness is None for what never changes."""
        kind = type(value)
        if is_small(value):
            return self._atom(value), None
        view = view_of(value)
        entry = Entry(_kind_of(value), type_text(kind), size=shallow_size(value))
        entry.members = self._members(value)
        children: list[tuple[int, Witness]] = []
        parts, mark = view.read(value)
        match view.sort:
            case "dict":
                parts = self._keys(entry, value, 0, children, depth)
            case "sequence":
                self._sequence(entry, value, parts, 0, children, depth)
            case "instance":
                parts = self._instance(entry, value, view, children, depth)
            case "adapted":
                adapter = adapter_of(kind)
                if adapter is not None:
                    adapter.fill(value, entry)
            case "text":
                entry.length = len(value) if kind is not int else None
                entry.value = shown(value_text(value, TEXT))
            case "opaque":
                entry.value = shown(value_text(value, TEXT))
            case _:
                self._definition(entry, value)
        _hide(entry)
        return entry, witness_of(value, view, (parts, mark), children)

    def _atom(self, value: Any) -> Entry:
        kind = type(value)
        length = len(value) if kind in (str, bytes) else None
        entry = Entry("variable", kind.__name__, length=length, value=shown(value_text(value, TEXT)))
        entry.members = self._members(value)
        entry.size = shallow_size(value)
        return entry

    def _members(self, value: Any) -> str:
        key = self._tables.key_of(value if is_class(value) or is_module(value) else type(value))
        if key:
            self.used.add(key)
        return key

    # --- what has something in it ------------------------------------------------------------------------------------

    def _child(self, value: Any, at: int, children: list[tuple[int, Witness]], depth: int) -> Entry:
        self._room -= 1
        if depth >= DEPTH or self._room <= 0:
            return self._leaf(value)
        entry, witness = self.look(value, depth + 1)
        if witness is not None:
            children.append((at, witness))
        return entry

    def _leaf(self, value: Any) -> Entry:
        """Of what is too deep or too much: nothing that could change."""
        if is_small(value):
            return self._atom(value)
        return Entry(_kind_of(value), type_text(type(value)), truncated=True)

    def _keys(self, entry: Entry, value: Any, start: int, children: list[tuple[int, Witness]], depth: int) -> list[Any]:
        """The keys of a dictionary, whose parts begin at ``start`` among those of the whole; returns these parts."""
        pairs = list(islice(dict.items(value), KEYS))
        entry.length = dict.__len__(value)
        entry.truncated = entry.truncated or entry.length > len(pairs)
        texts: list[str] = []
        for number, (key, item) in enumerate(pairs):
            text = label_text(key)
            if not text or depth >= DEPTH:
                entry.truncated = True
                texts.append(f"{text or brief(key)}: ...")
                continue
            if is_secret_key(key):
                child = Entry("variable", hidden=True)
            else:
                child = self._child(item, start + len(pairs) + number, children, depth)
            if not is_secret_text(text):
                entry.items[text] = child
                texts.append(f"{text}: {_inside(child)}")
        entry.value = _joined("{}", texts, entry.length)
        return [key for key, _ in pairs] + [item for _, item in pairs]

    def _sequence(
        self, entry: Entry, value: Any, parts: Parts, start: int, children: list[tuple[int, Witness]], depth: int
    ) -> None:
        """The items of a list, tuple, set or deque."""
        entry.length = max(len(parts), len(value) if start == 0 and type(value) in _LENGTHS else len(parts))
        brackets = _BRACKETS.get(type(value), "[]")
        texts: list[str] = []
        for at, item in enumerate(parts):
            if is_small(item):
                texts.append(shown(value_text(item, INNER)) or "...")
            elif at < NESTED and depth < DEPTH and self._room > 0:
                child = self._child(item, start + at, children, depth)
                texts.append(_inside(child))
                if brackets != "{}":
                    entry.items[str(at)] = child
            else:
                texts.append(brief(item))
        entry.truncated = entry.truncated or depth >= DEPTH
        comma = "," if brackets == "()" and entry.length == 1 else ""
        entry.value = _joined(brackets, texts, entry.length, comma)

    def _instance(
        self, entry: Entry, value: Any, view: View, children: list[tuple[int, Witness]], depth: int
    ) -> list[Any]:
        """The attributes of an instance, and what its class stores as a dict, list or tuple."""
        parts: list[Any] = [read_slot(descriptor, value) for descriptor in view.slots.values()]
        pairs: list[tuple[Any, Any]] = []
        names = own_names(view.own, value)
        if names is not None:
            pairs = list(islice(dict.items(names), KEYS))
            entry.truncated = dict.__len__(names) > len(pairs)
        found = [(name, part, at) for at, (name, part) in enumerate(zip(view.slots, parts, strict=True))]
        first = len(parts) + len(pairs)
        found += [(name, item, first + number) for number, (name, item) in enumerate(pairs)]
        parts += [name for name, _ in pairs]
        parts += [item for _, item in pairs]
        if depth >= DEPTH:
            entry.truncated = entry.truncated or bool(found)
        else:
            for name, item, at in found:
                if type(name) is str and item is not ABSENT:
                    self._attribute(entry, name, item, at, children, depth)
        if view.storage is DICTIONARY:
            parts += self._keys(entry, value, len(parts), children, depth)
        elif view.storage is not None:
            stored, length = view.storage.read(value)
            self._sequence(entry, value, stored, len(parts), children, depth)
            entry.length = length
            parts += stored
            self._fields(entry, type(value), stored)
        else:
            self._modules(entry, value, dict(pairs), depth)
        return parts

    def _attribute(
        self, entry: Entry, name: str, item: Any, at: int, children: list[tuple[int, Witness]], depth: int
    ) -> None:
        if is_secret_name(name):
            entry.attributes[name] = Entry("variable", hidden=True)
        else:
            entry.attributes[name] = self._child(item, at, children, depth)

    def _fields(self, entry: Entry, kind: type, stored: Parts) -> None:
        """A named tuple's items by name."""
        fields = class_attribute(mro_of(kind), "_fields")
        if type(fields) is not tuple:
            return
        for at, (name, item) in enumerate(zip(fields, stored, strict=False)):
            if type(name) is str:
                secret = is_secret_name(name)
                known = Entry("variable", hidden=True) if secret else entry.items.get(str(at)) or self._leaf(item)
                entry.attributes[name] = known
                if secret:
                    entry.items.pop(str(at), None)
        entry.value = _joined("()", [f"{name}={_inside(one)}" for name, one in entry.attributes.items()], len(stored))

    def _modules(self, entry: Entry, value: Any, own: dict[Any, Any], depth: int) -> None:
        """The children that a torch-like module keeps in dictionaries of its own, and gives as attributes."""
        if depth >= DEPTH or "_modules" not in own or "_parameters" not in own:
            return
        for holder in ("_parameters", "_buffers", "_modules"):
            kept = own.get(holder)
            if type(kept) is dict:
                for name, item in islice(dict.items(kept), KEYS):
                    if type(name) is str and name not in entry.attributes:
                        entry.attributes[name] = self._leaf(item)
        del value

    # --- functions, classes, modules ---------------------------------------------------------------------------------

    def _definition(self, entry: Entry, value: Any) -> None:
        if not is_module(value):
            entry.signature = safe_signature(value)
        entry.doc = first_line(value)
        entry.value = shown(value_text(value, TEXT))


def _kind_of(value: Any) -> str:
    if is_module(value):
        return "module"
    if is_class(value):
        return "class"
    return "function" if is_routine(value) else "variable"


def brief(value: Any) -> str:
    """A value inside another, of which only the type is told."""
    brackets = _BRACKETS.get(type(value)) or ("{}" if type(value) is dict else "")
    return f"{brackets[0]}...{brackets[1]}" if brackets else f"<{type_text(type(value))[:INNER]}>"


def _inside(child: Entry) -> str:
    if child.hidden:
        return "..."
    text = child.value
    if not text or len(text) > INNER:
        text = text[: INNER - 3] + "..." if text[:1] in "'\"" and text else f"<{child.type}>"
    return text


def _joined(brackets: str, texts: list[str], length: int, comma: str = "") -> str:
    """A container's text, cut between items."""
    used, shown_texts = 0, list[str]()
    for text in texts[:ITEMS]:
        used += len(text) + 2
        if used > TEXT and shown_texts:
            break
        shown_texts.append(text)
    rest = ", ..." if len(shown_texts) < length else comma
    return shown(f"{brackets[0]}{', '.join(shown_texts)}{rest}{brackets[1]}")


def _hide(entry: Entry) -> None:
    """The last look: a text that several innocent ones were put together to."""
    if entry.value and is_secret_text(entry.value):
        entry.value = ""
