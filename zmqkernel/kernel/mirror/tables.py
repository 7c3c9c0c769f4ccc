"""Member tables: what a class or a module gives its objects, told once."""

from __future__ import annotations

from collections.abc import Iterator, Set
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from ...protocol.mirror import Member, Table, pack
from ..introspection.lookup import (
    class_dict,
    instance_dict,
    is_class,
    is_descriptor,
    is_module,
    is_routine,
    mro_of,
)
from .secrets import is_secret_name
from .texts import first_line, safe_signature, type_text

MEMBERS = 1000
"""Members of one table."""
SIGNATURE = 200
DOC = 120
STEP = 16
"""Members that are described before others may have their turn."""


class Tables:
    """The tables that are in use. A table that no name refers to any more is dropped."""

    def __init__(self) -> None:
        self._keys: dict[int, str] = {}
        self._owners: dict[str, Any] = {}
        self._uses: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._watched: dict[str, Any] = {}
        self.size = 0
        """Bytes of all packed tables."""

    def key_of(self, owner: Any) -> str:
        """The key of a class or module; the object is kept until nothing refers to its table."""
        key = self._keys.get(id(owner))
        if key is None:
            key = name = _name(owner)
            number = 1
            while key in self._owners:
                number += 1
                key = f"{name}#{number}"
            self._keys[id(owner)] = key
            self._owners[key] = owner
            self._uses[key] = 0
        return key

    def use(self, added: Set[str], dropped: Set[str]) -> list[str]:
        """Count references; returns the keys of tables that were told and that nobody refers to any more."""
        for key in added:
            self._uses[key] += 1
        gone: list[str] = []
        for key in dropped:
            self._uses[key] -= 1
        for key in dropped:
            if key in self._uses and self._uses[key] <= 0:
                if key in self._sent:
                    gone.append(key)
                self._forget(key)
        return gone

    def _forget(self, key: str) -> None:
        self._keys.pop(id(self._owners.pop(key)), None)
        del self._uses[key]
        self._watched.pop(key, None)
        self.size -= self._sent.pop(key, 0)

    def sweep(self) -> None:
        """Drop what was looked at and is not referred to: descriptions that were thrown away."""
        for key in [key for key, count in self._uses.items() if count <= 0]:
            self._forget(key)

    def untold(self) -> list[str]:
        """Keys of tables that are referred to and were not told, or that have changed since."""
        changed = [key for key, mark in self._watched.items() if key in self._sent and mark != _mark(self._owners[key])]
        return changed + [key for key, count in self._uses.items() if count > 0 and key not in self._sent]

    def reset(self) -> None:
        """Nobody has any table."""
        self._sent.clear()
        self.size = 0

    def build(self, key: str, room: int) -> Iterator[bytes | None]:
        """Describe one table in steps: None after each, its bytes at the end. ``room``: without members if it is larger."""
        owner = self._owners[key]
        if is_watched(owner):
            self._watched[key] = _mark(owner)
        members: dict[str, Member] = {}
        names = _module_members(owner) if is_module(owner) else _class_members(owner)
        truncated = len(names) > MEMBERS
        for number, (name, raw) in enumerate(list(names.items())[:MEMBERS]):
            members[name] = _member(name, raw, is_module(owner))
            if number % STEP == STEP - 1:
                yield None
        packed = _packed(Table(_name(owner), members, truncated))
        if len(packed) > room:
            packed = _packed(Table(_name(owner), {}, truncated=True))
        self.size += len(packed) - self._sent.get(key, 0)
        self._sent[key] = len(packed)
        yield packed


def _packed(table: Table) -> bytes:
    try:
        return pack(table)
    except UnicodeEncodeError:
        return pack(Table("?", {}, truncated=True))  # a lone surrogate in somebody's name or documentation


def _name(owner: Any) -> str:
    if is_module(owner):
        name = instance_dict(owner).get("__name__")
        return f"module {name if type(name) is str else '?'}"
    return type_text(owner)


def is_watched(owner: Any) -> bool:
    """A module, or a class that has to do with one of a cell: its members may change. Those of other classes do not."""
    return is_module(owner) or any(class_dict(cls).get("__module__") == "__main__" for cls in mro_of(owner))


def _mark(owner: Any) -> Any:
    if is_module(owner):
        return len(_module_dict(owner))
    own = [class_dict(cls) for cls in mro_of(owner) if class_dict(cls).get("__module__") == "__main__"]
    return [list(map(id, names.values())) for names in own]


_module_slots: Any = ModuleType.__dict__
_module_dict = _module_slots["__dict__"].__get__


def _class_members(cls: type) -> dict[str, Any]:
    """Public members by name, and those with an underscore of the user's own classes."""
    found: dict[str, Any] = {}
    for one in mro_of(cls):
        own = class_dict(one).get("__module__") == "__main__"
        for name, raw in list(class_dict(one).items()):
            if type(name) is str and (not name.startswith("_") or (own and not name.startswith("__"))):
                found.setdefault(name, raw)
    return dict(sorted(found.items()))


def _module_members(module: Any) -> dict[str, Any]:
    return {name: raw for name, raw in sorted(instance_dict(module).items()) if not name.startswith("_")}


def _member(name: str, raw: Any, in_module: bool) -> Member:
    if is_secret_name(name) and not (is_routine(raw) or is_class(raw) or is_module(raw)):
        return Member("variable")
    try:
        if is_module(raw):
            return Member("module")
        if type(raw) in (FunctionType, BuiltinFunctionType) or is_class(raw) or is_routine(raw):
            bound = not in_module and not is_class(raw) and type(raw) is not staticmethod
            text = safe_signature(raw)
            if bound and type(raw) is FunctionType:
                text = text.replace("(self, ", "(", 1).replace("(self)", "()", 1)
            return Member("class" if is_class(raw) else "function", text[:SIGNATURE], first_line(raw)[:DOC])
        if not in_module and (type(raw) is property or is_descriptor(raw)):
            return Member("property", "", first_line(raw)[:DOC])
    except Exception:  # noqa: BLE001 - an odd object of some library costs its own text, not the table
        return Member("variable")
    return Member("variable")
