"""SIGINT: a KeyboardInterrupt for user code, nothing at all for the kernel.

While user code runs the handler is Python's own (so ``asyncio.run()`` can put its own in its place). In between it only
remembers an interrupt when requests are waiting: the user has seen them sent, and means the first of them.
"""

from __future__ import annotations

import os
import signal
from _signal import signal as set_handler  # signal.signal costs ten times as much, twice for every cell
import sys
from collections.abc import Callable
from types import FrameType

_SIGINT = int(signal.SIGINT)


class Interrupts:
    """Main thread only, except :meth:`send`."""

    def __init__(self, waiting: Callable[[], bool]) -> None:
        self.armed = False
        """User code runs."""
        self._waiting = waiting
        self._next = False

    def install(self) -> None:
        """From now on SIGINT never ends or disturbs the kernel itself."""
        signal.signal(signal.SIGINT, self._between_cells)

    def arm(self) -> None:
        """User code begins. Raises KeyboardInterrupt when an interrupt came while this request waited."""
        set_handler(_SIGINT, signal.default_int_handler)
        self.armed = True
        if self._next:
            self._next = False
            raise KeyboardInterrupt

    def disarm(self) -> None:
        """User code has ended. An interrupt that comes now is too late for it."""
        while True:
            try:
                set_handler(_SIGINT, self._between_cells)
                self.armed = False
                return
            except KeyboardInterrupt:
                continue  # it came between the end of the code and this line

    def send(self) -> None:
        """Interrupt from any thread. Child processes of a cell are in our process group, if that is our own."""
        pid = os.getpid()
        if os.getpgid(0) == pid:
            os.killpg(pid, signal.SIGINT)
        else:
            os.kill(pid, signal.SIGINT)

    def _between_cells(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if not self._waiting():
            return
        asyncio = sys.modules.get("asyncio")
        if asyncio and asyncio._get_running_loop() and asyncio.current_task():
            raise KeyboardInterrupt  # a background task that does not let go of the loop stands before the request
        self._next = True
