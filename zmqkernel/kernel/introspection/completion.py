"""Completion: candidates for the place of the cursor."""

from __future__ import annotations

import builtins
import keyword
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...protocol.messages import CompleteReply
from . import adapters, magics, modules
from .arguments import in_string, keywords
from .expressions import Found
from .keys import Answer, Key, keys_at, written
from .lookup import (
    UNKNOWN,
    class_dict,
    instance_dict,
    is_class,
    is_module,
    is_plain_key,
    is_routine,
    keys_in,
    mro_of,
    values_at,
)
from .matches import JUPYTER_TYPES, Match, described, kind_of, signature_of, starting
from .paths import paths_at
from .places import Place, place_at, place_of_code
from .scope import Scope, answered

MOST_SIGNED = 40
"""With more matches than this none gets a signature."""
MOST_DESCRIBED = 300
"""With more matches than this none says its type."""
IN_ORDER = ("key", "column", "parameter")
"""What stays in the order in which it was found."""
KEYWORDS = tuple(name for name in (*keyword.kwlist, *keyword.softkwlist) if name != "_")


def complete(
    code: str, cursor_pos: int, namespace: Mapping[str, Any], shell: Any, policy: str = "safe"
) -> CompleteReply:
    """Answer a complete_request from live objects; ``namespace`` may change meanwhile.

    ``policy`` ``safe`` runs no code of the user's, ``evaluate`` runs properties and ``__getitem__`` on the way, never a call.
    """
    cursor = max(0, min(cursor_pos, len(code)))
    return answered(Scope(namespace, shell, policy), lambda scope: _reply(code, cursor, scope))


def _reply(code: str, cursor: int, scope: Scope) -> CompleteReply:
    place = place_at(code, cursor)
    answer = _answer(place, code, cursor, scope)
    unique = list({match.text: match for match in sorted(answer.matches, key=_rank)}.values())
    matches = scope.budget.cut(unique)
    start, end = (place.start, cursor + answer.replaced) if matches else (cursor, cursor)
    types: list[dict[str, Any]] = []
    items: list[dict[str, str]] = []
    for match in matches:
        sign = signature_of(match) if len(matches) <= MOST_SIGNED and not scope.budget.is_spent() else ""
        kind, detail = described(match) if len(matches) <= MOST_DESCRIBED else ("", "")
        shown = JUPYTER_TYPES.get(match.kind, match.kind)
        types.append({"text": match.text, "type": shown, "start": start, "end": end, "signature": sign})
        item = {"text": match.text, "kind": match.kind, "type": kind, "detail": sign or detail, "source": "live"}
        if match.label:
            item["label"] = match.label
        items.append(item)
    ours = {"items": items, "incomplete": scope.budget.incomplete}
    metadata = {"_jupyter_types_experimental": types, "zmqkernel": ours}
    return CompleteReply([match.text for match in matches], start, end, metadata)


def _rank(match: Match) -> tuple[bool, bool, bool, str]:
    name = match.text if match.kind not in IN_ORDER else ""
    return match.kind != "parameter", name.startswith("__"), name.startswith("_"), name


def _answer(place: Place, code: str, cursor: int, scope: Scope) -> Answer:
    match place.kind:
        case "attribute":
            found = scope.find(place.source)
            return Answer(attributes(found, scope, place.prefix) if found and not found.is_opaque else [])
        case "key":
            return _keys(place, code, cursor, scope)
        case "string":
            return in_string(place, code, cursor, scope)
        case "path":
            return Answer(paths_at(place.prefix, scope.budget))
        case "magic argument":
            found = magics.arguments_at(place, scope)
            return (
                Answer(found) if found is not None else _answer(place_of_code(place, code, cursor), code, cursor, scope)
            )
        case _:
            return Answer(_named(place, scope))


