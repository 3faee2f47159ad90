"""Small parts that arrive at once are made durable in groups; each caller hears of its own part."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from contextvars import Context
from typing import Any
from unittest.mock import patch

import pytest

from ferryhub.blobs.store import PartBytes, PartWriter, StagedFile
from ferryhub.blobs.threads import StoreThreads
from ferryhub.blobs.together import Together, waited_for
from ferryhub.catalogue.parts import Part
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

FULL = FerryError("DISK_FULL", "full", path="p", freeBytes=0)
ONE, OTHER = new_id("upl"), new_id("upl")


class Store:
    """Waits for `gate` in each group; parts whose file index is in `bad` fail."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.bad: set[int] = set()
        self.bug = False

    def open_part(self, file: StagedFile, offset: int) -> PartWriter:
        raise NotImplementedError

    def keep(self, parts: Sequence[PartBytes]) -> list[FerryError | None]:
        self.gate.wait(10)
        if self.bug:
            raise ZeroDivisionError
        indexes = [part.file.file_index for part in parts]
        self.groups.append(indexes)
        return [FULL if index in self.bad else None for index in indexes]


class Rig:
    def __init__(self, threads: StoreThreads, tasks: asyncio.TaskGroup) -> None:
        self.store = Store()
        self.recorded: list[tuple[str, list[int]]] = []
        self.refused: set[str] = set()
        self.together = Together(self.store, threads, self._record, tasks)
        self.tasks = tasks

    async def _record(self, session_id: str, parts: Sequence[Part]) -> None:
        if session_id in self.refused:
            raise FerryError("SESSION_NOT_FOUND", "settled", sessionId=session_id)
        self.recorded.append((session_id, [part.file_index for part in parts]))

    def keep(self, index: int, session: str = ONE) -> asyncio.Task[None]:
        data = PartBytes(StagedFile(session, index, 3), 0, memoryview(b"abc"))
        return asyncio.create_task(self.together.keep(data, Part(index, 1, b"d" * 16, b"d" * 16)))


@pytest.fixture
def threads() -> Iterator[StoreThreads]:
    threads = StoreThreads(2)
    yield threads
    threads.close()


@pytest.fixture
async def rig(threads: StoreThreads) -> AsyncIterator[Rig]:
    async with waited_for() as tasks:
        yield Rig(threads, tasks)


async def outcomes(*tasks: asyncio.Task[None]) -> list[str]:
    _, hanging = await asyncio.wait(tasks, timeout=10)
    assert not hanging
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [one.reason if isinstance(one, FerryError) else type(one).__name__ if one else "" for one in found]


async def held(rig: Rig) -> asyncio.Task[None]:
    """The first part, whose group is being synced until the gate opens."""
    rig.store.gate.clear()
    first = rig.keep(0)
    await asyncio.sleep(0.05)
    return first


async def test_who_comes_while_others_are_synced_is_of_the_next_group(rig: Rig) -> None:
    first = await held(rig)
    rest = [rig.keep(index, OTHER if index == 3 else ONE) for index in (1, 2, 3)]
    await asyncio.sleep(0.05)
    rig.store.gate.set()
    assert await outcomes(first, *rest) == [""] * 4
    assert rig.store.groups == [[0], [1, 2, 3]]
    assert sorted(rig.recorded) == sorted([(ONE, [0]), (ONE, [1, 2]), (OTHER, [3])])


async def test_a_group_is_bounded(rig: Rig) -> None:
    first = await held(rig)
    rest = [rig.keep(index) for index in range(1, 100)]
    await asyncio.sleep(0.05)
    rig.store.gate.set()
    assert await outcomes(first, *rest) == [""] * 100
    assert [len(group) for group in rig.store.groups] == [1, 64, 35]


async def test_a_part_that_fails_is_not_recorded_and_the_others_are(rig: Rig) -> None:
    rig.store.bad = {1}
    assert await outcomes(rig.keep(0), rig.keep(1), rig.keep(2)) == ["", "DISK_FULL", ""]
    assert rig.recorded == [(ONE, [0, 2])]


