"""The hop budget: how many functions and files of ours stand between the kernel's socket and user code.

A kernel process with a profile hook in all of its threads. The count begins when the io thread finds the execute_request
readable and ends when the cell's first statement runs: every function of ours that is called in between, publishing busy
and execute_input included. Left out is what the io thread does beside it, sending those to the clients.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .real import real_kernel

MOST_FUNCTIONS = 15
MOST_FILES = 5

PROFILED = """
import json, os, sys, threading

import zmqkernel

ROOT = os.path.dirname(zmqkernel.__file__) + os.sep
seen = []
receiving = False


def hook(frame, event, argument):
    code = frame.f_code
    if not code.co_filename.startswith(ROOT) or event not in ("call", "return"):
        return
    global receiving
    if code.co_qualname == "Transport._receive":
        receiving = event == "call"
        if receiving:
            seen.clear()
    if event == "call" and (receiving or threading.current_thread() is threading.main_thread()):
        seen.append((code.co_filename.removeprefix(ROOT), code.co_qualname))


threading.setprofile(hook)
sys.setprofile(hook)
import builtins

def reached():
    sys.setprofile(None)
    print(json.dumps(list(seen)))
    sys.setprofile(hook)

builtins.reached = reached
from zmqkernel.kernel.app import main
main()
"""


def test_between_the_socket_and_user_code(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "profiled.py"
    script.write_text(PROFILED)
    with real_kernel(tmp_path, [sys.executable, str(script)]) as kernel:
        for _ in range(5):
            kernel.execute("pass")
        _, outputs = kernel.execute("reached()")
    text = "".join(message["content"]["text"] for message in outputs)
    calls = {tuple(call) for call in json.loads(text)}
    files = {file for file, _ in calls}
    assert ("kernel/execution.py", "execute") in calls
    print(*sorted(calls), sep="\n")
    assert len(files) <= MOST_FILES, sorted(files)
    assert len(calls) <= MOST_FUNCTIONS, sorted(calls)
