"""How a command ends: the one place where an error of ours becomes words and an exit code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ..commands.running import DIED, FAILED, NO_SESSION, Left
from ..protocol.errors import KernelDied, Unreachable, ZmqKernelError

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES = """Exit codes: 0 done; 1 it failed, or the code raised; 2 wrong usage; 3 there is no such session, or nobody answers;
4 the kernel died; 130 left while it ran: the code goes on."""


def reported(command: F) -> F:
    """A command whose errors are told on standard error and in the exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except ZmqKernelError as error:
            sys.stdout.flush()
            print(f"error: {error}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)
            raise SystemExit(_code_of(error)) from None
        except Left as left:
            print(f"{str(left) or 'the code goes on'}; see it: zmqkernel attach", file=sys.stderr)
            raise SystemExit(130) from None

    return run  # pyright: ignore[reportReturnType]  functools.wraps keeps the signature


def _code_of(error: ZmqKernelError) -> int:
    if isinstance(error, KernelDied):
        return DIED
    return NO_SESSION if isinstance(error, Unreachable) else FAILED