async def test_a_settled_session_fails_its_own_parts(rig: Rig) -> None:
    rig.refused = {OTHER}
    assert await outcomes(rig.keep(0), rig.keep(1, OTHER)) == ["", "SESSION_NOT_FOUND"]


async def test_after_a_bug_the_next_ones_are_kept(rig: Rig) -> None:
    rig.store.bug = True
    assert await outcomes(rig.keep(0), rig.keep(1)) == ["INTERNAL"] * 2
    rig.store.bug = False
    assert await outcomes(rig.keep(2)) == [""]
    assert rig.recorded == [(ONE, [2])]


async def test_a_caller_who_goes_away_waits_until_nobody_writes(rig: Rig) -> None:
    first = await held(rig)
    for _ in range(3):
        first.cancel()
        await asyncio.sleep(0.02)
        assert not first.done(), "the part is still being written"
    rig.store.gate.set()
    assert await outcomes(first) == ["CancelledError"]
    assert rig.recorded == [(ONE, [0])]


async def test_who_waits_when_the_hub_stops_is_told(rig: Rig) -> None:
    """Closing the threads cancels what they have not begun; the loop's end cancels every task."""
    first = await held(rig)
    rest = [rig.keep(index) for index in (1, 2)]
    await asyncio.sleep(0.02)
    [syncing] = [task for task in asyncio.all_tasks() if "Together._sync" in repr(task.get_coro())]
    syncing.cancel()
    assert await outcomes(first, *rest) == ["HUB_OVERLOADED"] * 3
    rig.store.gate.set()
    assert await outcomes(rig.keep(3)) == [""]


@pytest.mark.parametrize("which", [0, 1])
async def test_who_waits_for_work_that_is_cancelled_before_it_begins_is_told(rig: Rig, which: int) -> None:
    """The sync itself, or the rows of its group."""
    begin, begun = rig.tasks.create_task, list[asyncio.Task[None]]()

    def cancelled(work: Any, *, context: Context) -> asyncio.Task[None]:
        begun.append(begin(work, context=context))
        if len(begun) == which + 1:
            begun[-1].cancel()
        return begun[-1]

    with patch.object(rig.tasks, "create_task", cancelled):
        assert await outcomes(rig.keep(0)) == ["HUB_OVERLOADED"]
    assert await outcomes(rig.keep(1)) == [""]


async def test_a_group_that_no_thread_takes_any_more_is_told(rig: Rig, threads: StoreThreads) -> None:
    rig.store.gate.clear()
    busy = [threads.start(rig.store.gate.wait, 10) for _ in range(2)]
    waiting = rig.keep(0)
    await asyncio.sleep(0.02)
    closing = asyncio.create_task(asyncio.to_thread(threads.close))
    assert await outcomes(waiting) == ["HUB_OVERLOADED"]
    rig.store.gate.set()
    await asyncio.gather(closing, *busy)


async def test_what_failed_is_let_go_of(rig: Rig) -> None:
    """Not when the garbage is collected: a full disk fails group after group."""
    rig.store.bad = {1}
    gc.collect()
    gc.disable()
    try:
        data = bytearray(b"abc")
        seen = weakref.ref(piece := Piece(data))
        part = PartBytes(StagedFile(ONE, 1, 3), 0, memoryview(piece))
        task = asyncio.create_task(rig.together.keep(part, Part(1, 1, b"d" * 16, b"d" * 16)))
        del part, piece
        assert await outcomes(task) == ["DISK_FULL"]
        del task
        await asyncio.sleep(0)
        assert seen() is None
    finally:
        gc.enable()


async def test_the_hub_ends_when_what_is_under_way_has_and_with_its_own_error(threads: StoreThreads) -> None:
    with pytest.raises(RuntimeError, match="of the hub"):
        async with waited_for() as tasks:
            rig = Rig(threads, tasks)
            first = await held(rig)
            asyncio.get_running_loop().call_later(0.05, rig.store.gate.set)
            raise RuntimeError("of the hub")
    assert rig.recorded == [(ONE, [0])]
    assert await outcomes(first) == [""]


class Piece(bytearray):
    """Bytes that can be watched."""
