"""Settings of the command line: ``$XDG_CONFIG_HOME/zmqkernel/config.toml``, then ``ZMQKERNEL_<NAME>`` in the environment.

An example with every setting and its default::

    python = ""      # interpreter of a new session; empty: the one that runs zmqkernel
    kernel = ""      # Jupyter kernelspec of a new session; empty: our own kernel
    restart = true   # start a new kernel when one dies
    timeout = 10.0   # seconds that a session may take to answer
    images = ""      # where pictures are saved; empty: $XDG_CACHE_HOME/zmqkernel/images
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from .protocol.errors import ZmqKernelError

PREFIX = "ZMQKERNEL_"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings; the module's docstring says what each one is for."""

    python: str = ""
    kernel: str = ""
    restart: bool = True
    timeout: float = 10.0
    images: str = ""

    @property
    def image_dir(self) -> Path:
        """Where pictures are saved."""
        if self.images:
            return Path(self.images).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqkernel" / "images"


def config_file() -> Path:
    """Where the settings are read from."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "zmqkernel" / "config.toml"


def load() -> Config:
    """The settings of now. ZmqKernelError names what is wrong and where."""
    path = config_file()
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        values = {}
    except (OSError, ValueError) as error:
        raise ZmqKernelError(f"cannot read {path}: {error}", hint="It is a TOML file.") from None
    where = str(path)
    try:
        msgspec.convert(values, Config)
        where = f"the {PREFIX}... environment variables"
        given = {name: os.environ.get(PREFIX + name.upper()) for name in Config.__struct_fields__}
        values.update({name: value for name, value in given.items() if value})
        return msgspec.convert(values, Config, strict=False)
    except msgspec.ValidationError as error:
        names = ", ".join(Config.__struct_fields__)
        raise ZmqKernelError(f"{where}: {error}", hint=f"The settings are {names}.") from None
