"""Docstrings: found by static lookup, shown as Markdown, read for what they say of parameters."""

from __future__ import annotations

import inspect
import re
from types import FunctionType, GetSetDescriptorType, MethodType
from typing import Any

from .lookup import class_attribute, instance_dict, is_class, is_module, is_routine, mro_of, name_of
from .targets import CACHED, target_of, unwrapped

_TEXT_SIGNATURE = re.compile(r"\A\w+(\(.*?\))( -> [^\n]*)?\n", re.DOTALL)
_UNDERLINE = re.compile(r"^(?P<title>\S[^\n]*)\n[-=~^]{3,}[ \t]*$", re.MULTILINE)
_DOCTEST = re.compile(r"^(?P<indent>[ \t]*)>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)
_LITERAL = re.compile(r"::[ \t]*\n\n(?P<block>(?:[ \t]+\S[^\n]*\n?|[ \t]*\n)+)")
_ROLE = re.compile(r":[\w:+-]+:`~?\.?([^`<]+?)(?:\s*<[^`]*>)?`")
_DOUBLE = re.compile(r"(?<!`)``(?!`)")
_DIRECTIVE = re.compile(r"^\.\. (?P<name>[\w-]+)::[ \t]*(?P<text>[^\n]*)$", re.MULTILINE)
_NUMPY_SECTION = re.compile(
    r"^(?:Other )?Parameters\n-{3,}[ \t]*\n(?P<body>.*?)(?=^\S[^\n]*\n-{3,}|\Z)", re.MULTILINE | re.DOTALL
)
_GOOGLE_SECTION = re.compile(
    r"^(?P<title>Args|Arguments|Parameters|Keyword Args):[ \t]*\n(?P<body>(?:[ \t]+[^\n]*\n?|[ \t]*\n)+)", re.MULTILINE
)
_GOOGLE_ITEM = re.compile(r"^\s*\*{0,2}(?P<name>\w+)[ \t]*(?:\([^)]*\))?:[ \t]*(?P<text>.*)$")
_SPHINX_ITEM = re.compile(
    r"^:(?:param|arg|parameter|keyword)[ \t]+(?:[^:\n]*[ \t])?\*{0,2}(?P<name>\w+):[ \t]*(?P<text>[^\n]*(?:\n[ \t]+[^\n]+)*)",
    re.MULTILINE,
)
_GOOGLE_TITLE = re.compile(r"^(Returns|Raises|Yields|Examples?|Notes?|Attributes):[ \t]*$", re.MULTILINE)
LONGEST = 100_000


def documentation(value: Any, whole: bool = False) -> str:
    """The docstring of a function, class or module, or of the class of anything else; ``whole``: with a text signature."""
    doc = raw_documentation(value)
    if type(doc) is not str:
        return ""
    doc = doc[:LONGEST]
    match = None if whole else _TEXT_SIGNATURE.match(doc)
    return inspect.cleandoc(doc[match.end() :].lstrip("-\n") if match and "--\n" in doc[: match.end() + 5] else doc)


def raw_documentation(value: Any) -> Any:
    """Whatever stands as ``__doc__`` where no code has to run to read it."""
    kind = type(value)
    if kind is FunctionType:
        doc = unwrapped(value).__doc__
        return value.__doc__ if doc is None else doc
    if kind is CACHED:
        return instance_dict(value).get("__doc__")
    if kind is MethodType:
        return raw_documentation(value.__func__)  # a method asks what it binds, and that may be anything
    if kind is property or is_routine(value):
        return value.__doc__
    if is_module(value):
        return instance_dict(value).get("__doc__")
    if is_class(value):
        classes = mro_of(value)
        return class_attribute(classes[:-1] or classes, "__doc__")
    target = target_of(value, bound=False) if name_of(kind) in ("partial", "partialmethod") else None
    if target is not None and target.function is not None:
        return target.function.__doc__
    classes = mro_of(kind)
    doc = class_attribute(classes[:-1] or classes, "__doc__")
    if type(doc) is GetSetDescriptorType and name_of(kind) in ("ufunc", "cython_function_or_method"):
        return doc.__get__(value)  # written in C: each object has a text of its own
    return doc


def first_line(value: Any) -> str:
    """How the docstring begins: its first paragraph's first line."""
    return documentation(value).strip().partition("\n")[0]


def markdown(doc: str) -> str:
    """A docstring as Markdown: sections as bold titles, examples and literal blocks fenced, roles as code.

    What is not recognized stays as it is: most docstrings read well as Markdown.
    """
    fenced: list[str] = []

    def fence(code: str) -> str:
        fenced.append(f"```python\n{inspect.cleandoc(code)}\n```")
        return f"\0{len(fenced) - 1}\0"

    text = _DOCTEST.sub(lambda match: fence(match.group()), doc.replace("\0", ""))
    text = _LITERAL.sub(lambda match: f":\n\n{fence(match['block'])}\n\n", text)
    text = _GOOGLE_SECTION.sub(_google_list, text)
    text = _GOOGLE_TITLE.sub(r"**\1**\n", text)
    text = _UNDERLINE.sub(lambda match: f"**{match['title'].strip()}**\n", text)
    text = _DIRECTIVE.sub(lambda match: f"*{match['name']}* {match['text']}".rstrip(), text)
    text = _DOUBLE.sub("`", _ROLE.sub(r"`\1`", text))
    text = "\n".join(_line(line) for line in text.split("\n"))
    return re.sub(r"\0(\d+)\0", lambda match: f"\n{fenced[int(match[1])]}\n", text).strip()


def _google_list(section: re.Match[str]) -> str:
    items = _google_items(inspect.cleandoc("\n" + section["body"]))
    listed = "\n".join(f"- `{name}`: {text}" for name, text in items.items())
    return f"**{section['title']}**\n\n{listed}\n\n" if items else section.group()


def _line(line: str) -> str:
    """``name : type`` of numpy's style as a list; four spaces would be a code block in Markdown."""
    match = re.match(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (\S.*)$", line)
    if match:
        return f"- `{match[1]}` : {match[2]}"
    stripped = line.lstrip(" \t")
    return "  " + stripped if len(line) - len(stripped) >= 2 and stripped else line


def parameter_docs(doc: str) -> dict[str, str]:
    """What a docstring says of each parameter, in numpy's, Google's or Sphinx's style."""
    found: dict[str, str] = {}
    for section in _NUMPY_SECTION.finditer(doc):
        found.update(_numpy_items(section["body"]))
    for section in _GOOGLE_SECTION.finditer(doc):
        found.update(_google_items(inspect.cleandoc("\n" + section["body"])))
    for item in _SPHINX_ITEM.finditer(doc):
        found[item["name"]] = " ".join(item["text"].split())
    return {name: markdown(text) for name, text in found.items()}


def _numpy_items(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    lines: list[str] = []
    for line in [*body.split("\n"), "end"]:
        if line and not line[0].isspace():
            text = inspect.cleandoc("\n".join(lines)) if lines else ""
            found.update(dict.fromkeys(names, text))
            head, _, kind = line.partition(":")
            names = [name.strip().lstrip("*\\") for name in head.split(",")]
            lines = [f"{kind.strip()}\n"] if kind else []
        else:
            lines.append(line)
    return found


def _google_items(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in body.split("\n"):
        match = _GOOGLE_ITEM.match(line) if line[:1].strip() else None
        if match:
            name = match["name"]
            found[name] = match["text"]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
