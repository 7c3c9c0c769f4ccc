"""Settings of the command line: ``$XDG_CONFIG_HOME/zmqkernel/config.toml``, then ``ZMQKERNEL_<NAME>`` in the environment.

The limits (the last three), when they are empty or 0, are as they were the last time; for a new session 4G, 90 days and 1G.

An example with every setting and its default::

    python = ""      # interpreter of a new session; empty: the one that runs zmqkernel
    kernel = ""      # Jupyter kernelspec of a new session; empty: our own kernel
    restart = true   # start a new kernel when one dies
    timeout = 10.0   # seconds that a session may take to answer
    images = ""      # where pictures are saved; empty: $XDG_CACHE_HOME/zmqkernel/images
    journal_size = ""  # how large a session's journal may grow ("500M", "4G") before its oldest part is removed
    journal_age = 0    # for how many days it is kept
    output_cap = ""    # how much one execution may put out; the rest is cut, and the journal says so
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from .protocol.errors import ZmqKernelError

PREFIX = "ZMQKERNEL_"

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings; the module's docstring says what each one is for."""

    python: str = ""
    kernel: str = ""
    restart: bool = True
    timeout: float = 10.0
    images: str = ""
    journal_size: int | str = ""
    journal_age: float = 0
    output_cap: int | str = ""

    def __post_init__(self) -> None:
        """Raises ValueError (to msgspec, which names the place) for a size or an age that is none."""
        size_of("journal_size", self.journal_size)
        size_of("output_cap", self.output_cap)
        if self.journal_age < 0:
            raise ValueError("journal_age is a number of days")

    @property
    def limits(self) -> dict[str, str]:
        """What is set of the limits, as options of the supervisor: name without ``--`` to bytes or days."""
        limits = {
            "journal-size": size_of("journal_size", self.journal_size),
            "journal-age": self.journal_age,
            "output-cap": size_of("output_cap", self.output_cap),
        }
        return {name: str(int(value) if value == int(value) else value) for name, value in limits.items() if value}

    @property
    def image_dir(self) -> Path:
        """Where pictures are saved."""
        if self.images:
            return Path(self.images).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zmqkernel" / "images"


def size_of(name: str, value: int | str) -> int:
    """Bytes, as a number or as people write them: "500M", "4 GB", "1GiB"; empty is 0. ValueError names the setting."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if text and not match:
        raise ValueError(f"{name} is a size like '4G', not {value!r}")
    return int(float(match[1]) * UNITS[match[2].upper()]) if match else 0


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
