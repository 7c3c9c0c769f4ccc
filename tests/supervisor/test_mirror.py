"""The supervisor's copy of the mirror: versions, pages, gaps, who watches."""

from __future__ import annotations

from typing import Any

import msgspec

from zmqkernel.protocol.messages import MirrorReply
from zmqkernel.protocol.mirror import PAGE, Changes, Delta, Entry, MirrorRequest, pack, unpack_changes
from zmqkernel.protocol.mirror import Mirror as Copy
from zmqkernel.protocol.wire import Message, Wire
from zmqkernel.supervisor.mirror import Mirror


class FakeDoor:
    """Takes what is sent at once; ``gone`` clients are not there any more."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.is_gone = False

    def page(self, message: Message) -> bool:
        self.sent.append(message)
        return not self.is_gone


class Bench:
    def __init__(self) -> None:
        self.wire = Wire("", "supervisor")
        self.client = Wire("", "client")
        self.mirror = Mirror(self.wire)
        self.asked = 0
        self.door: Any = FakeDoor()
        self.number = 0
        self.mirror.ask = self._ask

    def _ask(self) -> None:
        self.asked += 1

    def delta(
        self, *, generation: int = 1, full: bool = False, more: bool = False, cell: int = 1, **changes: Any
    ) -> None:
        """A delta of the kernel; the values of ``changed`` are ints."""
        self.number += 1
        entries = {
            name: msgspec.Raw(pack(Entry("variable", "int", value=str(n))))
            for name, n in changes.get("changed", {}).items()
        }
        types = {key: msgspec.Raw(pack({"name": key, "members": {}})) for key in changes.get("types", ())}
        body = pack(Changes(entries, changes.get("removed", []), types, changes.get("types_removed", [])))
        content = Delta(self.number, full, more, execution=f"m{cell}", execution_count=cell)
        self.mirror.take(self.wire.message("mirror_delta", content, buffers=[body]), generation)

    def reply(self, after: int = 0, prefix: str = "", *, watch: bool = False) -> tuple[MirrorReply, Changes]:
        request = self.client.message("mirror_request", MirrorRequest(after, prefix, watch), idents=[b"client"])
        message = self.mirror.answer(self.door, request)
        return message.read(MirrorReply), unpack_changes(message.buffers[0])

    def update(self, copy: Copy) -> Copy:
        while True:
            reply, changes = self.reply(copy.version)
            copy.take(reply, changes)
            if not reply.more:
                return copy

    def values(self, copy: Copy) -> dict[str, str]:
        return {name: entry.value for name, entry in self.update(copy).entries().items()}


def test_nothing_is_known_at_first() -> None:
    reply, changes = Bench().reply()
    assert (reply.generation, reply.full, reply.stale) == (0, True, False)
    assert not changes.changed


def test_changes_after_a_version() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"x": 1, "y": 2}, types=["int"])
    copy = bench.update(Copy())
    assert (copy.execution, copy.execution_count, copy.generation) == ("m1", 1, 1)
    bench.delta(changed={"x": 3}, removed=["y"], cell=2)
    reply, changes = bench.reply(copy.version)
    assert (reply.full, set(changes.changed), changes.removed, dict(changes.types)) == (False, {"x"}, ["y"], {})
    assert bench.values(copy) == {"x": "3"}
    assert bench.reply(copy.version)[1] == Changes({}, [], {}, [])
    bench.delta(changed={"y": 5})
    assert bench.values(copy) == {"x": "3", "y": "5"}
    assert bench.values(Copy()) == {"x": "3", "y": "5"}


def test_an_unknown_version_gets_everything() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"x": 1})
    version = bench.reply()[0].version
    for strange in (version + 1, 1, -5, 2**60):
        reply, changes = bench.reply(strange)
        assert reply.full
        assert set(changes.changed) == {"x"}
    other = Bench()  # the next supervisor
    other.delta(full=True, changed={"z": 1})
    copy = bench.update(Copy())
    assert other.values(copy) == {"z": "1"}


def test_a_prefix() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"alpha": 1, "beta": 2, "alp": 3})
    assert set(bench.reply(prefix="alp")[1].changed) == {"alpha", "alp"}


def test_pages() -> None:
    bench = Bench()
    size = 0
    for number in range(60):
        names = {f"name_{number}_{'x' * 200}_{n}": n for n in range(150)}
        size += sum(map(len, names))
        bench.delta(full=not number, more=number < 59, changed=names, types=[f"type{number}"])
    assert size > PAGE
    copy, pages = Copy(), 0
    while True:
        reply, changes = bench.reply(copy.version)
        pages += 1
        assert sum(len(bytes(raw)) + len(name) for name, raw in changes.changed.items()) <= PAGE + 100_000
        copy.take(reply, changes)
        if pages == 1:  # what is known already changes while the rest is still on its way
            first = next(iter(changes.changed))
            bench.delta(changed={"new": 1}, removed=[first])
        if not reply.more:
            break
    assert pages > 2
    assert len(copy) == 60 * 150
    assert "new" in copy
    assert first not in copy  # pyright: ignore[reportPossiblyUnboundVariable]
    assert bench.values(copy) == bench.values(Copy())


def test_a_gap_is_noticed_and_everything_is_asked_for() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"x": 1})
    bench.number += 1  # one is lost
    bench.delta(changed={"x": 9})
    assert bench.asked == 1
    assert bench.values(Copy()) == {"x": "1"}
    bench.delta(changed={"x": 10})  # not before everything has come
    assert bench.asked == 1
    bench.delta(full=True, changed={"x": 11})
    assert bench.values(Copy()) == {"x": "11"}
    broken = bench.wire.message("mirror_delta", Delta(99), buffers=[b"\xc1"])
    bench.mirror.take(broken, 1)
    assert bench.asked == 2


def test_after_an_adoption_what_is_not_whole_is_not_taken() -> None:
    bench = Bench()
    bench.number = 7
    bench.delta(changed={"x": 1})
    assert not bench.reply()[1].changed
    assert bench.asked == 0  # the owner of the link has asked already


def test_of_a_dead_kernel() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"x": 1})
    copy = bench.update(Copy())
    bench.mirror.kernel_gone()
    assert bench.values(copy) == {"x": "1"}
    assert (copy.stale, copy.generation) == (True, 1)
    bench.number = 0
    bench.delta(generation=2, full=True, changed={"y": 1})
    assert bench.values(copy) == {"y": "1"}
    assert (copy.stale, copy.generation) == (False, 2)
    bench.mirror.restarted()
    assert bench.values(copy) == {}


def test_who_watches_is_told_and_who_is_gone_forgotten() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"x": 1})
    assert bench.door.sent == []
    reply, _ = bench.reply(watch=True)
    bench.delta(changed={"y": 1}, more=True)
    assert bench.door.sent == []  # not before the pass is complete
    bench.delta()
    bench.delta()
    (told,) = bench.door.sent
    assert told.msg_type == "mirror_changed"
    assert told.idents == [b"client"]
    assert told.content["version"] > reply.version
    bench.door.is_gone = True
    bench.delta(changed={"y": 2})
    bench.delta(changed={"y": 3})
    assert len(bench.door.sent) == 2


def test_so_many_removed_names_that_they_are_forgotten() -> None:
    bench = Bench()
    bench.delta(full=True, changed={"x": 1})
    copy = bench.update(Copy())
    for start in range(0, 30_000, 10_000):
        names = [f"n{n}" for n in range(start, start + 10_000)]
        bench.delta(changed=dict.fromkeys(names, 1))
        bench.update(copy)
        bench.delta(removed=names)
    assert bench.values(copy) == {"x": "1"}
