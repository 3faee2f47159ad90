"""The threads of the hub's database: who runs what, and what becomes of work that nobody waits for."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import pytest

from ferryhub.catalogue import crew as crews
from ferryhub.catalogue.crew import Crew


@pytest.fixture
async def crew() -> AsyncIterator[Crew]:
    made = Crew("crew", 2)
    yield made
    made.stop()
    await asyncio.to_thread(made.join)


async def test_results_and_errors_come_back(crew: Crew) -> None:
    def broken() -> None:
        raise LookupError("x")

    assert await crew.run(lambda: 1) == 1
    with pytest.raises(LookupError):
        await crew.run(broken)
    assert await asyncio.gather(*(crew.run(partial(int, n)) for n in range(100))) == list(range(100))


async def test_others_help_when_one_is_held_up(crew: Crew) -> None:
    go_on = threading.Event()
    held = crew.run(lambda: go_on.wait(60))
    assert await asyncio.gather(*(crew.run(threading.get_ident) for _ in range(3)))
    assert not held.done()
    go_on.set()
    assert await held


async def test_who_is_held_up_is_not_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    crew, begun, go_on = Crew("crew", 3), threading.Event(), threading.Event()
    held = crew.run(lambda: begun.set() or go_on.wait(60))
    await asyncio.to_thread(begun.wait)
    await crew.run(int)  # by a helper: from now on it is known
    monkeypatch.setattr(crews, "_PATIENCE_S", 3600)
    for n in range(50):
        assert await asyncio.wait_for(crew.run(partial(int, n)), 60) == n
    go_on.set()
    assert await held
    crew.stop()
    await asyncio.to_thread(crew.join)
    assert (crew._awake, crew._held, crew._running) == (0, 0, set())


async def test_all_may_be_held_up(crew: Crew) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    held = [crew.run(lambda: begun.release() or go_on.wait(60)) for _ in range(2)]
    for _ in held:
        await asyncio.to_thread(begun.acquire)
    later = [crew.run(partial(int, n)) for n in range(3)]
    go_on.set()
    assert await asyncio.gather(*held, *later) == [True, True, 0, 1, 2]
    assert len(crew._threads) == 2


@pytest.mark.parametrize("at_once", [False, True])
async def test_nothing_is_taken_after_the_end(at_once: bool) -> None:
    crew = Crew("crew", 2, at_once=at_once)
    assert await crew.run(lambda: 1) == 1
    crew.stop()
    with pytest.raises(RuntimeError, match="were stopped"):
        crew.run(lambda: 2)
    await asyncio.to_thread(crew.join)
    with pytest.raises(RuntimeError, match="were stopped"):
        crew.run(lambda: 2)


def _no_more(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_a_thread_that_cannot_be_started(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_more)
        with pytest.raises(RuntimeError, match="can't start"):
            crew.run(lambda: ran.append(1))
    await asyncio.wait_for(crew.run(lambda: ran.append(2)), 60)
    assert ran == [2]


async def test_a_helper_that_cannot_be_started_is_asked_for_again(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    start, asked, go_on = threading.Thread.start, list[int](), threading.Event()
    held = crew.run(lambda: go_on.wait(60))

    def start_at_last(thread: threading.Thread) -> None:
        asked.append(1)
        (_no_more if len(asked) < 3 else start)(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start_at_last)
        assert await asyncio.wait_for(crew.run(lambda: 1), 60) == 1
    assert len(asked) == 3
    go_on.set()
    assert await held


async def test_where_no_thread_is_to_be_had_those_who_are_held_up_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crew, begun, go_on = Crew("crew", 3), threading.Semaphore(0), threading.Event()
    held = [crew.run(lambda: begun.release() or go_on.wait(60)) for _ in range(2)]
    for _ in held:
        await asyncio.to_thread(begun.acquire)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_more)
        later = [crew.run(int)]
        while crew._held < len(held):  # noqa: ASYNC110 - noticed by a timer
            await asyncio.sleep(0.01)
        later.append(crew.run(int))
    go_on.set()
    assert await asyncio.gather(*held, *later) == [True, True, 0, 0]
    crew.stop()
    await asyncio.to_thread(crew.join)


async def test_what_failed_holds_nothing() -> None:
    class Large:
        pass

    crew = Crew("crew", 1)
    kept: list[weakref.ref[Large]] = []

    def broken() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        raise LookupError

    gc.disable()
    try:
        with suppress(LookupError):
            await crew.run(broken)
        await crew.run(int)  # so that the thread is done with the one before
        assert kept[0]() is None
    finally:
        gc.enable()
    crew.stop()
    await asyncio.to_thread(crew.join)


async def test_what_waits_for_nobody_is_not_begun() -> None:
    crew, begun, go_on, ran = Crew("crew", 1), threading.Event(), threading.Event(), list[int]()
    held = crew.run(lambda: begun.set() or go_on.wait(60))
    await asyncio.to_thread(begun.wait)
    forgotten, stopped = crew.run(lambda: ran.append(1)), crew.run(lambda: ran.append(2))
    forgotten.cancel()
    crew.stop()
    go_on.set()
    await asyncio.to_thread(crew.join)
    assert await held
    assert stopped.cancelled()
    assert ran == []


async def test_each_has_a_thread_at_once_when_work_waits() -> None:
    crew, both = Crew("crew", 2, at_once=True), threading.Barrier(2)
    assert sorted(await asyncio.gather(*(crew.run(lambda: both.wait(60)) for _ in range(2)))) == [0, 1]
    crew.stop()
    await asyncio.to_thread(crew.join)
