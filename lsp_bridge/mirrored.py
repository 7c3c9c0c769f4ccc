"""What the mirror of a session's names says about an expression: completions, arguments, hover, signature. Nobody is asked."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence

from zmqkernel.protocol.mirror import Entry, Member, Mirror

from .keys import value_of
from .merge import MOST, Item
from .place import Step

SHOWN = 60
"""Characters of a value in a list."""


def complete(mirror: Mirror, steps: Sequence[Step], kind: str, prefix: str, seen: frozenset[str]) -> list[Item]:
    """Names (``kind`` is name), attributes or keys that go on from ``prefix``.

    Of more names than are shown those come first that are in ``seen``: entries are decoded only when somebody sees them.
    """
    if kind == "name":
        typed = prefix.casefold()
        names = [name for name in mirror.names() if name.casefold().startswith(typed) and (prefix or name[0] != "_")]
        if len(names) > MOST:
            names = sorted(names, key=lambda name: (name not in seen, name))[: MOST + 1]
        entries = ((name, mirror.get(name)) for name in names)
        return [_item(mirror, name, entry) for name, entry in entries if entry]
    entry = entry_at(mirror, steps)
    if entry is None or entry.hidden:
        return []
    return list(_keys(mirror, entry) if kind == "key" else _attributes(mirror, entry))


def parameters(mirror: Mirror, steps: Sequence[Step]) -> list[Item]:
    """Keyword arguments of what is called."""
    names = [one.split("=")[0].split(":")[0].strip() for one in parts_of(signature(mirror, steps)[0])]
    count = mirror.execution_count
    return [
        Item(f"{name}=", "parameter", source="mirror", as_of=count)
        for name in names
        if name.isidentifier() and name not in ("self", "cls")
    ]


def signature(mirror: Mirror, steps: Sequence[Step]) -> tuple[str, str]:
    """The signature of what an expression means, and the first line of its documentation; empty when it is not known."""
    found = entry_at(mirror, steps) or member_at(mirror, steps)
    return (found.signature, found.doc) if found else ("", "")


def hover(mirror: Mirror, steps: Sequence[Step]) -> str | None:
    """Markdown about what an expression meant after the newest execution that the mirror knows."""
    name = steps[-1].value
    entry = entry_at(mirror, steps)
    if entry is None:
        member = member_at(mirror, steps)
        if member is None:
            return None
        return _text(f"{name}{member.signature}" if member.signature else str(name), f"*{member.kind}*", member.doc)
    if entry.hidden:
        return _text(str(name), "*not shown: its name looks secret*")
    said = described(entry)
    code = f"{name}{entry.signature}" if entry.signature else f"{name} = {entry.value}" if entry.value else str(name)
    facts = [f"*{said}*" if said else "", _listed(entry), entry.doc]
    if entry.count and len(steps) == 1:
        facts.append(f"bound by [{entry.count}]" + (f", changed by [{entry.changed}]" if entry.changed else ""))
    return _text(code, *facts)


def described(entry: Entry) -> str:
    """A few words: type, size, dtype."""
    short = entry.type.rpartition(".")[2]
    if entry.shape is not None:
        size = "×".join(map(str, entry.shape))
    else:
        size = "" if entry.length is None else str(entry.length)
    return " ".join(filter(None, [short, size, entry.dtype]))


def entry_at(mirror: Mirror, steps: Sequence[Step]) -> Entry | None:
    """The entry of an expression, None where the mirror does not reach."""
    entry = mirror.get(str(steps[0].value)) if steps and steps[0].kind == "name" else None
    for step in steps[1:]:
        if entry is None:
            return None
        if step.kind == "key":
            entry = entry.items.get(repr(step.value))
        else:
            columns = entry.items if _has_column_attributes(entry) else {}
            entry = entry.attributes.get(step.value) or columns.get(repr(step.value))
    return entry


def member_at(mirror: Mirror, steps: Sequence[Step]) -> Member | None:
    """What the class of the expression before the last dot, or the module, gives under that name."""
    if len(steps) < 2 or steps[-1].kind != "attribute":
        return None
    owner = entry_at(mirror, steps[:-1])
    table = mirror.table(owner.members) if owner else None
    return table.members.get(steps[-1].value) if table else None


def _attributes(mirror: Mirror, entry: Entry) -> Iterator[Item]:
    count = mirror.execution_count
    if _has_column_attributes(entry):
        for literal, column in entry.items.items():
            name = value_of(literal)
            if isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name):
                yield Item(name, "column", described(column), "mirror", count)
    for name, attribute in entry.attributes.items():
        item = _item(mirror, name, attribute)
        item.own = True
        yield item
    table = mirror.table(entry.members)
    if table:
        for name, member in table.members.items():
            yield Item(name, member.kind, member.signature[:SHOWN], "mirror", count, member.doc)


def _keys(mirror: Mirror, entry: Entry) -> Iterator[Item]:
    kind = "column" if entry.shape is not None else "key"
    for literal, item in entry.items.items():
        key = value_of(literal)
        if key is not None:
            yield Item(literal, kind, described(item), "mirror", mirror.execution_count, ref=key)


def _item(mirror: Mirror, name: str, entry: Entry) -> Item:
    said = entry.signature[:SHOWN] if entry.kind in ("function", "class") else described(entry)
    if entry.value and entry.length is None and entry.shape is None:
        said = f"{said} {entry.value}"[:SHOWN]
    return Item(name, entry.kind, said, "mirror", mirror.execution_count, entry.doc)


def _has_column_attributes(entry: Entry) -> bool:
    return entry.type.startswith("pandas.") and entry.type.endswith(".DataFrame")


def _listed(entry: Entry) -> str:
    """The first keys or columns."""
    if not entry.items:
        return ""
    names = list(entry.items)[:20]
    more = ", …" if len(entry.items) > len(names) or entry.truncated else ""
    return f"{'columns' if entry.shape is not None else 'keys'}: " + ", ".join(f"`{name}`" for name in names) + more


def _text(code: str, *facts: str) -> str:
    return "\n\n".join([f"```python\n{code}\n```", *filter(None, facts)])


def parts_of(text: str) -> list[str]:
    """The parameters of a signature, ``(a, b=(1, 2))``, each as it is written."""
    start, end = text.find("("), text.rfind(")")
    parts, depth, part = list[str](), 0, ""
    for char in text[start + 1 : end] if 0 <= start < end else "":
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += char
    return [*parts, part.strip()] if part.strip() else parts
