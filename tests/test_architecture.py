"""The rules of docs/architecture.md: who imports whom, which file owns which library, sizes and names."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 400

SHARED = {"zmqkernel.protocol", "zmqkernel.paths", "zmqkernel.config"}
LAYERS = {
    "zmqkernel.protocol": set[str](),
    "zmqkernel.paths": {"zmqkernel.protocol"},
    "zmqkernel.config": {"zmqkernel.protocol", "zmqkernel.paths"},
    "zmqkernel.kernel": SHARED,
    "zmqkernel.supervisor": SHARED,
    "zmqkernel.client": SHARED,
    "zmqkernel.cli": SHARED | {"zmqkernel.client", "zmqkernel.commands", "zmqkernel.console", "zmqkernel.kernelspec"},
    "zmqkernel.console": SHARED | {"zmqkernel.client", "zmqkernel.commands"},
    "zmqkernel.commands": SHARED | {"zmqkernel.client"},
    "zmqkernel.kernelspec": set[str](),
    "zmqkernel.hosted": SHARED | {"zmqkernel.client"},
    "zmqkernel.__main__": {"zmqkernel.cli"},
    "lsp_bridge": {"zmqkernel.client", "zmqkernel.protocol"},
}
"""Room: the rooms of ours that it may import, besides itself and the version in ``zmqkernel``."""

IMPURE = {
    "asyncio", "fcntl", "mmap", "multiprocessing", "os", "pathlib", "select", "selectors", "shutil", "signal", "socket",
    "subprocess", "tempfile", "threading", "time", "zmq",
}  # fmt: skip
"""What protocol/ never imports: no socket, thread, clock or disk."""

OWNERS = {
    "IPython": {"zmqkernel/kernel/shell.py", "zmqkernel/kernel/display.py", "zmqkernel/kernel/stdin.py"},
    "comm": {"zmqkernel/kernel/comms.py", "zmqkernel/kernel/handlers.py"},
    "jedi": {"lsp_bridge/static"},
    "msgspec": {"zmqkernel", "lsp_bridge"},
    "pygls": {"lsp_bridge/workspace.py"},
    "traitlets": {"zmqkernel/kernel/shell.py", "zmqkernel/kernel/profile.py"},
    "typer": {"zmqkernel/cli/app.py", "zmqkernel/cli/parameters.py"},
    "zmq": {
        "zmqkernel/client/door.py",
        "zmqkernel/kernel/transport.py",
        "zmqkernel/supervisor/app.py",
        "zmqkernel/supervisor/door.py",
        "zmqkernel/supervisor/doors.py",
        "zmqkernel/supervisor/frames.py",
        "zmqkernel/supervisor/link.py",
    },
}
"""Foreign library: the files or folders that may import it. What is not here is not imported at all."""

BANNED = {"manager", "service", "context", "util", "utils", "base", "helper", "helpers", "misc", "common"}


def sources(*folders: str) -> list[Path]:
    """Every Python file in some folders of the checkout."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


OURS = sources("zmqkernel", "lsp_bridge")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Full names of everything a file imports, at the top and inside functions; ``from a import b`` gives ``a.b``."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            source = ".".join(part for part in (start, node.module) if part)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    """The room that a module of ours belongs to: a key of LAYERS, or ``zmqkernel`` for the package itself."""
    return next((room for room in LAYERS if module == room or module.startswith(f"{room}.")), "zmqkernel")


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_imports_run_down_the_layers(path: Path) -> None:
    room = room_of(module_of(path))
    allowed = LAYERS.get(room, set[str]()) | {room, "zmqkernel"}
    reached = {room_of(name): name for name in imports(path) if name.split(".")[0] in ("zmqkernel", "lsp_bridge")}
    wrong = {name for reached_room, name in reached.items() if reached_room not in allowed}
    assert not wrong, f"{room} may import {sorted(allowed)}, not {wrong}: a process is started by module name"


def test_every_file_is_in_a_room() -> None:
    stray = {relative(path) for path in OURS if room_of(module_of(path)) == "zmqkernel"}
    assert stray <= {"zmqkernel/__init__.py"}, f"{stray}: give them a room in LAYERS"


@pytest.mark.parametrize("path", sources("zmqkernel/protocol"), ids=relative)
def test_protocol_is_pure(path: Path) -> None:
    wrong = {name for name in imports(path) if name.split(".")[0] in IMPURE}
    assert not wrong, f"protocol/ has no socket, thread, clock or disk, but imports {wrong}"


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_foreign_libraries_have_owners(path: Path) -> None:
    place = relative(path)
    for name in imports(path):
        library = name.split(".")[0]
        if library in sys.stdlib_module_names or library in ("zmqkernel", "lsp_bridge", "__main__"):
            continue
        owners = OWNERS.get(library, set[str]())
        assert any(place == owner or place.startswith(f"{owner}/") for owner in owners), (
            f"{place} imports {library}; only {sorted(owners)} may"
        )


@pytest.mark.parametrize("path", sources("zmqkernel", "lsp_bridge", "tests", "benchmarks"), ids=relative)
def test_files_are_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: a file reads in one go, split it by what it says"


def words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_names_say_something(path: Path) -> None:
    names = [path.stem] + [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    empty = {name for name in names if words(name) & BANNED}
    assert not empty, f"{empty}: these words say nothing (docs/architecture.md has the words we use)"


def test_zmqkernel_knows_no_lsp_method_and_editors_no_jupyter_message() -> None:
    for path in sources("zmqkernel"):
        assert not re.search(r"textDocument/|workspace/\w", path.read_text()), f"{relative(path)} names an LSP method"
    for path in (ROOT / "editors").rglob("*.lua"):
        found = re.findall(r"\b\w+_(?:request|reply)\b|\biopub\b|display_data", path.read_text())
        assert not found, f"{relative(path)} names Jupyter messages: {found}"


def test_the_architecture_page_names_only_what_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = {name for name in re.findall(r"`([\w./-]+)`", text) if re.search(r"\w/|\.py$|\.md$", name)}
    missing = {
        name for name in named if not any((ROOT / folder / name).exists() for folder in ("", "zmqkernel", "docs"))
    }
    assert not missing, f"docs/architecture.md names {missing}"
