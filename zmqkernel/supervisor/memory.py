"""Keeping the supervisor small: what a burst of output needed goes back to the system when it is over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

LARGE = 128 * 1024
"""Blocks of this many bytes and more get a mapping of their own."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def frugal() -> Callable[[], None]:
    """Tell glibc's allocator to give large blocks back when they are freed; returns what gives back the rest of what is free.

    Left to itself it raises its limit for them to 32 MB after the first, and pages of the journal (1 MB each) stay in the heap.
    """
    import ctypes  # late: it costs 2 ms, and nobody waits any more

    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except AttributeError:
        return lambda: None  # another C library, which has ways of its own
    mallopt(_M_MMAP_THRESHOLD, LARGE)
    mallopt(_M_TRIM_THRESHOLD, 2 * LARGE)
    mallopt(_M_ARENA_MAX, 1)
    return partial(trim, 0)
