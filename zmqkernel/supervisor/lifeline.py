"""The life of the kernels of a session: start, watch, interrupt, restart with back-off, end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..paths import Session, remove_tree, write_private
from ..protocol.errors import ZmqKernelError
from ..protocol.layout import connection_text
from .link_dir import prepare
from .process import OWN, Death, KernelProcess, end_orphan, own_argv, spec_argv

if TYPE_CHECKING:
    import zmq

    from .link import RingLink, SocketLink
    from .relay import Relay

POLITE = 3.0
"""Seconds that a kernel has to end after a shutdown_request, and again after SIGTERM."""
HEALTHY = 20.0
"""A kernel that lived this long, in seconds, starts the back-off anew when it dies."""
BACKOFF = (0.0, 0.5, 2.0, 5.0, 15.0)


class KernelSettings:
    """How the kernels of this session are started."""

    def __init__(self, python: str, kernel: str, cwd: str, restart: bool) -> None:
        self.python, self.kernel, self.cwd, self.restart = python, kernel, cwd, restart


class Kernel:
    """The kernel of now, if there is one, and the decision about the next."""

    def __init__(self, session: Session, settings: KernelSettings) -> None:
        self._session = session
        self._settings = settings
        self._process: KernelProcess | None = None
        self._link: RingLink | SocketLink | None = None
        self._key = ""
        self._text = b""
        self._waiting: list[tuple[str, Any]] = []
        self._mode = "signal"
        self._failures = 0
        self._started = 0.0
        self._was_ready = False
        self._respawn_at = 0.0
        self._ending: tuple[bool, Callable[[], None], float] | None = None
        self._escalation: list[Callable[[], None]] = []
        self.generation = 0
        self.wanted = False
        """A kernel runs, or will be started."""

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    # --- start -------------------------------------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start a kernel process; :meth:`attach` connects to it. ZmqKernelError when it cannot be started."""
        self.wanted = True
        self.generation += 1
        self._key = os.urandom(32).hex()
        link_dir = self._session.link_dir
        end_orphan(link_dir)
        remove_tree(link_dir)
        if self._settings.kernel == OWN:
            prepare(link_dir)
            argv, extra = own_argv(self._settings.python, link_dir / "kernel.json", link_dir), {}
        else:
            link_dir.mkdir(mode=0o700)
            argv, extra, self._mode = spec_argv(self._settings.kernel, link_dir / "kernel.json")
        self._text = connection_text(
            str(self._session.sockets / f"k{self.generation}"), self._key, self._settings.kernel
        )
        write_private(link_dir / "kernel.json", self._text)
        environment = {**os.environ, **extra, "ZMQKERNEL_SESSION": self._session.name}
        self._process = KernelProcess(argv, self._settings.cwd, environment, link_dir)
        self._started = time.monotonic()
        self._was_ready = False

    def attach(
        self,
        context: zmq.Context[Any],
        poller: zmq.Poller,
        relay: Relay,
        on_info: Callable[[Any], None],
    ) -> None:
        """Give the lifeline the loop it lives in, and connect to the kernel if one was started."""
        self._context, self._poller, self._relay, self._on_info = context, poller, relay, on_info
        if self._process is not None:
            self._connect()

    def _connect(self) -> None:
        from ..protocol.connection import ConnectionInfo
        from ..protocol.wire import Wire
        from .link import RingLink, SocketLink

        assert self._process is not None
        info = ConnectionInfo.decode(self._text)
        wire = Wire(self._key, os.urandom(8).hex(), "supervisor")
        if self._settings.kernel == OWN:
            self._link = RingLink(self._context, info, wire, self._session.link_dir)
        else:
            self._link = SocketLink(self._context, info, wire)
        for source in (*self._link.pollable, self._process.pidfd):
            self._poller.register(source, 1)
        self._relay.state = "starting"
        self._relay.event(
            "kernel_started",
            {"pid": self._process.pid, "generation": self.generation, "kernel_name": self._settings.kernel},
        )
        request = wire.message("kernel_info_request")
        self._relay.internal[request.msg_id] = self._ready
        self._link.send("control" if self._settings.kernel == OWN else "shell", request)
        waiting, self._waiting = self._waiting, []
        for channel, message in waiting:
            self._link.send(channel, message)

    def _ready(self, reply: Any) -> None:
        from ..protocol.messages import KernelInfoReply

        self._on_info(reply.read(KernelInfoReply))
        self._was_ready = True
        if self._relay.state == "starting":
            self._relay.set_state("idle")

    # --- while it lives ----------------------------------------------------------------------------------------------

    def send(self, channel: str, message: Any) -> None:
        """Forward to the kernel, or to the next one when there is none just now."""
        if self._link is not None:
            self._link.send(channel, message)
        else:
            self._waiting.append((channel, message))

    def ready_to_sleep(self) -> bool:
        return self._link is None or self._link.ready_to_sleep()

    def deadline(self, busy: bool) -> float:
        """Seconds until :meth:`tick` or :meth:`receive` has something to do without being woken."""
        now = time.monotonic()
        wait = self._link.deadline(busy) if self._link else 3600.0
        if self._respawn_at:
            wait = min(wait, self._respawn_at - now)
        if self._ending:
            wait = min(wait, self._ending[2] - now, 0.05)
        return wait

    def receive(self, relay: Relay, ready: set[Any]) -> bool:
        """Hand over what the kernel said; True when there is more."""
        if self._link is None:
            return False
        if not ready.isdisjoint(self._link.pollable):
            self._link.woken()
        return self._link.receive(relay)

    def confirm(self) -> None:
        if self._link is not None:
            self._link.confirm()

    def interrupt(self) -> None:
        """Interrupt as the kernelspec asks for."""
        if self._mode == "message" and self._link is not None:
            from ..protocol.wire import Wire

            request = Wire(b"", os.urandom(8).hex()).message("interrupt_request")
            self._relay.internal[request.msg_id] = _ignore
            self._link.send("control", request)
        elif self._process is not None:
            self._process.interrupt()

    def tick(self, ready: set[Any]) -> None:
        """Notice a death, go on with an ending, start the next kernel when its time has come."""
        if self._process is not None and self._process.pidfd in ready:
            death = self._process.poll()
            if death is not None:
                death.early = not self._was_ready
                self._buried(death)
        if self._ending is not None and time.monotonic() >= self._ending[2]:
            restart, ended, _ = self._ending
            self._ending = (restart, ended, time.monotonic() + POLITE)
            if self._escalation:
                self._escalation.pop(0)()
        if self._respawn_at and time.monotonic() >= self._respawn_at:
            self._respawn_at = 0.0
            self._start_next()

    def abandon(self) -> None:
        """The supervisor cannot start: leave no kernel behind."""
        if self._process is not None:
            self._process.kill()

    # --- end ---------------------------------------------------------------------------------------------------------

    def shut_down(self, restart: bool, ended: Callable[[], None]) -> None:
        """Ask the kernel to end, then insist; ``ended`` is called when it is gone (and the next one started)."""
        if self._process is None:
            if restart:
                self._failures, self._respawn_at = 0, 0.0
                self._start_next()
            ended()
            return
        if self._ending is None and self._link is not None:
            from ..protocol.wire import Wire

            request = Wire(b"", os.urandom(8).hex()).message("shutdown_request", {"restart": restart})
            self._relay.internal[request.msg_id] = _ignore
            self._link.send("control", request)
            self._escalation = [self._process.terminate, self._process.kill]
            self._ending = (restart, ended, time.monotonic() + POLITE)
            return
        earlier = self._ending[1] if self._ending else ended

        def both() -> None:
            earlier()
            ended()

        self._ending = (restart, both, self._ending[2] if self._ending else 0.0)

    def _buried(self, death: Death) -> None:
        assert self._process is not None
        expected = self._ending is not None
        if self._link is not None:
            self._link.drain(self._relay)
            self._relay.kernel_died(death, expected)
            for source in (*self._link.pollable, self._process.pidfd):
                self._poller.unregister(source)
            self._link.close()
        self._process.close()
        self._process.kill()  # what is left of its process group holds nothing of ours any more
        self._process, self._link = None, None
        if self._ending is not None:
            restart, ended, _ = self._ending
            self._ending = None
            if restart:
                self._failures = 0
                self._start_next()
            else:
                self._relay.set_state("dead")
            ended()
            return
        self._decide()

    def _decide(self) -> None:
        if time.monotonic() - self._started > HEALTHY:
            self._failures = 0
        hopeless = not self._was_ready and self._failures > 0  # it cannot even start
        if not self._settings.restart or hopeless or self._failures >= len(BACKOFF):
            self._relay.set_state("dead")
            return
        self._relay.set_state("restarting")
        self._respawn_at = time.monotonic() + BACKOFF[self._failures]
        self._failures += 1

    def _start_next(self) -> None:
        try:
            self.spawn()
        except ZmqKernelError as error:
            self._relay.event("kernel_died", {"reason": str(error), "expected": False})
            self._relay.set_state("dead")
            return
        self._connect()


def _ignore(_reply: Any) -> None:
    """For replies to requests whose effect shows in another way."""
