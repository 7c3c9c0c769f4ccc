"""The documentation says what is so: links, paths, commands and options exist, the example runs."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import zmqkernel

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "editors").rglob("*.md")])
FOLDERS = ("docs", "zmqkernel", "lsp_bridge", "tests", "benchmarks", "editors", "requirements")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [target.split("#")[0] for target in targets if not target.startswith(("http", "#", "mailto:"))]
    assert not [target for target in local if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_named_files_exist(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w/~.$}}>-])((?:{'|'.join(FOLDERS)})/[\w./-]*\w/?)", page.read_text()))
    if page.name == "architecture.md":
        named = set()  # tests/test_architecture.py knows how that page names files
    # zmqkernel/output and the like are names of LSP notifications.
    named = {name for name in named if not name.startswith("zmqkernel/") or re.search(r"[./]", name[10:])}
    places = (ROOT, page.parent, ROOT / "docs")
    assert not [name for name in named if not any((place / name).exists() for place in places)]


def test_generated_pages_are_fresh() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "cli_page.py"))["page"]
    assert (ROOT / "docs" / "reference" / "cli.md").read_text() == page(), "run: python docs/cli_page.py"


@cache
def help_of(*command: str) -> str:
    """What ``zmqkernel COMMAND --help`` prints, without colour and wide enough not to be cut."""
    start = "import sys; from zmqkernel.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", start, *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "PATH": "", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, f"zmqkernel {' '.join(command)} --help: {done.stderr or done.stdout}"
    return done.stdout


def command_lines(page: Path) -> list[list[str]]:
    """The words after ``zmqkernel`` in each shell line of a page's code blocks."""
    found: list[list[str]] = []
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            match = re.search(r"(?:^|[\s/|])zmqkernel(?= )(.*)$", line)
            if match:
                found.append(shlex.split(match[1], comments=True))
    return found


COMMANDS = sorted({(relative(page), *words) for page in PAGES for words in command_lines(page)})


@pytest.mark.parametrize("line", COMMANDS, ids=" ".join)
def test_commands_and_their_options_exist(line: tuple[str, ...]) -> None:
    page, *words = line
    command = [words[0], words[1]] if words[0] == "kernelspec" else [words[0]]
    text = help_of(*command)
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){option}\b", text), f"{page}: {' '.join(command)} has no {option}"


def test_there_are_commands_to_check() -> None:
    assert any(page == "README.md" for page, *_ in COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"`make ([\w-]+)`|^make ([\w-]+)", page.read_text(), re.MULTILINE))
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {name for pair in targets for name in pair if name} <= known


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## \[([^\]]+)\]", text, re.MULTILINE)
    assert sections and (sections[0] == "Unreleased" or sections[0] == zmqkernel.__version__)


def test_the_example_is_a_plain_program() -> None:
    """It needs no kernel, and raises no warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "docs" / "examples" / "analysis.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"MPLBACKEND": "agg", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "344 penguins" in done.stdout
    assert "leaving out 11 of 344 birds" in done.stderr
