"""Completion: candidates for the place of the cursor."""

from __future__ import annotations

import builtins
import keyword
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...protocol.messages import CompleteReply
from . import modules
from .lookup import (
    DICTS,
    UNKNOWN,
    Found,
    attribute,
    class_dict,
    classes_of,
    data_frame,
    evaluate,
    instance_dict,
    is_class,
    is_module,
    is_routine,
    items_of,
    mro_of,
)
from .signatures import parameters, signature
from .tokens import Place, place_at
from .values import value_text

MOST = 1000
"""Most matches in a reply."""
MOST_SIGNED = 40
"""With more matches than this none gets a signature."""
MOST_KEYS = 5000


class Match(NamedTuple):
    text: str
    kind: str
    value: Any = UNKNOWN
    bound: bool = False


def complete(code: str, cursor_pos: int, namespace: Mapping[str, Any], shell: Any) -> CompleteReply:
    """Answer a complete_request from live objects; ``namespace`` may change meanwhile. Runs no code of the user's."""
    cursor = max(0, min(cursor_pos, len(code)))
    place = place_at(code, cursor)
    found = sorted(_matches(place, code[cursor:], namespace, shell), key=_rank)[:MOST]
    unique = list({match.text: match for match in found}.values())
    start = place.start if unique else cursor
    types = [
        {
            "text": match.text,
            "type": match.kind,
            "start": start,
            "end": cursor,
            "signature": _signature(match) if len(unique) <= MOST_SIGNED else "",
        }
        for match in unique
    ]
    return CompleteReply([match.text for match in unique], start, cursor, {"_jupyter_types_experimental": types})


def _rank(match: Match) -> tuple[bool, bool, bool, str]:
    name = match.text if match.kind != "dict key" else ""  # keys stay in their order
    return match.kind != "param", name.startswith("__"), name.startswith("_"), name


def _matches(place: Place, after: str, namespace: Mapping[str, Any], shell: Any) -> Iterable[Match]:
    match place.kind:
        case "name":
            return _names(place, namespace)
        case "attribute":
            found = evaluate(place.source, namespace)
            return _starting(place.prefix, attributes(found)) if found and not found.is_opaque else []
        case "key":
            found = evaluate(place.source, namespace)
            return _keys(place, after, found) if found and not found.is_opaque else []
        case "import":
            names = modules.submodules(place.source) if place.source else modules.top_level()
            return _starting(place.prefix, (Match(name, "module") for name in names))
        case "from":
            return _starting(place.prefix, _in_module(place.source))
        case "magic":
            return _magics(place, shell)
        case "path":
            return _paths(place)
        case _:
            return []


def _starting(prefix: str, matches: Iterable[Match]) -> list[Match]:
    """Those that go on from ``prefix``; private names only when an underscore was typed."""
    hidden = () if prefix.startswith("_") else ("_",)
    return [match for match in matches if match.text.startswith(prefix) and not match.text.startswith(hidden)]


def _names(place: Place, namespace: Mapping[str, Any]) -> list[Match]:
    names: dict[str, Match] = {
        name: Match(name, "keyword") for name in (*keyword.kwlist, *keyword.softkwlist) if name != "_"
    }
    for scope in (builtins.__dict__, namespace):
        for name in list(scope):
            if type(name) is str and name.startswith(place.prefix):
                value = scope.get(name, UNKNOWN)
                names[name] = Match(name, kind_of(value), value)
    found = _starting(place.prefix, names.values())
    callee = evaluate(place.call, namespace) if place.call else None
    if callee is not None and callee.value is not UNKNOWN:
        given = (Match(f"{name}=", "param") for name in parameters(callee.value, is_bound(callee)))
        found += _starting(place.prefix, given)
    return found


def is_bound(found: Found) -> bool:
    """Was a function found on an instance, so that its first argument is given already?"""
    holder = found.holder
    if holder is None or holder is UNKNOWN or is_class(holder) or is_module(holder):
        return False
    return is_routine(found.value) and type(found.value) is not staticmethod


