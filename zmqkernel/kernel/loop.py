"""The user's event loop: where top-level ``await`` runs, and where the main thread waits between cells.

There is none before something has imported asyncio. A synchronous cell runs while no loop is running, so ``asyncio.run()``
works in it; background tasks go on between cells and while an asynchronous cell runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from . import log

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class UserLoop:
    """One loop for the whole session, made when it is first needed. Main thread only, but for what ``wait`` hands out."""

    def __init__(self) -> None:
        self.interrupted = False
        """The asynchronous cell that runs now was cancelled by an interrupt."""
        self._loop: AbstractEventLoop | None = None

    def __call__(self, cell: Coroutine[Any, Any, Any]) -> Any:
        """IPython's ``loop_runner``: run an asynchronous cell."""
        loop = self.get()
        self.interrupted = False
        task = loop.create_task(cell)
        try:
            return loop.run_until_complete(task)
        except KeyboardInterrupt:
            if task.done():
                raise
            # It hit the loop while the cell awaited something: the cell is told, and may clean up.
            self.interrupted = True
            task.cancel()
            return loop.run_until_complete(task)

    def get(self) -> AbstractEventLoop:
        """The loop; also what ``asyncio.get_event_loop()`` gives in a synchronous cell."""
        import asyncio

        if self._loop is None or self._loop.is_closed():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    self._loop = asyncio.get_event_loop()  # a cell may have made one
                except RuntimeError:
                    self._loop = asyncio.new_event_loop()
            if self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # asyncio.run() in a cell has unset it
        return self._loop

    def wait(
        self, ready: Callable[[], bool], seconds: float | None, publish: Callable[[Callable[[], None] | None], None]
    ) -> bool:
        """Run the loop until ``ready()`` or ``seconds`` are over; False when it cannot be run.

        ``publish`` is given a function with which any thread ends the waiting, and None when it is over.
        """
        try:
            loop = self.get()
            arrived = loop.create_future()
        except Exception:  # noqa: BLE001 - the user's asyncio (a policy, a half import): the kernel waits without a loop then
            log.bug("the user's event loop cannot be run")
            return False

        def end() -> None:
            if not arrived.done():
                arrived.set_result(None)

        def end_from_any_thread() -> None:
            try:
                loop.call_soon_threadsafe(end)
            except RuntimeError:
                pass  # the user's code has closed the loop: then nobody waits in it

        timer = loop.call_later(seconds, end) if seconds is not None else None
        publish(end_from_any_thread)
        try:
            if not ready():
                loop.run_until_complete(arrived)
        except KeyboardInterrupt:
            pass  # it was for a callback that would not end: the next request is served now
        except BaseException as error:  # noqa: BLE001 - a background task left with SystemExit, or stopped the loop
            log.say(f"the user's event loop was left by {error!r}")
        finally:
            publish(None)
            arrived.cancel()
            if timer:
                timer.cancel()
        return True
