"""``python -m zmqkernel.supervisor``: start the supervisor of a session, away from whoever called.

The kernel is started before anything heavy is imported: it needs longer than we do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from ..paths import Session
from ..protocol.errors import ZmqKernelError
from . import scope

USAGE = (
    "usage: python -m zmqkernel.supervisor --project DIR --name NAME"
    " [--python EXE] [--kernel SPEC] [--cwd DIR] [--no-kernel] [--no-restart]"
    " [--journal-size BYTES] [--journal-age DAYS] [--output-cap BYTES]"
)
SILENT = (
    b'{"status":"error","code":"error","message":"the supervisor died while it started",'
    b'"hint":"See supervisor.log in the state directory of the session."}'
)
VALUES = ("project", "name", "python", "kernel", "cwd", "journal-size", "journal-age", "output-cap")
FLAGS = ("no-kernel", "no-restart")


def parse(arguments: list[str]) -> dict[str, str]:
    """``--key value`` and flags; argparse would cost a tenth of our start."""
    result: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        key = argument.removeprefix("--")
        if argument.startswith("--") and key in VALUES:
            value = next(rest, "")
            # The supervisor leaves the caller's directory, so what is relative to it must not be.
            result[key] = os.path.abspath(value) if key == "cwd" or (key == "python" and "/" in value) else value
        elif argument.startswith("--") and key in FLAGS:
            result[key] = "yes"
        else:
            raise ZmqKernelError(f"unknown argument {argument!r}", hint=USAGE)
    if not result.get("project") or not result.get("name"):
        raise ZmqKernelError("--project and --name are needed", hint=USAGE)
    return result


def main() -> int:
    """Fork away; the caller's copy waits for the word of the other and prints it."""
    in_scope = scope.entered()
    if not in_scope and (status := scope.start_in_scope(sys.argv[1:])) is not None:
        return status
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _detached(writer, scope.notice() if in_scope else "")
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read() or SILENT
    sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.flush()
    return 0 if b'"status": "ok"' in answer else 1


def _detached(writer: int, notice: str) -> NoReturn:
    os.setsid()
    status = 1
    try:
        settings = parse(sys.argv[1:])
        session = Session(Path(os.path.realpath(settings["project"])), settings["name"])
        from .begin import run

        run(session, settings, writer, notice)
        status = 0
    except ZmqKernelError as error:
        _tell_error(writer, error)
    except BaseException as error:  # noqa: BLE001  the end of this process: whatever it was must be in its log
        import traceback

        traceback.print_exc()  # into supervisor.log once that is open, else to the caller's terminal
        if isinstance(error, OSError):
            place = f"{error.filename}: " if error.filename else ""
            hint = "The state directory and the sockets' directory must be writable, and have room."
            _tell_error(writer, ZmqKernelError(f"the session cannot start: {place}{error.strerror}", hint=hint))
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tell_error(writer: int, error: ZmqKernelError) -> None:
    import json

    answer = {"status": "error", "code": error.code, "message": str(error), "hint": error.hint}
    try:
        os.write(writer, json.dumps(answer).encode())
    except OSError:
        pass  # whoever called has had its answer, or is gone: the log has the error


if __name__ == "__main__":
    sys.exit(main())
