"""Signatures, read from code objects and text signatures; ``inspect.signature`` would run users' hooks."""

from __future__ import annotations

import ast
import inspect
import re
from types import CodeType
from typing import Any, NamedTuple

from .docstrings import documentation
from .lookup import UNKNOWN, class_attribute, class_dict, is_class, mro_of, name_of, names_in, value_in
from .targets import Target, has_annotations, target_of
from .values import value_text

_GIVEN = re.compile(r"\$\w+(, /(?=,|\)))?(, )?")
LONGEST = 2000
"""Characters of a docstring's first line that are looked at for a signature."""


class Parameter(NamedTuple):
    """One parameter; ``kind`` as inspect.Parameter has it, ``text`` as it is shown in the signature."""

    name: str
    text: str
    kind: int

    @property
    def is_keyword(self) -> bool:
        """May it be given by name?"""
        return self.kind in (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY)


POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = map(
    int,
    (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    ),
)


class Signature(NamedTuple):
    """Parameters without those that are given already, and what is returned ("" when that is not said)."""

    parameters: list[Parameter]
    returns: str = ""

    def __str__(self) -> str:
        shown: list[str] = []
        is_starred = False
        for at, parameter in enumerate(self.parameters):
            if parameter.kind == KEYWORD_ONLY and not is_starred:
                shown.append("*")
            is_starred = is_starred or parameter.kind in (VAR_POSITIONAL, KEYWORD_ONLY)
            shown.append(parameter.text)
            following = self.parameters[at + 1].kind if at + 1 < len(self.parameters) else KEYWORD_ONLY
            if parameter.kind == POSITIONAL_ONLY != following:
                shown.append("/")
        return f"({', '.join(shown)})" + (f" -> {self.returns}" if self.returns else "")


def signature_of(value: Any, bound: bool = False) -> Signature | None:
    """The signature of a call, None when it cannot be seen. ``bound``: ``value`` was found on an instance."""
    target = target_of(value, bound)
    if target is None:
        # numpy's ufuncs and other things in C that are no function for Python
        return _from_documentation(value) if _is_from_c(value) else None
    if target.function is not None:
        found = _of_function(target.function)
    elif is_class(target.value):
        found = _of_class(target.value)
    else:
        found = _from_text(_text_of(target.value)) or _from_documentation(target.value)
    return found and _without_given(found, target)


def signature(value: Any, bound: bool = False) -> str:
    """``(a, b=1, *args)``, or "" when it cannot be seen. Defaults that are no plain values are shown as ``...``."""
    found = signature_of(value, bound)
    return "" if found is None else str(found)


def parameters(value: Any, bound: bool = False) -> list[str]:
    """Names that may be given as keywords to a call of ``value``; ``bound`` leaves out the first."""
    found = signature_of(value, bound)
    return [] if found is None else [parameter.name for parameter in found.parameters if parameter.is_keyword]


def _without_given(found: Signature, target: Target) -> Signature:
    left, given = list[Parameter](), target.given
    for parameter in found.parameters:
        if given and parameter.kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD) and target.function is not None:
            given -= 1
        elif parameter.name in target.named and parameter.is_keyword:
            # What a partial has by name may be given again, and what follows only by name.
            left.append(parameter._replace(kind=KEYWORD_ONLY))
        else:
            behind_named = bool(left) and left[-1].kind == KEYWORD_ONLY and parameter.kind == POSITIONAL_OR_KEYWORD
            left.append(parameter._replace(kind=KEYWORD_ONLY) if behind_named else parameter)
    return Signature(left, found.returns)


# --- Python functions -------------------------------------------------------------------------------------------------


def _of_function(function: Any) -> Signature:
    code: CodeType = function.__code__
    names, positional = code.co_varnames, code.co_argcount
    rest = positional + code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    by_name = names_in(function.__kwdefaults__ or {})
    annotations = function.__annotations__ if has_annotations(function) else {}
    found: list[Parameter] = []
    for at in range(positional):
        given = at - (positional - len(defaults))
        kind = POSITIONAL_ONLY if at < code.co_posonlyargcount else POSITIONAL_OR_KEYWORD
        default = defaults[given] if given >= 0 else UNKNOWN
        found.append(Parameter(names[at], _parameter(annotations, names[at], default), kind))
    if code.co_flags & inspect.CO_VARARGS:
        found.append(Parameter(names[rest], f"*{_parameter(annotations, names[rest], UNKNOWN)}", VAR_POSITIONAL))
        rest += 1
    for name in names[positional : positional + code.co_kwonlyargcount]:
        found.append(Parameter(name, _parameter(annotations, name, by_name.get(name, UNKNOWN)), KEYWORD_ONLY))
    if code.co_flags & inspect.CO_VARKEYWORDS:
        found.append(Parameter(names[rest], f"**{_parameter(annotations, names[rest], UNKNOWN)}", VAR_KEYWORD))
    return Signature(found, _annotation(annotations, "return"))


