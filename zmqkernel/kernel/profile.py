"""The user's IPython profile, as far as a kernel has one: configuration files, extensions, startup files; and what whoever
starts the kernel sets beside it (nbclient: ``--HistoryManager.hist_file=:memory:``)."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import log

if TYPE_CHECKING:
    from traitlets.config import Config

    from .shell import ZMQInteractiveShell

FILES = ("ipython_config.py", "ipython_kernel_config.py")
OPTIONS = "ZMQKERNEL_OPTIONS"
"""Environment of a session's kernel: options as a JSON list, as on the command line of a bare kernel."""


def directory() -> Path:
    """The default profile's directory."""
    root = os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython")
    return Path(root) / "profile_default"


def load_config() -> Config:
    """What the profile's configuration files say; one that fails is logged and left out."""
    from traitlets.config import Config

    config = Config()
    for name in FILES:
        path = directory() / name
        if not path.exists():
            continue
        from traitlets.config.loader import PyFileConfigLoader

        try:
            config.merge(PyFileConfigLoader(name, path=str(directory())).load_config())
        except Exception:  # noqa: BLE001 - the user's code: a kernel that starts with the defaults is more use than none
            log.bug(f"{path} was not loaded")
    given = options([*sys.argv[1:], *json.loads(os.environ.pop(OPTIONS, "[]"))])
    if given:
        from traitlets.config.loader import KeyValueConfigLoader

        config.merge(KeyValueConfigLoader(given).load_config())
    return config


def options(arguments: list[str]) -> list[str]:
    """Those of some arguments that set something in a configuration: ``--Class.name=value``."""
    return [argument for argument in arguments if re.match(r"--[A-Z]\w*\.\w+=", argument)]


def run_startup(shell: ZMQInteractiveShell) -> None:
    """Load the configured extensions, run the configured lines and the files in ``startup/``."""
    application = shell.config.get("InteractiveShellApp", {})
    for extension in application.get("extensions", []):
        try:
            shell.extension_manager.load_extension(extension)
        except Exception:  # noqa: BLE001 - the user's code, as above
            log.bug(f"extension {extension} was not loaded")
    for line in application.get("exec_lines", []):
        shell.run_cell(line, store_history=False)
    startup = directory() / "startup"
    if startup.is_dir():
        for path in sorted(p for p in startup.iterdir() if p.suffix in (".py", ".ipy")):
            shell.safe_execfile(str(path), shell.user_ns, raise_exceptions=False) if path.suffix == ".py" else (
                shell.safe_execfile_ipy(str(path))
            )
