"""What is written before a kernel of ours is started: the header of its ring, and its connection file.

Apart from ring.py and connection.py, and without msgspec, because the supervisor starts the kernel before it imports
anything heavy: the kernel needs longer than the supervisor does.
"""

from __future__ import annotations

import json

MAGIC = 0x335A4B52  # "RKZ3"
HEADER = 4096
"""Bytes before the data of a ring."""
DEFAULT_SIZE = 4 * 1024 * 1024
"""Bytes of data."""

# Indices of u64 words in the header. HEAD is stored by the writer only; TAIL and the notes by the reader only.
MAGIC_WORD, SIZE, HEAD, TAIL, WAITING = range(5)

# Values of WAITING. A reader that naps looks again by itself within milliseconds: text need not wake it, messages do.
AWAKE, NAPS, SLEEPS = range(3)


def format_ring(memory: memoryview) -> None:
    """Write the header of a new, zero-filled ring."""
    words = memory[:HEADER].cast("Q")
    words[SIZE] = len(memory) - HEADER
    words[MAGIC_WORD] = MAGIC


def connection_text(prefix: str, key: str, kernel_name: str) -> bytes:
    """A connection file with the ipc endpoints ``prefix-1`` to ``prefix-5``, in a directory that is private."""
    fields = {
        "shell_port": 1,
        "iopub_port": 2,
        "stdin_port": 3,
        "control_port": 4,
        "hb_port": 5,
        "ip": prefix,
        "key": key,
        "transport": "ipc",
        "signature_scheme": "hmac-sha256",
        "kernel_name": kernel_name,
    }
    return json.dumps(fields, indent=1).encode() + b"\n"
