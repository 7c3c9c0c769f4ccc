"""The whole source is linted, formatted and type-checked; a failure prints what the tool said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = {
    "ruff-check": ["ruff", "check", "--no-cache"],
    "ruff-format": ["ruff", "format", "--check", "--no-cache"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("name", CHECKS)
def test_tidy(name: str) -> None:
    module, *arguments = CHECKS[name]
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
