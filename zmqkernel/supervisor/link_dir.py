"""Making the directory of a link, before the kernel that writes to it starts (see docs/architecture.md)."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from ..protocol.layout import DEFAULT_SIZE, HEADER, format_ring


def prepare(directory: Path, size: int = DEFAULT_SIZE) -> None:
    """Make the directory of a link with an empty ring and the FIFO."""
    directory.mkdir(mode=0o700)
    descriptor = os.open(directory / "ring", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, HEADER + size)
        with mmap.mmap(descriptor, HEADER + size) as memory, memoryview(memory) as view:
            format_ring(view)
    finally:
        os.close(descriptor)
    os.mkfifo(directory / "wake", 0o600)
