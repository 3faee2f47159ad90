"""The threads of the hub's database: who runs what, and what becomes of work that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

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
