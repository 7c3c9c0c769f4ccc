"""The kernelspecs: how Jupyter learns to start a bare kernel (``zmqkernel``), or to put one into a session
(``zmqkernel-session``) that outlives Jupyter."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

NAME = "zmqkernel"
SESSION_NAME = "zmqkernel-session"


def specs(executable: str = sys.executable) -> dict[str, dict[str, Any]]:
    """The content of both ``kernel.json`` for one Python, by kernel name.

    ``interrupt_mode`` of the bare kernel is ``signal``: a manager on the same machine signals the process group, which works
    however deep the kernel is in a system call, and ends child processes of the cell. The process that a manager starts for
    a session is not the kernel, so there it is ``message``, and the session's supervisor does the same.
    """
    both = {"language": "python", "kernel_protocol_version": "5.5", "metadata": {"debugger": False}}
    return {
        NAME: {
            "argv": [executable, "-m", "zmqkernel.kernel", "-f", "{connection_file}"],
            "display_name": "Python 3 (zmqkernel)",
            "interrupt_mode": "signal",
            **both,
        },
        SESSION_NAME: {
            # -P: no module from the notebook's directory
            "argv": [executable, "-P", "-m", "zmqkernel.hosted", "-f", "{connection_file}"],
            "display_name": "Python 3 (zmqkernel session)",
            "interrupt_mode": "message",
            **both,
        },
    }


def install(prefix: Path | str | None = None, executable: str = sys.executable) -> list[Path]:
    """Write both for this user, or under ``prefix`` (``sys.prefix`` for one environment); returns their directories."""
    if prefix is not None:
        data = Path(prefix) / "share" / "jupyter"
    elif "JUPYTER_DATA_DIR" in os.environ:
        data = Path(os.environ["JUPYTER_DATA_DIR"])
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")) / "jupyter"
    directories: list[Path] = []
    for name, spec in specs(executable).items():
        directory = data / "kernels" / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "kernel.json").write_bytes(msgspec.json.format(msgspec.json.encode(spec), indent=1) + b"\n")
        directories.append(directory)
    return directories
