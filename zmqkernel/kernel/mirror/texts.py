"""Signatures and documentation as the mirror tells them: short, and without what looks secret."""

from __future__ import annotations

from typing import Any

from ..introspection.docstrings import documentation
from ..introspection.signatures import Signature, signature_of
from ..introspection.values import type_name
from .secrets import is_secret_name, is_secret_text

_type_slots: Any = type.__dict__
_module_of = _type_slots["__module__"].__get__

TYPE = 120
SHORTEST_SECRET = 8
"""Characters: ``pwd=1234``."""
DOC = 200
SIGNATURE = 500


def shown(text: str) -> str:
    """``text``, or nothing when it gives a secret away."""
    return "" if len(text) >= SHORTEST_SECRET and is_secret_text(text) else text


def safe_signature(value: Any) -> str:
    """The signature; the default of something secret is not shown."""
    found = signature_of(value)
    if found is None:
        return ""
    told = [one._replace(text=one.name) if is_secret_name(one.name) else one for one in found.parameters]
    return shown(str(Signature(told, found.returns))[:SIGNATURE])


def first_line(value: Any) -> str:
    """The first line of the documentation."""
    return shown(documentation(value).partition("\n")[0].strip()[:DOC])


def library_of(kind: type) -> str:
    """The module of a type, read without running a metaclass of the user's; "" for one that hides it."""
    try:
        module = _module_of(kind)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


def type_text(kind: type) -> str:
    """The name of a type; that of one written in C with its module, too."""
    name, module = type_name(kind), library_of(kind)
    return (name if "." in name or module in ("", "builtins", "__main__") else f"{module}.{name}")[:TYPE]
