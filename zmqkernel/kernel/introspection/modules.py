"""Names of modules and what is in them, without importing anything: folders are listed, sources are parsed.

Neither the path hooks nor the finders of ``sys.meta_path`` are asked: they may be code of the user's.
"""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import os
import sys
from pathlib import Path
from typing import Any

from .lookup import instance_dict, is_module

LARGEST_SOURCE = 1024 * 1024
SUFFIXES = tuple(importlib.machinery.all_suffixes())


def top_level() -> set[str]:
    """Names that ``import`` may find."""
    names = set(sys.builtin_module_names) | set(sys.stdlib_module_names)
    names |= {name for name in list(sys.modules) if type(name) is str and name.isidentifier()}
    for entry in _search_path():
        names |= _listed(entry)
    return names - {"__main__", "__mp_main__"}


def submodules(module: str) -> set[str]:
    """Names of the modules in a package."""
    start = f"{module}."
    names = {
        name[len(start) :]
        for name in list(sys.modules)
        if type(name) is str and name.startswith(start) and "." not in name[len(start) :]
    }
    for folder in _folders(module):
        names |= _listed(folder)
    return names


def members(module: str) -> dict[str, Any]:
    """What ``from module import`` may name: the names of the loaded module with their values, or those that its source defines
    (with None)."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return instance_dict(loaded) if is_module(loaded) else {}
    origin = source_file(module)
    return dict.fromkeys(_defined_in(origin, _changed(origin))) if origin else {}


def source_file(module: str) -> str:
    """The source file of a module that is not loaded, "" when none is found."""
    parent, _, name = module.rpartition(".")
    for folder in _folders(parent) if parent else _search_path():
        for path in (os.path.join(folder, name, "__init__.py"), os.path.join(folder, f"{name}.py")):
            if os.path.isfile(path):
                return path
    return ""


def _search_path() -> list[str]:
    return [entry or "." for entry in list(sys.path) if type(entry) is str]


def _folders(module: str) -> list[str]:
    """Where the modules of a package lie."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        path = instance_dict(loaded).get("__path__") if is_module(loaded) else None
        if type(path) is list:
            return [entry for entry in list(path) if type(entry) is str]
        # A namespace package's path is an object that looks again at sys.path: so do we.
        if path is None:
            return []
    parent, _, name = module.rpartition(".")
    found = [os.path.join(folder, name) for folder in (_folders(parent) if parent else _search_path())]
    return [folder for folder in found if os.path.isdir(folder)]


def _listed(folder: str) -> frozenset[str]:
    return _list_folder(os.path.abspath(folder), _changed(folder))


def _changed(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except (OSError, ValueError):
        return 0.0  # not there: the listing will be empty


@functools.lru_cache(maxsize=512)
def _list_folder(folder: str, changed: float) -> frozenset[str]:
    del changed  # only part of the key
    names: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name, dot, _ = entry.name.partition(".")
                if not dot:
                    is_package = os.path.isfile(os.path.join(folder, name, "__init__.py"))
                    if not (is_package or (name.isidentifier() and entry.is_dir() and _holds_source(entry.path))):
                        continue
                elif not entry.name.endswith(SUFFIXES):
                    continue
                if name.isidentifier() and name != "__init__":
                    names.add(name)
    except OSError:
        return frozenset()  # an entry of sys.path need not exist, and may be a zip file
    return frozenset(names)


def _holds_source(folder: str) -> bool:
    """Is a folder without ``__init__.py`` a namespace package that is worth naming?"""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(SUFFIXES) for entry in entries)
    except OSError:
        return False  # it cannot be read: nor imported


@functools.lru_cache(maxsize=128)
def _defined_in(origin: str, changed: float) -> frozenset[str]:
    del changed
    try:
        if os.path.getsize(origin) > LARGEST_SOURCE:
            return frozenset()
        tree = ast.parse(Path(origin).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return frozenset()  # unreadable or not for this Python: it defines nothing that we know
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {(alias.asname or alias.name).split(".")[0] for alias in aliases if alias.name != "*"}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case _:
                pass
    return frozenset(names)
