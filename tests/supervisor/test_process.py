"""Saying why a kernel ended."""

from __future__ import annotations

import pytest

from zmqkernel.protocol.errors import ZmqKernelError
from zmqkernel.supervisor.process import Death, spec_argv

FAULT = """Fatal Python error: Segmentation fault

Thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007e (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/home/me/analysis.py", line 12 in crash
  File "/home/me/analysis.py", line 14 in <module>
  File "/venv/lib/python3.11/site-packages/IPython/core/interactiveshell.py", line 3 in run_code

Extension modules: zmq.backend
"""


def test_the_reason_names_the_signal_and_the_line_is_the_users() -> None:
    death = Death(-11, FAULT, "")
    assert death.reason == "the kernel died: segmentation fault (SIGSEGV)"
    assert death.line == "/home/me/analysis.py:12"
    assert death.traceback[1:] == ["  /home/me/analysis.py, line 14", "  /home/me/analysis.py, line 12"]


def test_a_cell_without_a_document_is_named_by_its_number() -> None:
    death = Death(
        -6, 'Current thread 0x1 (most recent call first):\n  File "<ipython-input-9-90cf>", line 3 in f\n\n', ""
    )
    assert death.line == "In [9]:3"


def test_an_exit_code() -> None:
    death = Death(3, "", "")
    assert death.reason == "the kernel ended with exit code 3"
    assert death.line == ""
    assert death.traceback == []


def test_an_unknown_kernelspec_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "kernels" / "mine").mkdir(parents=True)
    (tmp_path / "kernels" / "mine" / "kernel.json").write_text(
        '{"argv": ["prog", "-f", "{connection_file}"], "display_name": "x", "language": "y"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    argv, _, mode = spec_argv("mine", tmp_path / "c.json")
    assert argv == ["prog", "-f", str(tmp_path / "c.json")]
    assert mode == "signal"
    with pytest.raises(ZmqKernelError) as caught:
        spec_argv("nowhere", tmp_path / "c.json")
    assert "mine" in caught.value.hint
    assert "zmqkernel" in caught.value.hint
