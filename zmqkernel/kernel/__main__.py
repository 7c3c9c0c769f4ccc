"""``python -m zmqkernel.kernel``."""

import os
import sys

# A random.py in the working directory must not break the kernel; user code gets this entry back as "".
if sys.path and sys.path[0] == os.getcwd():
    del sys.path[0]

# msgspec asks for typing_extensions before typing, which has all it wants: 10 ms before the first answer.
sys.modules["typing_extensions"] = None  # type: ignore[assignment]
import msgspec  # noqa: E402, F401

del sys.modules["typing_extensions"]

from .app import main  # noqa: E402

main()
