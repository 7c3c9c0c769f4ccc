"""The lock of a session."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zmqkernel.protocol.errors import LockHeld
from zmqkernel.supervisor.lock import Lock

HOLD = """
import sys, pathlib
from zmqkernel.supervisor.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1])); lock.take(); lock.note(ready=True)
print("held", flush=True); sys.stdin.read()
"""


def test_one_holder_and_free_again_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout and child.stdout.readline() == "held\n"
        with pytest.raises(LockHeld):
            Lock(path).take()
        assert not Lock(path).take_or_find_ready(5)
        assert json.loads(path.read_bytes())["pid"] == child.pid
    finally:
        child.kill()
        child.communicate()
    assert Lock(path).take_or_find_ready(5)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"):
        Lock(tmp_path / "lock").take()
    assert not (tmp_path / "elsewhere").exists()
