"""Who owns what is written: threads, timers, pools and tasks belong to the cell that started them."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from zmqkernel.kernel import ownership
from zmqkernel.kernel.ownership import Owner, current, owner, set_foreground


def make(name: str) -> Owner:
    return Owner(name, name.encode(), b"{}", [], allow_stdin=False, session="s")


ONE, TWO = make("one"), make("two")


def cell(who: Owner, body: Callable[[], object]) -> object:
    """Run ``body`` as the execution loop runs a cell."""
    set_foreground(who)
    token = current.set(who)
    try:
        return body()
    finally:
        current.reset(token)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("ZMQKERNEL_THREAD_OUTPUT", raising=False)
    ownership.install()
    yield
    ownership.uninstall()
    set_foreground(None)


class Probe:
    """Says who owned the thread that it was called in."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.went = threading.Event()
        self.seen: list[Owner | None] = []

    def __call__(self) -> None:
        assert self.may_go.wait(10)
        self.seen += [owner(), owner()]
        self.went.set()


def test_a_thread_belongs_to_the_cell_that_started_it() -> None:
    probe = Probe()
    thread = threading.Thread(target=probe)
    cell(ONE, thread.start)
    cell(TWO, probe.may_go.set)
    thread.join()
    assert probe.seen == [ONE, ONE]


def test_it_is_the_start_that_counts_not_the_making() -> None:
    probe = Probe()
    thread = cell(ONE, lambda: threading.Thread(target=probe))
    cell(TWO, thread.start)  # type: ignore[attr-defined]
    probe.may_go.set()
    thread.join()  # type: ignore[attr-defined]
    assert probe.seen == [TWO, TWO]


def test_a_thread_of_a_thread() -> None:
    probe = Probe()
    inner: list[threading.Thread] = []

    def outer() -> None:
        inner.append(threading.Thread(target=probe))
        inner[0].start()

    thread = threading.Thread(target=outer)
    cell(ONE, thread.start)
    thread.join()
    set_foreground(TWO)
    probe.may_go.set()
    inner[0].join()
    assert probe.seen == [ONE, ONE]


def test_a_timer() -> None:
    probe = Probe()
    probe.may_go.set()
    timer = threading.Timer(0, probe)
    cell(ONE, timer.start)
    timer.join()
    assert probe.seen == [ONE, ONE]


def test_a_subclass_with_its_own_run() -> None:
    seen: list[Owner | None] = []

    class Worker(threading.Thread):
        def run(self) -> None:
            seen.append(owner())

    worker = Worker()
    cell(ONE, worker.start)
    worker.join()
    assert seen == [ONE]


def test_work_in_a_pool_belongs_to_the_cell_that_submitted_it() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert cell(ONE, lambda: pool.submit(owner).result()) is ONE  # starts the thread as well
        assert cell(TWO, lambda: pool.submit(owner).result()) is TWO
        assert cell(TWO, lambda: list(pool.map(lambda _: owner(), range(2)))) == [TWO, TWO]
        assert cell(ONE, lambda: pool.submit(dict, fn=1, self=2).result()) == {"fn": 1, "self": 2}
        set_foreground(TWO)
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()


def test_tasks_and_threads_of_asyncio() -> None:
    loop = asyncio.new_event_loop()
    seen: dict[str, Owner | None] = {}

    async def later(go: asyncio.Event) -> None:
        await go.wait()
        seen["task"] = owner()
        seen["to_thread"] = await asyncio.to_thread(owner)

    async def first(go: asyncio.Event) -> asyncio.Task[None]:
        loop.call_later(0, lambda: seen.update(callback=owner()))
        return asyncio.ensure_future(later(go))

    async def second(go: asyncio.Event, task: asyncio.Task[None]) -> None:
        go.set()
        await task
        seen["second"] = owner()

    try:
        go = asyncio.Event()
        task = cell(ONE, lambda: loop.run_until_complete(first(go)))
        cell(TWO, lambda: loop.run_until_complete(second(go, task)))  # type: ignore[arg-type]
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert seen == {"callback": ONE, "task": ONE, "to_thread": ONE, "second": TWO}


def test_between_cells_and_in_raw_threads_it_is_the_foreground() -> None:
    assert owner() is None
    cell(ONE, lambda: None)
    assert owner() is ONE
    seen: list[Owner | None] = []
    done = threading.Event()

    def raw() -> None:
        seen.append(owner())
        done.set()

    cell(TWO, lambda: _thread.start_new_thread(raw, ()))
    assert done.wait(10)
    assert seen == [TWO]


@pytest.mark.parametrize("by_environment", [True, False])
def test_opting_out(monkeypatch: pytest.MonkeyPatch, by_environment: bool) -> None:
    ownership.uninstall()
    if by_environment:
        monkeypatch.setenv("ZMQKERNEL_THREAD_OUTPUT", "foreground")
        ownership.install()
    else:
        ownership.install(inherit=False)
    probe = Probe()
    thread = threading.Thread(target=probe)
    cell(ONE, thread.start)
    cell(TWO, probe.may_go.set)
    thread.join()
    assert probe.seen == [TWO, TWO]
    with ThreadPoolExecutor(1) as pool:
        assert cell(ONE, lambda: pool.submit(owner).result()) is ONE


def test_installing_twice_and_uninstalling_leaves_things_as_they_were() -> None:
    ownership.uninstall()
    before = threading.Thread.start, ThreadPoolExecutor.submit
    ownership.install()
    ownership.install()
    assert threading.Thread.start is not before[0]
    ownership.uninstall()
    ownership.uninstall()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before


def test_looking_does_not_leak_into_other_contexts() -> None:
    set_foreground(ONE)
    assert contextvars.copy_context().run(owner) is ONE
    assert current.get() is None
