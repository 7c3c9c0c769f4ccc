"""Signatures and docstrings, read from code objects and class dictionaries; ``inspect.signature`` would run users' hooks."""

from __future__ import annotations

import inspect
import re
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

from .lookup import (
    UNKNOWN,
    callable_of,
    class_attribute,
    class_dict,
    instance_dict,
    is_class,
    is_module,
    is_routine,
    mro_of,
    name_of,
)
from .values import value_text

_TEXT_SIGNATURE = re.compile(r"\A\w+(\(.*?\))( -> [^\n]*)?\n", re.DOTALL)
_GIVEN = re.compile(r"\$\w+(, /(?=,|\)))?(, )?")
_DOCUMENTED = (type(str.upper), type(object.__init__), type(object().__str__), type(dict.__dict__["fromkeys"]))


def unwrapped(function: FunctionType) -> FunctionType:
    """The function that a ``functools.wraps`` wrapper stands for."""
    for _ in range(10):
        inner = function.__dict__.get("__wrapped__")
        if type(inner) is not FunctionType:
            break
        function = inner
    return function


def function_of(value: Any) -> tuple[FunctionType, bool] | None:
    """The Python function that a call of ``value`` runs, and whether its first argument is given already."""
    function = callable_of(value)
    bound = function is not value
    if type(function) in (staticmethod, classmethod):
        bound, function = type(function) is classmethod, function.__func__
    return (unwrapped(function), bound) if type(function) is FunctionType else None


def parameters(value: Any, bound: bool = False) -> list[str]:
    """Names that may be given as keywords to a call of ``value``; ``bound`` leaves out the first."""
    found = function_of(value)
    if found is None:
        return []
    function, is_bound = found
    code: CodeType = function.__code__
    skip = max(1 if bound or is_bound else 0, code.co_posonlyargcount)
    return list(code.co_varnames[skip : code.co_argcount + code.co_kwonlyargcount])


def signature(value: Any, bound: bool = False) -> str:
    """``(a, b=1, *args)``, or "" when it cannot be seen. Defaults that are no plain values are shown as ``...``."""
    found = function_of(value)
    if found is not None:
        return _function_signature(found[0], bound or found[1])
    if type(value) is BuiltinFunctionType or type(value) in _DOCUMENTED:
        text: str | None = getattr(value, "__text_signature__")  # noqa: B009  typeshed does not know it
        return _GIVEN.sub("", " ".join(text.split())).replace("( ", "(").replace(", )", ")") if text else ""
    if is_class(value):
        doc = class_dict(value).get("__doc__")
        match = re.match(rf"{re.escape(name_of(value))}(\([^\n]*?\))", doc) if type(doc) is str else None
        return match.group(1) if match else ""
    return ""


def _function_signature(function: FunctionType, bound: bool) -> str:
    code = function.__code__
    names = code.co_varnames
    positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    keyword_defaults = function.__kwdefaults__ or {}
    shown: list[str] = []
    for at in range(1 if bound and positional else 0, positional):
        given = at - (positional - len(defaults))
        shown.append(_parameter(function, names[at], defaults[given] if given >= 0 else UNKNOWN))
        if at + 1 == code.co_posonlyargcount:
            shown.append("/")
    rest = positional + keyword_only
    if code.co_flags & inspect.CO_VARARGS:
        shown.append(f"*{_parameter(function, names[rest], UNKNOWN)}")
        rest += 1
    elif keyword_only:
        shown.append("*")
    for name in names[positional : positional + keyword_only]:
        shown.append(_parameter(function, name, keyword_defaults.get(name, UNKNOWN)))
    if code.co_flags & inspect.CO_VARKEYWORDS:
        shown.append(f"**{_parameter(function, names[rest], UNKNOWN)}")
    result = _annotation(function, "return")
    return f"({', '.join(shown)})" + (f" -> {result}" if result else "")


def _parameter(function: FunctionType, name: str, default: Any) -> str:
    annotation = _annotation(function, name)
    text = f"{name}: {annotation}" if annotation else name
    if default is UNKNOWN:
        return text
    value = value_text(default, 40) or "..."
    return f"{text} = {value}" if annotation else f"{text}={value}"


def _annotation(function: FunctionType, name: str) -> str:
    """An annotation that is a string, None or a class; what would have to be evaluated or printed is left out."""
    value = function.__annotations__.get(name, UNKNOWN) if _has_annotations(function) else UNKNOWN
    if type(value) is str:
        return value
    if value is None:
        return "None"
    return name_of(value) if value is not UNKNOWN and is_class(value) else ""


def _has_annotations(function: FunctionType) -> bool:
    """From Python 3.14 on reading annotations runs a function of the user's module."""
    return getattr(function, "__annotate__", None) is None


def documentation(value: Any) -> str:
    """The docstring of a function, class or module, or of the class of anything else."""
    if type(value) is FunctionType:
        doc: Any = unwrapped(value).__doc__
    elif type(value) is property or is_routine(value):
        doc = value.__doc__
    elif is_module(value):
        doc = instance_dict(value).get("__doc__")
    else:
        classes = mro_of(value) if is_class(value) else mro_of(type(value))
        doc = class_attribute(classes[:-1] or classes, "__doc__")
    if type(doc) is not str:
        return ""
    match = _TEXT_SIGNATURE.match(doc)
    return inspect.cleandoc(doc[match.end() :].lstrip("-\n") if match and "--\n" in doc[: match.end() + 5] else doc)
