"""Starting and ending the process: arguments, connection file, the threads, the shell.

The order is the point: bind and answer first (a client waits for that), import IPython afterwards.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

from ..protocol.connection import CHANNELS, ConnectionInfo
from ..protocol.errors import ZmqKernelError
from ..protocol.wire import Wire
from . import log
from .dispatch import STARTING, Kernel
from .execution import MainLane
from .handlers import TABLE
from .stdin import Stdin
from .transport import Transport

if TYPE_CHECKING:
    from .outlet import Outlet
    from .revival import Revival

USAGE = "usage: python -m zmqkernel.kernel -f CONNECTION_FILE [--link DIR]"
SWITCH_INTERVAL = 0.0015
"""Seconds. Python's 5 ms is how long a completion or kernel_info would wait for a busy cell; below 1 ms cells get slower."""
LAST_CALL = 3.0
"""Seconds that user code (a cell that ignores interrupts, a thread that is no daemon) may delay a shutdown."""


def main() -> None:
    """The process. Exit status 0 after shutdown, 1 when it cannot start, 2 for wrong arguments."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    file, link = parse(sys.argv[1:])
    try:
        kernel, transport = start(file, link)
    except (OSError, ZmqKernelError) as error:
        log.say(f"cannot start: {error}")
        sys.exit(1)
    kernel.interrupts.install()
    run(kernel, transport)


def parse(argv: list[str]) -> tuple[str, str]:
    """The connection file and the link directory (or an empty string). argparse would cost a tenth of the start."""
    values = {"-f": "", "--link": ""}
    rest = iter(argv)
    for argument in rest:
        name, equals, value = argument.partition("=")
        name = "-f" if name in ("--f", "--connection-file") else name
        if name in values:
            values[name] = value if equals else next(rest, "")
        elif argument in ("-h", "--help"):
            print(USAGE)
            sys.exit(0)
        elif not re.match(r"--[A-Z]\w*\.\w+=", argument):  # those are for IPython: profile.options
            log.say(f"unknown argument {argument!r} ignored")
    if not values["-f"]:
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    return values["-f"], values["--link"]


def start(file: str, link: str) -> tuple[Kernel, Transport]:
    """Bind, and answer from now on. Needs nothing of IPython."""
    with open(file, "rb") as opened:
        info = ConnectionInfo.decode(opened.read(), file)
    open_ports = [info.port(channel) for channel in CHANNELS]
    wire = Wire(info.key, os.urandom(16).hex(), os.environ.get("USER", ""))
    transport = Transport(info, wire)
    if 0 in open_ports:
        from pathlib import Path

        from ..paths import write_private

        write_private(Path(file), info.encode())
    kernel = Kernel(wire, TABLE, MainLane(), Stdin())
    kernel.interrupt = interrupt
    kernel.ports = {f"{channel}_port": info.port(channel) for channel in CHANNELS}
    kernel.sweep = transport.sweep
    kernel.shutdown = lambda: shutdown(kernel)
    kernel.rebind = transport.rebind
    kernel.in_session = bool(link)
    kernel.outlet = make_outlet(kernel, transport, link)
    return kernel, transport


def make_outlet(kernel: Kernel, transport: Transport, link: str) -> Outlet:
    """Capture fd 1 and 2, choose the way out, and let the io thread begin."""
    from pathlib import Path

    from .descriptors import capture
    from .streams import OutStream

    if link:
        from .fault import Fault
        from .link import RingOutlet
        from .revival import Revival

        captured = capture(Path(link))
        kernel.fault = Fault(Path(link))
        outlet: Outlet = RingOutlet(Path(link), captured)
        outgoing = None
        revival = Revival(Path(link))
        parent = revival.supervisor()
        join_session(kernel, transport, revival)
    else:
        from .outlet import SocketOutlet

        captured = capture()
        outlet = outgoing = SocketOutlet(transport.wake, kernel.build, captured)
        pid = int(os.environ.get("JPY_PARENT_PID") or 0)
        parent = pid if pid > 1 else None
        transport.orphaned = kernel.shutdown
    log.to(captured.log)
    sys.stdout, sys.stderr = OutStream("stdout", outlet), OutStream("stderr", outlet)
    outlet.send("iopub", kernel.wire.message("status", STARTING, idents=kernel.busy_topic))
    kernel.outlet = outlet
    transport.start(kernel.accept, outgoing, parent)
    return outlet


def join_session(kernel: Kernel, transport: Transport, revival: Revival) -> None:
    """Without its supervisor a session's kernel does not leave: it sees to it that there is another, until it is told to end."""

    def adopt(pid: int) -> None:
        revival.adopted()
        transport.watch(pid)

    def leave() -> None:
        revival.end()
        shutdown(kernel)

    transport.orphaned = revival.begin
    kernel.adopt = adopt
    kernel.shutdown = leave


def run(kernel: Kernel, transport: Transport) -> None:
    """The main thread from here on: IPython, then requests until shutdown."""
    import atexit

    # First in, last out: what exit handlers of user code print still goes out.
    atexit.register(end, kernel, transport)
    make_shell(kernel)
    import threading

    if kernel.in_session:
        from .mirror.lane import MirrorLane

        kernel.mirror = MirrorLane(kernel)
    threading.Thread(target=kernel.serve_side, name="introspection", daemon=True).start()
    kernel.main.run(kernel)
    kernel.shell.save_history()
    kernel.side.put(None)
    give_up_later()


def make_shell(kernel: Kernel) -> None:
    """Import IPython and make everything that user code expects."""
    from . import comms, ownership, profile
    from .shell import ZMQInteractiveShell

    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    shell = ZMQInteractiveShell.instance(kernel=kernel, config=profile.load_config())
    kernel.shell = shell
    comms.install(kernel)
    kernel.stdin.install(kernel)
    ownership.install()
    sys.path.insert(0, "")  # as in a plain interpreter: the working directory, wherever it goes
    profile.run_startup(shell)
    shell.run_cell("pass", store_history=False, silent=True)  # imports what IPython imports on the first cell


def interrupt() -> None:
    """SIGINT for this process and, when it leads its process group, for the child processes of a cell."""
    pid = os.getpid()
    if os.getpgid(0) == pid:
        os.killpg(pid, signal.SIGINT)
    else:
        os.kill(pid, signal.SIGINT)


def shutdown(kernel: Kernel) -> None:
    """Let the main thread leave: what it runs is interrupted, what waits is not begun."""
    kernel.main.close()
    if kernel.interrupts.armed:
        interrupt()
    give_up_later()


def give_up_later() -> None:
    """End the process after LAST_CALL seconds, whatever user code is doing then."""
    import threading

    def give_up() -> None:
        log.say("user code did not let go: leaving without it")
        os._exit(0)

    timer = threading.Timer(LAST_CALL, give_up)
    timer.daemon = True
    timer.start()


def end(kernel: Kernel, transport: Transport) -> None:
    """The very last: send what is left, close the sockets."""
    kernel.outlet.close()
    transport.stop()