def _parameter(annotations: Any, name: str, default: Any) -> str:
    annotation = _annotation(annotations, name)
    text = f"{name}: {annotation}" if annotation else name
    if default is UNKNOWN:
        return text
    value = value_text(default, 40) or "..."
    return f"{text} = {value}" if annotation else f"{text}={value}"


def _annotation(annotations: Any, name: str) -> str:
    """An annotation that is a string, None or a class; what would have to be evaluated or printed is left out."""
    value = value_in(annotations, name) if type(annotations) is dict else UNKNOWN
    if type(value) is str:
        return value
    if value is None:
        return "None"
    return name_of(value) if value is not UNKNOWN and is_class(value) else ""


# --- C, by its text ----------------------------------------------------------------------------------------------------


def _text_of(value: Any) -> str:
    text: Any = getattr(value, "__text_signature__")  # noqa: B009  typeshed does not know it; these are types in C
    if type(text) is not str:
        return ""
    return _GIVEN.sub("", " ".join(text.split())).replace("( ", "(").replace(", )", ")")


def _of_class(cls: type) -> Signature | None:
    """Of a class whose constructor is in C: its text signature, or how its docstring begins."""
    classes = mro_of(cls)
    doc = value_in(class_dict(cls), "__doc__")
    if type(doc) is str and (found := _from_first_line(doc, name_of(cls))) is not None:
        return found
    own = [class_attribute(classes, name) for name in ("__init__", "__new__")]
    if all(raw is object.__dict__[name] for raw, name in zip(own, ("__init__", "__new__"), strict=True)):
        return Signature([])
    return None


def _is_from_c(value: Any) -> bool:
    return type(value) is not UNKNOWN and name_of(type(value)) in ("ufunc", "cython_function_or_method")


def _from_documentation(value: Any) -> Signature | None:
    doc = documentation(value, whole=True)
    return _from_first_line(doc, r"\w+") if doc else None


def _from_first_line(doc: str, name: str) -> Signature | None:
    """``name(a, b=1)`` at the beginning of a docstring, as numpy's and Cython's functions have it."""
    match = re.match(rf"\s*(?:\w+\.)*{name if name == chr(92) + 'w+' else re.escape(name)}(\()", doc[:LONGEST])
    if match is None:
        return None
    depth = 0
    for at in range(match.start(1), min(len(doc), LONGEST)):
        depth += (doc[at] in "([{") - (doc[at] in ")]}")
        if not depth:
            return _from_text(" ".join(doc[match.start(1) : at + 1].split()))
    return None


def _from_text(text: str) -> Signature | None:
    """The signature that a text like ``(a, b=1, /)`` says; what Python cannot parse (``[, key]``) is shown as it is."""
    if not text:
        return None
    _, _, returns = text.rpartition(" -> ") if " -> " in text else ("", "", "")
    try:
        node = ast.parse(f"def f{text}: ...").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None if text == "()" else _from_old_text(text)
    assert isinstance(node, ast.FunctionDef)  # the text is between "def" and the colon
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    found: list[Parameter] = []
    for at, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        kind = POSITIONAL_ONLY if at < len(given.posonlyargs) else POSITIONAL_OR_KEYWORD
        found.append(Parameter(argument.arg, _shown(argument, default), kind))
    if given.vararg:
        found.append(Parameter(given.vararg.arg, f"*{_shown(given.vararg, None)}", VAR_POSITIONAL))
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found.append(Parameter(argument.arg, _shown(argument, default), KEYWORD_ONLY))
    if given.kwarg:
        found.append(Parameter(given.kwarg.arg, f"**{_shown(given.kwarg, None)}", VAR_KEYWORD))
    return Signature(found, returns)


def _from_old_text(text: str) -> Signature | None:
    """``(x1[, x2], /)`` and the like: names in the order in which they stand."""
    names = re.findall(r"\w+(?:=[^,\[\])]+)?", text.strip("()"))
    return (
        Signature([Parameter(name.partition("=")[0], name, POSITIONAL_OR_KEYWORD) for name in names]) if names else None
    )


def _shown(argument: ast.arg, default: ast.expr | None) -> str:
    text = f"{argument.arg}: {ast.unparse(argument.annotation)}" if argument.annotation else argument.arg
    if default is None:
        return text
    return f"{text} = {ast.unparse(default)}" if argument.annotation else f"{text}={ast.unparse(default)}"
