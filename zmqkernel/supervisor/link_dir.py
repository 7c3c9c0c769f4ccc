"""Making the directory of a link, before the kernel that writes to it starts (see docs/architecture.md)."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path

from ..protocol.layout import DEFAULT_SIZE, HEADER, format_ring

REMAINS = "link-of-"


def prepare(directory: Path, size: int = DEFAULT_SIZE) -> None:
    """Make the directory of a link with an empty ring and the FIFO."""
    directory.mkdir(mode=0o700)
    descriptor = os.open(directory / "ring", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Not ftruncate: on a full disk a store into a page that has no block would end the kernel with SIGBUS.
        os.posix_fallocate(descriptor, 0, HEADER + size)
        with mmap.mmap(descriptor, HEADER + size) as memory, memoryview(memory) as view:
            format_ring(view)
    finally:
        os.close(descriptor)
    os.mkfifo(directory / "wake", 0o600)


def prefix_of(connection: bytes) -> str:
    """The path of a kernel's ipc endpoints without their numbers, from its connection file."""
    try:
        return str(json.loads(connection)["ip"])
    except (ValueError, KeyError, TypeError):
        return ""  # torn by a power failure: then no kernel lives that has read it


def generation_of(connection: bytes) -> int:
    """How many kernels this session had had with the one that this connection file is for."""
    _, _, number = prefix_of(connection).rpartition("/k")
    return int(number) if number.isdigit() else 1


def put_aside(directory: Path, generation: int) -> None:
    """Keep what a dead kernel has said, and nobody has read, under another name: the next kernel needs the directory."""
    directory.rename(directory.with_name(f"{REMAINS}{generation:06d}"))


def remains(parent: Path) -> list[Path]:
    """Link directories of dead kernels, oldest first."""
    return sorted(parent.glob(f"{REMAINS}*"))
