"""Make docs/session.svg, the picture of the README, from a real session: ``python docs/session_picture.py``.

Types into ``zmqkernel attach`` in tmux, kills that terminal in the middle of a cell, attaches in another one, and draws what the
screens showed. Needs tmux and rich; runs in a home of its own.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
COLUMNS, ROWS = 100, 40
CELL = "for step in range(1, 9): time.sleep(1); print('step', step)"


class Terminal:
    """A tmux server with one window."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.environment = environment
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), "env PS1='$ ' sh")
        self.wait("shell", shows(r"\$"))

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", f"{self.name}-{os.getpid()}", *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def type(self, line: str) -> None:
        """Type a line and Return."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def screen(self, colours: bool = False) -> str:
        """What the terminal shows, without trailing blank lines."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else [])).rstrip()

    def wait(self, what: str, condition: Callable[[str], bool], seconds: float = 60) -> None:
        """Wait until the screen fulfils a condition."""
        deadline = time.monotonic() + seconds
        while not condition(self.screen()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what}:\n{self.screen()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """The terminal and everything in it is gone."""
        self._tmux("kill-server")


def shows(text: str) -> Callable[[str], bool]:
    """A line of the screen begins with this text."""
    return lambda screen: re.search(rf"^{text}", screen, re.MULTILINE) is not None


def play(home: Path) -> list[tuple[str, str]]:
    """The story: captions and screens."""
    project = home / "penguins"
    project.mkdir()
    (project / "pyproject.toml").touch()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    places = {
        "HOME": home,
        "XDG_STATE_HOME": home / "state",
        "ZMQKERNEL_SOCKET_DIR": home / "s",
        "IPYTHONDIR": home / "i",
    }
    environment = {**os.environ, "PATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    environment |= {name: str(place) for name, place in places.items()} | {"PWD": str(project)}
    environment.pop("TMUX", None)

    first = Terminal("first", project, environment)
    first.type("zmqkernel attach")
    first.wait("prompt", shows(r"In ?\["))
    first.type("import time")
    first.wait("second prompt", lambda screen: len(re.findall(r"^In ?\[", screen, re.MULTILINE)) > 1)
    first.type(CELL)
    first.wait("third step", shows("step 3"))
    before = first.screen(colours=True)
    first.kill()

    second = Terminal("second", project, environment)
    try:
        second.type("zmqkernel attach")
        second.wait("last step", shows("step 8"))
        second.wait("prompt", lambda screen: re.search(r"^In ?\[\d*\]: *$", screen.splitlines()[-1]) is not None)
        after = second.screen(colours=True)
    finally:
        second.kill()
        subprocess.run(["zmqkernel", "shutdown"], cwd=project, env=environment, check=False, stdout=subprocess.DEVNULL)
    return [("a terminal", before), ("that terminal is killed after step 3; another one, a moment later", after)]


def draw(screens: list[tuple[str, str]]) -> None:
    """Write the SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for number, (caption, screen) in enumerate(screens):
        if number:
            console.print()
        console.print(f"── {caption} ".ljust(COLUMNS, "─"), style="dim", highlight=False)
        console.print(Text.from_ansi(screen), highlight=False)
    svg = console.export_svg(title="zmqkernel attach")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts from a web host: any monospace will do
    (DOCS / "session.svg").write_text(svg)


if __name__ == "__main__":
    scratch = Path(tempfile.mkdtemp(prefix="zk-", dir="/tmp"))
    try:
        draw(play(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
