"""The command ``zmqkernel``. ``zmqkernel lsp`` must not pay for the other commands, so it is looked for first."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """The entry point; returns the exit code."""
    if sys.argv[1:] == ["lsp"]:
        return bridge()
    from .app import app

    try:
        app(prog_name="zmqkernel")
    except SystemExit as end:
        sys.stdout.flush()
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:
        # Whoever read our output has seen enough (zmqkernel log | head); Python would complain once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return 0


def bridge() -> int:
    """Be the language server on standard input and output: the module is run as ``python -m lsp_bridge`` would."""
    import runpy

    runpy.run_module("lsp_bridge", run_name="__main__", alter_sys=True)
    return 0
