"""What one answer may cost: time and items. What does not fit is left out, and the answer says that it is incomplete."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SECONDS = 0.08
"""A little less than an editor waits for a live answer."""
ITEMS = 500
"""Most items in a reply."""
STEP = 256
"""Items between two looks at the clock."""

Item = TypeVar("Item")


class Budget:
    """The deadline of one request, and whether something was left out because of it."""

    def __init__(self, seconds: float = SECONDS, items: int = ITEMS) -> None:
        self._deadline = time.monotonic() + seconds
        self.items = items
        self.incomplete = False

    @property
    def left(self) -> float:
        """Seconds, not below 0."""
        return max(0.0, self._deadline - time.monotonic())

    def is_spent(self) -> bool:
        """Is there no time left? Then the answer is incomplete."""
        is_over = time.monotonic() > self._deadline
        self.incomplete = self.incomplete or is_over
        return is_over

    def within(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, as long as there is time."""
        for number, item in enumerate(items):
            if number % STEP == STEP - 1 and self.is_spent():
                return
            yield item

    def cut(self, items: list[Item]) -> list[Item]:
        """The first ``self.items`` of them."""
        if len(items) > self.items:
            self.incomplete = True
        return items[: self.items]
