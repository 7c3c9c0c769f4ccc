"""The namespace mirror: what is known of the kernel's variables without asking it. docs/reference/mirror.md is the contract.

The kernel describes each name once, packs the description as MessagePack, and sends it on as ``mirror_delta``; the supervisor
keeps these bytes as they are, and clients decode them. So a name is decoded only by who wants to see it.
"""

from __future__ import annotations

import msgspec

DEPTH = 3
"""Attributes and keys are followed so deep: ``a`` is 0 deep, ``a.b["c"].d`` 3."""
LIMIT = 16 * 1024 * 1024
"""Bytes of packed descriptions, names and member tables together."""
PAGE = 1024 * 1024
"""About so many bytes go into one mirror_reply; then ``more`` says that there are others."""


class Entry(msgspec.Struct, omit_defaults=True, eq=True):
    """What is known of one name, attribute or key."""

    kind: str
    """variable, function, class or module."""
    type: str = ""
    """``module.Name``, without the module for built-ins and what a cell defined; empty for something secret."""
    shape: list[int] | None = None
    """Of arrays and tables."""
    length: int | None = None
    """Of containers and texts."""
    dtype: str = ""
    """Of arrays, series and tensors; of a column in ``items``."""
    value: str = ""
    """A short text; empty when making one would run code of the user's."""
    signature: str = ""
    doc: str = ""
    """The first line of the documentation of a function, class or module."""
    size: int = 0
    """Bytes of memory of what is no instance of a class of the user's, without what it refers to; 0: not known."""
    members: str = ""
    """Key into ``types``: the attributes that the class gives it, or the module has."""
    attributes: dict[str, Entry] = {}
    """The instance's own attributes."""
    items: dict[str, Entry] = {}
    """Keys, columns or indices as they are written between brackets: ``'a'``, ``1``, ``('x', 2)``."""
    hidden: bool = False
    """Looks secret: that it exists is all that is told."""
    truncated: bool = False
    """There are more attributes, items or levels than are told."""
    execution: str = ""
    """The msg_id of the execute_request after which the name was first seen bound to this object; only for names."""
    count: int = 0
    """The same, as in ``In[n]``."""
    changed: int = 0
    """``In[n]`` after which it was last seen changed in place; 0: it was not."""
    fingerprint: str = ""
    """Of everything above but ``execution``, ``count`` and ``changed``, and of a sample of an array's data; only for names."""


class Member(msgspec.Struct, omit_defaults=True, array_like=True):
    """What a class or module gives under one name. ``kind``: function, class, module, property or variable."""

    kind: str
    signature: str = ""
    doc: str = ""


class Table(msgspec.Struct, omit_defaults=True):
    """The members of one class or module, told once for all objects that have them."""

    name: str
    members: dict[str, Member]
    truncated: bool = False


class Delta(msgspec.Struct, omit_defaults=True):
    """Content of ``mirror_delta``; its one buffer is a packed :class:`Changes`. Kernel to supervisor, one way, on control.

    ``number`` counts the deltas of this kernel process; ``full``: begin anew with this one; ``more``: others belong to the
    same pass. ``execution`` and ``execution_count`` are of the newest cell whose effects are in.
    """

    number: int
    full: bool = False
    more: bool = False
    truncated: bool = False
    execution: str = ""
    execution_count: int = 0


class Changes(msgspec.Struct, omit_defaults=True):
    """What has changed: packed entries and tables stay packed until somebody looks."""

    changed: dict[str, msgspec.Raw] = {}
    removed: list[str] = []
    types: dict[str, msgspec.Raw] = {}
    types_removed: list[str] = []


class MirrorRequest(msgspec.Struct, omit_defaults=True):
    """What has changed after ``after`` (a version of an earlier reply; 0: everything). Answered by the supervisor, whatever
    the kernel does. ``prefix``: only names that begin so. ``watch``: send ``mirror_changed`` from now on."""

    after: int = 0
    prefix: str = ""
    watch: bool = False


class MirrorReply(msgspec.Struct, omit_defaults=True):
    """Its one buffer is a packed :class:`Changes`. ``full``: forget what was known before.

    ``version`` is what to ask ``after`` next; ``more``: ask at once, this was only a page. ``generation`` is the kernel
    whose names these are; ``stale``: that kernel is dead. ``truncated``: not everything had room.
    """

    version: int
    generation: int
    execution: str = ""
    execution_count: int = 0
    full: bool = False
    more: bool = False
    stale: bool = False
    truncated: bool = False
    status: str = "ok"


class MirrorChanged(msgspec.Struct):
    """One way, to who asked with ``watch``; the parent is that mirror_request. There is something after the last version."""

    version: int


pack = msgspec.msgpack.Encoder().encode
unpack_changes = msgspec.msgpack.Decoder(Changes).decode
unpack_entry = msgspec.msgpack.Decoder(Entry).decode
unpack_table = msgspec.msgpack.Decoder(Table).decode


class Mirror:
    """A client's copy, brought up to date with :meth:`take`. Entries are decoded when they are first asked for."""

    def __init__(self) -> None:
        self.version = 0
        self.generation = 0
        self.execution = ""
        """msg_id of the newest cell whose effects are in."""
        self.execution_count = 0
        self.stale = False
        """The kernel whose names these are is dead."""
        self.truncated = False
        self._names: dict[str, msgspec.Raw | Entry] = {}
        self._types: dict[str, msgspec.Raw | Table] = {}

    def take(self, reply: MirrorReply, changes: Changes) -> None:
        """Take a reply."""
        if reply.full:
            self._names.clear()
            self._types.clear()
        self.version, self.generation, self.stale = reply.version, reply.generation, reply.stale
        self.execution, self.execution_count = reply.execution, reply.execution_count
        self.truncated = reply.truncated
        for name in changes.removed:
            self._names.pop(name, None)
        for key in changes.types_removed:
            self._types.pop(key, None)
        for name, raw in changes.changed.items():
            self._names.pop(name, None)  # what changed last is at the end
            self._names[name] = raw.copy()  # a view into the reply would keep all of it
        self._types.update((key, raw.copy()) for key, raw in changes.types.items())

    def __bool__(self) -> bool:
        return True  # also when there are no names

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def names(self) -> list[str]:
        """All names, the one that changed last at the end."""
        return list(self._names)

    def get(self, name: str) -> Entry | None:
        """What is known of a name."""
        entry = self._names.get(name)
        if isinstance(entry, msgspec.Raw):
            entry = self._names[name] = unpack_entry(entry)
        return entry

    def table(self, key: str) -> Table | None:
        """The members of a class or module; ``key`` is an Entry's ``members``."""
        table = self._types.get(key)
        if isinstance(table, msgspec.Raw):
            table = self._types[key] = unpack_table(table)
        return table

    def entries(self) -> dict[str, Entry]:
        """All of it, decoded."""
        return {name: entry for name in self._names if (entry := self.get(name)) is not None}
