"""The other floor: IPython's ``run_cell("pass")`` in a process with nothing else. Prints JSON, times in seconds."""

from __future__ import annotations

import json
import sys
import time

from IPython.core.interactiveshell import InteractiveShell


def main() -> None:
    """Time ``sys.argv[1]`` cells."""
    shell = InteractiveShell.instance()
    if shell.history_manager is not None:
        shell.history_manager.db_cache_size = 10_000  # otherwise a commit per cell is all that one measures
    for _ in range(20):
        shell.run_cell("pass", store_history=True)
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(int(sys.argv[1])):
        start = time.monotonic()
        shell.run_cell("pass", store_history=True)
        times.append(time.monotonic() - start)
    print(json.dumps({"clock": times, "cpu": (time.process_time() - cpu) / len(times)}))


if __name__ == "__main__":
    main()