def _named(place: Place, scope: Scope) -> list[Match]:
    match place.kind:
        case "name":
            return _names(place, scope)
        case "import":
            names = modules.submodules(place.source) if place.source else modules.top_level()
            return starting(place.prefix, (Match(name, "module") for name in names))
        case "from":
            return starting(place.prefix, _in_module(place.source))
        case "magic":
            return magics.magics_at(place, scope)
        case _:
            return []


def _names(place: Place, scope: Scope) -> list[Match]:
    prefix = place.prefix
    own = list(filter(_visible(prefix), keys_in(scope.namespace, sys.maxsize)))
    others = {*filter(_visible(prefix), (*KEYWORDS, *list(builtins.__dict__)))} - {*own}
    names = scope.budget.cut(sorted(own) + sorted(others))  # when there are too many, the user's own stay
    return starting(prefix, keywords(place, scope)) + _bound(names, scope)


def _visible(prefix: str) -> Callable[[str], bool]:
    """Does a name go on from ``prefix``? Private ones only when an underscore was typed. Fast: a namespace may be large."""
    if prefix:
        return operator.methodcaller("startswith", prefix)
    return lambda name: name[:1] != "_"


def _bound(names: list[str], scope: Scope) -> list[Match]:
    """Names with what they are bound to now."""
    found: list[Match] = []
    spaces = (scope.namespace, builtins.__dict__)
    values = zip(names, *(values_at(space, names) for space in spaces), strict=True)
    for name, *bound in scope.budget.within(values):
        value = next((value for value in bound if value is not UNKNOWN), UNKNOWN)
        if value is not UNKNOWN:
            found.append(Match(name, kind_of(value), value))
        elif name in KEYWORDS:
            found.append(Match(name, "keyword"))
    return found


def attributes(found: Found, scope: Scope, prefix: str = "") -> list[Match]:
    """The attributes that can be seen and go on from ``prefix``; private ones only when an underscore was typed."""
    names: dict[str, Match] = {}
    hidden = () if prefix.startswith("_") else ("_",)

    def fits(name: str) -> bool:
        return name.startswith(prefix) and not name.startswith(hidden)

    is_type = is_class(found.value)
    if not is_module(found.value):
        for cls in reversed(mro_of(found.value) if is_type else mro_of(found.type)):
            for name, raw in scope.budget.within(list(class_dict(cls).items())):
                if type(name) is str and fits(name):
                    names[name] = Match(name, kind_of(raw), raw, not is_type and is_routine(raw))
    own = instance_dict(found.value)
    names.update(
        {name: Match(name, kind_of(value), value) for name, value in own.items() if fits(name) and name.isidentifier()}
    )
    for name, child in adapters.children_of(found.value).items():
        if fits(name) and name.isidentifier():
            names.setdefault(name, Match(name, kind_of(child), child))
    if adapters.has_column_attributes(found.type):
        for name in adapters.columns_of(found.like) or ():
            if type(name) is str and fits(name) and name.isidentifier() and not keyword.iskeyword(name):
                names.setdefault(name, Match(name, "column"))
    for name in filter(fits, scope.more_names(found)):
        names.setdefault(name, Match(name, "variable"))
    return list(names.values())


def _keys(place: Place, code: str, cursor: int, scope: Scope) -> Answer:
    found = scope.find(place.source)
    if found is None or found.is_opaque:
        return Answer([])
    answer = keys_at(place, code, cursor, found, scope.budget)
    more = [] if answer.matches else [key for key in scope.more_keys(found) if is_plain_key(key)]
    if more:
        return written(place, code, cursor, (Key(key, "key") for key in more), "]", scope.budget)
    return answer


def _in_module(module: str) -> Iterable[Match]:
    if module.startswith("."):
        return []  # relative to a package: a cell is in none
    names = {name: Match(name, "module") for name in modules.submodules(module)}
    for name, value in modules.members(module).items():
        names[name] = Match(name, "variable") if value is None else Match(name, kind_of(value), value)
    return names.values()