def attributes(found: Found) -> list[Match]:
    """All attributes that can be seen, by name."""
    if found.value is UNKNOWN:
        classes, own = mro_of(found.type), dict[str, Any]()
    else:
        classes, own = classes_of(found.value), instance_dict(found.value)
    names: dict[str, Match] = {}
    if not is_module(found.value):
        bound = not is_class(found.value)
        for cls in reversed(classes):
            for name, raw in list(class_dict(cls).items()):
                if type(name) is str:
                    names[name] = Match(
                        name, kind_of(raw), raw, bound and is_routine(raw) and type(raw) is not staticmethod
                    )
    names.update({name: Match(name, kind_of(value), value) for name, value in own.items() if name.isidentifier()})
    frame = data_frame(found.value)
    if frame is not None:
        for name in frame.columns_as_text():
            if name.isidentifier() and not keyword.iskeyword(name):
                names.setdefault(name, Match(name, "instance"))
    return list(names.values())


def _keys(place: Place, after: str, found: Found) -> list[Match]:
    keys = _keys_of(found.value)
    result: list[Match] = []
    for key in keys:
        if place.quote:
            text = _inside_quotes(key, place.quote) if type(key) is str else None
            if text is not None and text.startswith(place.prefix):
                result.append(Match(text + _closing(after, place.quote), "dict key"))
        elif text := value_text(key, 1000):
            result.append(Match(text + _closing(after, ""), "dict key"))
    return result


def _keys_of(value: Any) -> list[Any]:
    if type(value) in DICTS:
        return [key for key, _ in zip((key for key, _ in items_of(value)), range(MOST_KEYS), strict=False)]
    frame = data_frame(value)
    if frame is not None:
        return frame.columns_as_text(MOST_KEYS)
    fields = attribute(attribute(value, "dtype"), "names")  # of a structured numpy array
    return list(fields) if type(fields) is tuple else []


def _inside_quotes(key: str, quote: str) -> str:
    """``key`` as it is written between these quotes."""
    # With both quotes in it, repr() escapes the single one.
    text = repr(key + "'\"")[1:-4]
    return text if quote == "'" else text.replace("\\'", "'").replace('"', '\\"')


def _closing(after: str, quote: str) -> str:
    if quote and after.startswith(quote):
        return ""
    return quote if after.startswith("]") else f"{quote}]"


def _in_module(module: str) -> list[Match]:
    if module.startswith("."):
        return []  # relative to a package: a cell is in none
    names = {name: Match(name, "module") for name in modules.submodules(module)}
    for name in modules.members(module):
        names[name] = Match(name, "instance")
    return list(names.values())


def _magics(place: Place, shell: Any) -> list[Match]:
    if shell is None:
        return []
    known: Mapping[str, Mapping[str, Any]] = shell.magics_manager.lsmagic()
    kind = "cell" if place.source == "%%" else "line"
    return [Match(name, "magic") for name in list(known[kind]) if name.startswith(place.prefix)]


def _paths(place: Place) -> list[Match]:
    """Files that go on from what was typed; the match is the whole string."""
    folder, _, name = place.prefix.rpartition("/")
    shown = place.prefix[: len(place.prefix) - len(name)]
    try:
        with os.scandir(os.path.expanduser(shown) or ".") as entries:
            found = [entry for entry in entries if entry.name.startswith(name) and (name or entry.name[0] != ".")][
                :MOST
            ]
            del folder
            return [Match(f"{shown}{entry.name}{'/' if entry.is_dir() else ''}", "path") for entry in found]
    except (OSError, ValueError):
        return []  # no such folder, or a string that is no path


def kind_of(value: Any) -> str:
    """The word for ``type`` in ``_jupyter_types_experimental``."""
    if is_routine(value):
        return "function"
    if type(value) is property:
        return "property"
    if is_class(value):
        return "class"
    return "module" if is_module(value) else "instance"


def _signature(match: Match) -> str:
    if match.value is UNKNOWN or match.kind not in ("function", "class"):
        return ""
    return signature(match.value, match.bound)
