"""The kernelspec ``zmqkernel``: how Jupyter learns to start a bare kernel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

NAME = "zmqkernel"


def kernel_json(executable: str = sys.executable) -> bytes:
    """The text of ``kernel.json`` for one Python.

    ``interrupt_mode`` is ``signal``: a manager on the same machine signals the process group, which works however deep the
    kernel is in a system call, and ends child processes of the cell. An ``interrupt_request`` does the same.
    """
    spec = {
        "argv": [executable, "-m", "zmqkernel.kernel", "-f", "{connection_file}"],
        "display_name": "Python 3 (zmqkernel)",
        "language": "python",
        "interrupt_mode": "signal",
        "kernel_protocol_version": "5.5",
        "metadata": {"debugger": False},
    }
    return msgspec.json.format(msgspec.json.encode(spec), indent=1) + b"\n"


def install(prefix: Path | str | None = None, executable: str = sys.executable) -> Path:
    """Write the kernelspec for this user, or under ``prefix`` (``sys.prefix`` for one environment); returns its directory."""
    if prefix is not None:
        data = Path(prefix) / "share" / "jupyter"
    elif "JUPYTER_DATA_DIR" in os.environ:
        data = Path(os.environ["JUPYTER_DATA_DIR"])
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")) / "jupyter"
    directory = data / "kernels" / NAME
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "kernel.json").write_bytes(kernel_json(executable))
    return directory
