"""JupyterLab in a real browser, on a notebook whose kernel is a session."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from zmqkernel import kernelspec
from zmqkernel.client import Client

from .conftest import lives, session_called, wait_for

SECONDS = 60.0
PATIENCE = SECONDS * 1000
"""The same for the browser, in ms."""

CELLS = [
    "x = 41",
    "import time\nfor count in range(1, 31):\n    print('count', count, flush=True)\n    time.sleep(0.1)",
    "print('then', x + 1, 'after', count)",
]


class Lab:
    """A server of its own, on 127.0.0.1 and with a token; ended as by the out-of-memory killer."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.token = secrets.token_hex(16)
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip",
            "127.0.0.1",
            "--port",
            "0",
        ]
        command += [f"--IdentityProvider.token={self.token}", "--LabApp.extension_manager=readonly"]
        settings = home / "jupyter-config/lab/user-settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
        self._log = open(home / "lab.log", "ab")  # noqa: SIM115  closed by close()
        self._process = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=self._log)
        self._record = home / "jupyter-runtime" / f"jpserver-{self._process.pid}.json"
        wait_for(self._serves, SECONDS)
        self._address = str(json.loads(self._record.read_text())["url"])

    def _serves(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        try:
            return bool(json.loads(self._record.read_text()))
        except (OSError, ValueError):
            return False  # not yet, or half written

    @contextmanager
    def notebook(self, browser: Browser, name: str) -> Iterator[Page]:
        """A page with the notebook open and its kernel ready."""
        with browser.new_page(viewport={"width": 1000, "height": 620}) as page:
            page.set_default_timeout(PATIENCE)
            page.goto(f"{self._address}lab/tree/{name}?token={self.token}&reset")
            expect(page.get_by_text("Python 3 (zmqkernel session) | Idle")).to_be_visible(timeout=PATIENCE)
            yield page

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()


def run(page: Page, number: int) -> Locator:
    """Run a cell; the place where its output appears."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    return cell.locator(".jp-OutputArea-output")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: tests/install-tools installs it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.timeout(300)
def test_lab_finds_the_session_again(browser: Browser, project: Path, home: Path, tmp_path: Path) -> None:
    write_notebook(project / "birds.ipynb")
    with Lab(project, home) as lab:
        with lab.notebook(browser, "birds.ipynb") as page:
            run(page, 0)
            expect(run(page, 1)).to_contain_text("count 3", timeout=PATIENCE)
        with Client.connect(session_called(project, "birds"), start=False) as client:
            kernel = client.info().kernel_pid
        with lab.notebook(browser, "birds.ipynb") as page:  # the page was closed while the cell ran
            expect(run(page, 2)).to_have_text("then 42 after 30", timeout=PATIENCE)
        lab.kill()
    with Client.connect(session_called(project, "birds"), start=False) as client:
        wait_for(lambda: not client.info().served)  # the process that stood for the kernel has ended with its server
    with Lab(project, home) as lab, lab.notebook(browser, "birds.ipynb") as page:
        expect(run(page, 2)).to_have_text("then 42 after 30", timeout=PATIENCE)
        page.screenshot(path=tmp_path / "lab.png")
    assert lives(kernel)


def write_notebook(path: Path) -> None:
    """A notebook of CELLS for the kernel ``zmqkernel-session``."""
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for n, source in enumerate(CELLS)
    ]
    spec = {"name": kernelspec.SESSION_NAME, "display_name": "Python 3 (zmqkernel session)", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))
