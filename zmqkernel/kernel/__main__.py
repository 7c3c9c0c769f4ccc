"""``python -m zmqkernel.kernel``."""

import os
import sys

# A random.py in the working directory must not break the kernel; user code gets this entry back as "".
if sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 - pathlib is not imported this early
    del sys.path[0]

from .app import main  # noqa: E402

main()
