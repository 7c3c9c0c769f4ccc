"""Magics and their arguments: IPython's tables and the parsers of magics, read without running one."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from typing import Any

from . import modules
from .docstrings import documentation
from .lookup import UNKNOWN, class_attribute, instance_dict, is_class, is_kind, mro_of, name_of, names_in
from .matches import Match, starting
from .paths import paths_at
from .places import Place
from .scope import Scope
from .targets import target_of

_OPTION = re.compile(r"(?:^|[\s\[(,|/`'])(-{1,2}[a-zA-Z][\w-]*)(?=[\s=,\])<`':.|/]|$)")
WORDS: dict[str, tuple[str, ...]] = {
    "matplotlib": ("inline", "auto", "agg", "--list"),
    "xmode": ("Plain", "Context", "Verbose", "Minimal", "Docs"),
    "pdb": ("on", "off"),
    "autoreload": ("0", "1", "2", "3", "off", "now", "explicit", "all"),
    "automagic": ("on", "off"),
    "autoawait": ("asyncio", "False", "True"),
    "who": ("int", "float", "str", "list", "dict", "tuple", "set", "function", "module"),
    "who_ls": ("int", "float", "str", "list", "dict", "tuple", "set", "function", "module"),
}
FILES = frozenset(
  (
        "run", "load", "loadpy", "edit", "save", "writefile", "file", "ls", "ll", "lf", "cat", "less", "more",
        "man", "mkdir", "rmdir", "rm", "cp", "mv", "sx", "system", "pycat", "notebook",
  )
)  # fmt: skip
FOLDERS = frozenset(("cd", "pushd"))
EXTENSIONS = frozenset(("load_ext", "reload_ext", "unload_ext"))
ENVIRONMENT = frozenset(("env", "set_env"))


def magics_at(place: Place, scope: Scope) -> list[Match]:
    """Names of magics behind ``%`` or ``%%``."""
    known = _known(scope, "cell" if place.source == "%%" else "line")
    return [Match(name, "magic", value) for name, value in known.items() if name.startswith(place.prefix)]


def function_of(scope: Scope, percent: str, name: str) -> Any:
    """The function behind a magic, UNKNOWN when there is none."""
    return _loaded(_known(scope, "cell" if percent == "%%" else "line").get(name, UNKNOWN))


def _loaded(magic: Any) -> Any:
    """IPython puts a stand-in where a magic of its own is not imported yet: then the function that it stands for."""
    if not is_kind(type(magic), "IPython.core.magic", "LazyMagic"):
        return magic
    own = instance_dict(magic)
    spec, name = own.get("spec"), own.get("_name")
    if type(spec) is not str or type(name) is not str or not spec.startswith("IPython.core.magics."):
        return UNKNOWN  # only IPython's own modules are imported for this
    module, _, cls = spec.partition(":")
    found = instance_dict(importlib.import_module(module)).get(cls)
    if not is_class(found):
        return UNKNOWN
    function = class_attribute(mro_of(found), name)
    # %%bash and the like have no method of their own: they take what %%script takes.
    return class_attribute(mro_of(found), "shebang") if function is UNKNOWN else function


def _known(scope: Scope, kind: str) -> dict[str, Any]:
    if scope.shell is None:
        return {}
    known: Mapping[str, Mapping[str, Any]] = scope.shell.magics_manager.magics
    return names_in(known[kind])


def arguments_at(place: Place, scope: Scope) -> list[Match] | None:
    """What may follow a magic's name; None when that is Python code."""
    name = place.source.lstrip("%")
    if place.prefix.startswith("-"):
        function = function_of(scope, place.source[: -len(name)], name)
        return starting(place.prefix, (Match(option, "parameter") for option in _options(function)))
    if name in WORDS:
        return starting(place.prefix, (Match(word, "parameter") for word in WORDS[name]))
    if name in EXTENSIONS:
        return _extensions(place)
    if name in ENVIRONMENT:
        return starting(place.prefix, (Match(variable, "variable") for variable in sorted(os.environ)))
    if name == "config":
        return _configurable(place, scope)
    if name in FILES or name in FOLDERS:
        return paths_at(place.prefix, scope.budget, only_folders=name in FOLDERS)
    if name in ("pip", "conda", "mamba", "uv"):
        words = ("install", "uninstall", "list", "show", "freeze")
        is_first = not place.earlier.strip()
        return starting(place.prefix, (Match(word, "parameter") for word in words if is_first)) or paths_at(
            place.prefix, scope.budget
        )
    return None


def _extensions(place: Place) -> list[Match]:
    package, dot, _ = place.prefix.rpartition(".")
    names = modules.submodules(package) if dot else modules.top_level()
    known = [Match(f"{package}{dot}{name}", "module") for name in sorted(names)]
    return starting(place.prefix, [*known, *(Match(name, "module") for name in ("autoreload", "storemagic"))])


def _options(function: Any) -> list[str]:
    """Options that a magic knows: of its argument parser, else those that its docstring names."""
    target = target_of(function, bound=False)
    if target is None or target.function is None:
        return []
    parser = names_in(target.function.__dict__).get("parser", UNKNOWN)
    if parser is UNKNOWN and target.value is not target.function:
        parser = names_in(target.value.__dict__).get("parser", UNKNOWN)
    if is_kind(type(parser), "IPython.core.magic_arguments", "MagicArgumentParser"):
        actions = instance_dict(parser).get("_actions")
        found = [instance_dict(action).get("option_strings") for action in list(actions or ())]
        return [option for options in found if type(options) is list for option in options if type(option) is str]
    doc = documentation(target.function)
    return sorted({option for option in _OPTION.findall(doc) if len(option) == 2 or option.startswith("--")})


def _configurable(place: Place, scope: Scope) -> list[Match]:
    """``%config Class.trait``."""
    own = instance_dict(scope.shell).get("_configurables") if scope.shell is not None else None
    classes = {name_of(type(one)): type(one) for one in list(own or ())}
    name, dot, _ = place.prefix.partition(".")
    if not dot:
        return starting(place.prefix, (Match(name, "class") for name in sorted(classes)))
    found = classes.get(name)
    if found is None:
        return []
    traits = {
        trait: value
        for cls in reversed(mro_of(found))
        for trait, value in names_in(dict(cls.__dict__)).items()
        if any(is_kind(kind, "traitlets", "TraitType") for kind in mro_of(type(value)))
    }
    return starting(place.prefix, (Match(f"{name}.{trait}", "property") for trait in sorted(traits)))
