"""The user's IPython profile, as far as a kernel has one: configuration files, extensions, startup files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import log

if TYPE_CHECKING:
    from traitlets.config import Config

    from .shell import ZMQInteractiveShell

FILES = ("ipython_config.py", "ipython_kernel_config.py")


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
    return config


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
