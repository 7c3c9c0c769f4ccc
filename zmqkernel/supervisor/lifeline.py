"""The life of the kernels of a session: start, watch, interrupt, restart with back-off, end."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..paths import Session, private_dir, remove_tree, write_private
from ..protocol.errors import RemoteProtocolError, ZmqKernelError
from ..protocol.layout import connection_text
from .link_dir import generation_of, prefix_of, prepare, put_aside
from .log import log
from .process import OWN, Death, KernelProcess, KernelSettings, adopt, end_orphan, own_argv, spec_argv

if TYPE_CHECKING:
    from .link import RingLink, SocketLink
    from .recall import Recall
    from .relay import Relay

POLITE = 3.0
"""Seconds that a kernel has to end after a shutdown_request, and again after SIGTERM."""
LOST = 4.0
"""Seconds after which a new kernel that has no sockets is taken to have lost them: it binds before all else."""
HEALTHY = 20.0
"""A kernel that lived this long, in seconds, starts the back-off anew when it dies."""
BACKOFF = (0.0, 0.5, 2.0, 5.0, 15.0)


class Kernel:
    """The kernel of now, if there is one, and the decision about the next."""

    def __init__(self, session: Session, settings: KernelSettings) -> None:
        self._session = session
        self._settings = settings
        self._process: KernelProcess | None = None
        self._link: RingLink | SocketLink | None = None
        self._text = b""
        self._is_new = True
        self._waiting: list[tuple[str, Any]] = []
        self._mode = "signal"
        self._reconciling = self._is_broken = self._has_remains = False
        self._failures = 0
        self._started = 0.0
        self._was_ready = False
        self._respawn_at = 0.0
        self._ending: tuple[bool, Callable[[], None], float] | None = None
        self._escalation: list[Callable[[], None]] = []
        self._death: Death | None = None
        self._drained = False
        self._recall: Recall
        self.generation = 0
        self.wanted = False
        """A kernel runs, or will be started."""
        self.taken_over = False
        """The kernel of now is that of a supervisor that died."""

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    # --- start -------------------------------------------------------------------------------------------------------

    def take_over(self) -> bool:
        """Take the living kernel of a supervisor that died; :meth:`attach` connects to it.

        False: there is none. What a dead one has left in its link directory is put aside, and is read by ``attach``.
        """
        link_dir = self._session.link_dir
        try:
            self._text = (link_dir / "kernel.json").read_bytes()
        except OSError:
            remove_tree(link_dir)  # nothing, or a directory that was only just made
            return False
        self.generation = generation_of(self._text)
        self._process = adopt(link_dir)
        if self._process is None:
            put_aside(link_dir, self.generation)
            return False
        self.wanted = self.taken_over = self._was_ready = True
        self._started = time.monotonic()
        self._note_heir()
        return True

    def spawn(self) -> None:
        """Start a kernel process; :meth:`attach` connects to it. ZmqKernelError when it cannot be started."""
        self.wanted, self.taken_over, self._is_new = True, False, True
        self.generation += 1
        key = os.urandom(32).hex()
        link_dir = self._session.link_dir
        private_dir(self._session.sockets.parent)
        private_dir(self._session.sockets)
        end_orphan(link_dir)
        remove_tree(link_dir)
        if self._settings.kernel == OWN:
            prepare(link_dir)
            argv, extra = own_argv(self._settings.python, link_dir / "kernel.json", link_dir), {}
        else:
            link_dir.mkdir(mode=0o700)
            argv, extra, self._mode = spec_argv(self._settings.kernel, link_dir / "kernel.json")
        self._text = connection_text(str(self._session.sockets / f"k{self.generation}"), key, self._settings.kernel)
        write_private(link_dir / "kernel.json", self._text)
        self._note_heir()
        environment = {**os.environ, **extra, "ZMQKERNEL_SESSION": self._session.name}
        self._process = KernelProcess(argv, self._settings.cwd, environment, link_dir)
        self._started = time.monotonic()
        self._was_ready = False

    def _note_heir(self) -> None:
        """Tell the kernel how to start the next supervisor, should this one die."""
        argv = [sys.executable, "-P", "-m", "zmqkernel.supervisor"]
        argv += ["--project", str(self._session.project), "--name", self._session.name]
        heir = {"argv": argv, "env": dict(os.environ), "pid": os.getpid()}
        write_private(self._session.link_dir / "supervisor.json", json.dumps(heir).encode())

    def attach(
        self,
        context: Any,
        poller: Any,
        relay: Relay,
        recall: Recall,
        on_info: Callable[[Any], None],
    ) -> None:
        """Give the lifeline the loop it lives in, and connect to the kernel if there is one."""
        self._context, self._poller, self._relay, self._on_info = context, poller, relay, on_info
        self._recall = recall
        relay.mirror.ask = lambda: self._link and self._ask("mirror_request", {}, _ignore)
        # A kernel that the journal does not know was only just started when the supervisor died: it was asked nothing yet.
        self._is_new = not self.taken_over or self.generation != recall.generation
        if self._is_new:
            from .remains import bury

            bury(self._session, context, relay, recall, exact=self._settings.kernel == OWN)
            self._has_remains = True
        if self._process is not None:
            self._connect()

    def _connect(self) -> None:
        from ..protocol.connection import ConnectionInfo
        from ..protocol.messages import AdoptRequest
        from ..protocol.wire import Wire
        from .link import RingLink, SocketLink

        assert self._process is not None
        info = ConnectionInfo.decode(self._text)
        wire = Wire(info.key, os.urandom(8).hex(), "supervisor")
        taken = None if self._is_new else self._recall.link
        if self._settings.kernel == OWN:
            self._link = RingLink(self._context, info, wire, self._session.link_dir, taken)
        else:
            self._link = SocketLink(self._context, info, wire)
        for source in (*self._link.pollable, self._process.pidfd):
            self._poller.register(source, 1)
        self._relay.link = self._link.taken
        self._relay.generation = self.generation
        told = {"pid": self._process.pid, "generation": self.generation, "kernel_name": self._settings.kernel}
        if not self._is_new:
            self._relay.event("adopted", told)
            self._relay.state = "busy" if self._relay.running else "idle"
        else:
            self._relay.state = "starting"
            self._relay.event("kernel_started", told)
        request = wire.message("kernel_info_request")
        self._relay.internal[request.msg_id] = self._ready
        self._link.send("control" if self._settings.kernel == OWN else "shell", request)
        if self.taken_over and self._settings.kernel == OWN:
            self._relay.mirror.ask()
            self._ask("adopt_request", AdoptRequest(os.getpid()), self._reconcile)
            self._reconciling = True
        elif not self._is_new:
            self._relay.event(
                "gap", {"reason": "unknown", "why": "the supervisor died; this kernel keeps nothing for the next"}
            )
        self._send_waiting()

    def _reconcile(self, reply: Any) -> None:
        from ..protocol.messages import AdoptReply
        from .endings import reconcile

        self._reconciling = False
        assert self._link is not None
        new = {message.msg_id for _, message in self._waiting}
        reconcile(self._relay, reply.read(AdoptReply), new, self._link.send)
        self._send_waiting()

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for channel, message in waiting:
            self.send(channel, message)

    def _ask(self, msg_type: str, content: Any, then: Callable[[Any], None]) -> None:
        """Ask the kernel on control."""
        from ..protocol.wire import Wire

        assert self._link is not None
        request = Wire(b"", os.urandom(8).hex()).message(msg_type, content)
        self._relay.internal[request.msg_id] = then
        self._link.send("control", request)

    def _ready(self, reply: Any) -> None:
        from ..protocol.messages import KernelInfoReply

        self._on_info(reply.read(KernelInfoReply))
        self._was_ready = True
        if self._relay.state == "starting":
            self._relay.set_state("idle")
        if not self._is_new and self._settings.kernel != OWN:
            from .endings import lose

            lose(self._relay)  # it has answered on shell: what was sent there before is done, and its reply gone
            self._relay.set_state("idle")

    # --- while it lives ----------------------------------------------------------------------------------------------

    def send(self, channel: str, message: Any) -> None:
        """Forward to the kernel, or to the next one when there is none just now."""
        if message.msg_type == "execute_request" and message.msg_id not in self._relay.pending:
            return  # the kernel died before it could be asked: this has been answered, and is kept
        if self._link is None or (self._reconciling and channel == "shell"):
            self._waiting.append((channel, message))  # nothing may overtake what is sent again
        else:
            self._link.send(channel, message)

    def ready_to_sleep(self) -> bool:
        return self._link is None or self._is_broken or self._link.ready_to_sleep()

    def deadline(self, busy: bool) -> float:
        """Seconds until :meth:`tick` or :meth:`receive` has something to do without being woken."""
        now = time.monotonic()
        wait = self._link.deadline(busy) if self._link else 3600.0
        if self._respawn_at:
            wait = min(wait, self._respawn_at - now)
        if self._ending:
            wait = min(wait, self._ending[2] - now, 0.05)
        if self._death:
            wait = min(wait, 0.02)
        return wait

    def receive(self, relay: Relay, ready: set[Any]) -> bool:
        """Hand over what the kernel said; True when there is more."""
        if self._link is None or self._is_broken:
            self._drained = True
            return False
        if not ready.isdisjoint(self._link.pollable):
            self._link.woken()
        try:
            if self._death is not None:
                self._drained = self._link.drained(relay)
                return not self._drained
            return self._link.receive(relay)
        except RemoteProtocolError as error:
            self._broken(error)
            return False

    def _broken(self, error: RemoteProtocolError) -> None:
        """Somebody has written over the link: what the kernel says can no longer be read."""
        log(f"link: {error}; the kernel is ended")
        self._relay.event("gap", {"reason": "damage", "why": f"the link to the kernel: {error}"})
        self._is_broken = True
        if self._process is not None:
            self._process.kill()

    def confirm(self) -> None:
        """Everything that was taken so far is journaled."""
        if self._has_remains:
            from .remains import clear

            clear(self._session)
            self._has_remains = False
        if self._link is not None:
            self._link.confirm()

    def interrupt(self) -> None:
        """Interrupt as the kernelspec asks for."""
        if self._mode == "message" and self._link is not None:
            self._ask("interrupt_request", {}, _ignore)
        elif self._process is not None:
            self._process.interrupt()

    def tick(self, ready: set[Any]) -> None:
        """Notice a death, go on with an ending, start the next kernel when its time has come."""
        if self._process is not None and self._death is None and self._process.pidfd in ready:
            self._death = self._process.poll()
            if self._death is not None:
                self._death.early = not self._was_ready
                self._drained = False
                self._poller.unregister(self._process.pidfd)
                return  # what it has said is read first
        if self._death is not None and self._drained:
            self._buried(self._death)
        if self._ending is not None and time.monotonic() >= self._ending[2]:
            restart, ended, _ = self._ending
            self._ending = (restart, ended, time.monotonic() + POLITE)
            if self._escalation:
                self._escalation.pop(0)()
        if self._respawn_at and time.monotonic() >= self._respawn_at:
            self._respawn_at = 0.0
            self._start_next()

    def check(self) -> None:
        """Every few seconds: are the kernel's endpoints still where the next supervisor would look for them?"""
        if self._process is None or self._link is None:
            return
        self._process.look()
        if self._settings.kernel != OWN or os.path.exists(f"{prefix_of(self._text)}-4"):
            return
        if self._was_ready:
            self._ask("rebind_request", {}, _ignore)
        elif time.monotonic() - self._started > LOST:
            log("the sockets of a new kernel were removed before it could be reached: it is replaced")
            self._process.kill()

    def abandon(self) -> None:
        """The supervisor cannot start: leave no kernel behind that it has started. One that was taken over waits for the next."""
        if self._process is not None and not self.taken_over:
            self._process.kill()

    # --- end ---------------------------------------------------------------------------------------------------------

    def shut_down(self, restart: bool, ended: Callable[[], None]) -> None:
        """Ask the kernel to end, then insist; ``ended`` is called when it is gone (and the next one started)."""
        if self._process is None:
            if restart:
                self._relay.mirror.restarted()
                self._failures, self._respawn_at = 0, 0.0
                self._start_next()
            ended()
            return
        if self._ending is None and self._link is not None:
            self._ask("shutdown_request", {"restart": restart}, _ignore)
            self._escalation = [self._process.terminate, self._process.kill]
            self._ending = (restart, ended, time.monotonic() + POLITE)
            return
        earlier = self._ending[1] if self._ending else ended

        def both() -> None:
            earlier()
            ended()

        self._ending = (restart, both, self._ending[2] if self._ending else 0.0)

    def _buried(self, death: Death) -> None:
        from .endings import kernel_died
        from .relay import no_link

        assert self._process is not None
        if self._link is not None:
            kernel_died(self._relay, death, self._ending is not None, exact=self._settings.kernel == OWN)
            for source in self._link.pollable:
                self._poller.unregister(source)
            self._relay.link = no_link
            self._relay.internal.clear()  # a dead kernel answers nothing
            self._link.close()
        self._process.kill()  # what is left of its process group holds nothing of ours any more
        self._process.close()
        for socket in self._session.sockets.glob(f"k{self.generation}-*"):
            socket.unlink(missing_ok=True)  # a killed kernel has not
        self._process, self._link, self._death = None, None, None
        self._reconciling = self._is_broken = False
        if self._ending is not None:
            restart, ended, _ = self._ending
            self._ending = None
            if restart:
                self._relay.mirror.restarted()
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
        except (OSError, ZmqKernelError) as error:  # a full disk, say
            self._relay.event("kernel_died", {"reason": str(error), "expected": False})
            self._relay.set_state("dead")
            return
        self._connect()


def _ignore(_reply: Any) -> None:
    """For replies to requests whose effect shows in another way."""
