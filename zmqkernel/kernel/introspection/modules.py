"""Names of modules and what is in them, without importing anything: directories are listed, sources are parsed."""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import pkgutil
import sys
from pathlib import Path
from typing import Any

from .lookup import instance_dict

LARGEST_SOURCE = 1024 * 1024


def top_level() -> set[str]:
    """Names that ``import`` may find."""
    names = set(sys.builtin_module_names) | set(sys.stdlib_module_names)
    for entry in list(sys.path):
        if type(entry) is str:
            names |= _listed(entry or ".")
    return names


def submodules(module: str) -> set[str]:
    """Names of the modules in a package."""
    start = f"{module}."
    names = {
        name[len(start) :] for name in list(sys.modules) if name.startswith(start) and "." not in name[len(start) :]
    }
    for entry in _folders(module):
        names |= _listed(entry)
    return names


def members(module: str) -> set[str]:
    """What ``from module import`` may name: the names of the loaded module, or those that its source defines."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return set(instance_dict(loaded))
    spec = _spec(module)
    return set(_defined_in(spec.origin, _changed(spec.origin))) if spec and spec.origin else set()


def _folders(module: str) -> list[str]:
    loaded = sys.modules.get(module)
    if loaded is not None:
        path = instance_dict(loaded).get("__path__")
        return [entry for entry in list(path) if type(entry) is str] if type(path) is list else []
    spec = _spec(module)
    return list(spec.submodule_search_locations or []) if spec else []


def _spec(module: str) -> Any:
    """Where a module lies. Only the path is asked: other finders are users' code, and parents are not imported."""
    path: list[str] | None = None
    spec = None
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec


def _listed(entry: str) -> frozenset[str]:
    return _list_folder(entry, _changed(entry))


def _changed(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0  # not there: the listing will be empty


@functools.lru_cache(maxsize=512)
def _list_folder(entry: str, changed: float) -> frozenset[str]:
    del changed  # only part of the key
    return frozenset(module.name for module in pkgutil.iter_modules([entry]) if module.name.isidentifier())


@functools.lru_cache(maxsize=128)
def _defined_in(origin: str, changed: float) -> frozenset[str]:
    del changed
    path = Path(origin)
    try:
        if path.suffix != ".py" or path.stat().st_size > LARGEST_SOURCE:
            return frozenset()
        tree = ast.parse(path.read_bytes())
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
