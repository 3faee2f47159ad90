"""Watchers: a state follows at once, whatever progress waits before it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ferryd.core.clock import SystemClock
from ferryd.core.model import DownloadSpec, Kind, Transfer
from ferryd.core.states import State
from ferryd.engine.progress import Fanout

AN_HOUR_S = 3600.0


def transfer() -> Transfer:
    return Transfer(
        id="trf_1",
        kind=Kind.DOWNLOAD,
        state=State.QUEUED,
        spec=DownloadSpec(asset_id="a", dest_dir="/d"),
        client="",
        request_id="",
        title="",
        local_path="/d",
        created_at=0,
        updated_at=0,
    )


async def test_a_change_of_state_does_not_wait_behind_progress() -> None:
    fanout = Fanout(SystemClock())
    watcher = fanout.open(None, AN_HOUR_S)
    first = transfer()
    running = replace(first, state=State.RUNNING)
    for change in (first, running, replace(running, persisted_bytes=1), replace(running, persisted_bytes=2)):
        fanout.publish(change)
    fanout.publish(replace(running, state=State.SUCCEEDED, persisted_bytes=3))
    seen = []
    async with asyncio.timeout(10):
        while not seen or seen[-1].state is not State.SUCCEEDED:
            seen.append(await watcher.next())
    assert [value.state for value in seen if value.state is not State.RUNNING] == [State.QUEUED, State.SUCCEEDED]


async def test_progress_alone_waits_for_the_interval() -> None:
    fanout = Fanout(SystemClock())
    watcher = fanout.open(None, AN_HOUR_S)
    running = replace(transfer(), state=State.RUNNING)
    fanout.publish(running)
    assert await watcher.next() == running
    fanout.publish(replace(running, persisted_bytes=1))
    try:
        async with asyncio.timeout(0.1):
            raise AssertionError(await watcher.next())
    except TimeoutError:
        pass


class CountingClock(SystemClock):
    """Counts who waits for a time."""

    waits = 0

    async def sleep(self, seconds: float) -> None:
        self.waits += 1
        await super().sleep(seconds)


async def test_progress_that_is_not_due_wakes_nobody() -> None:
    clock = CountingClock()
    fanout = Fanout(clock)
    watcher = fanout.open(None, AN_HOUR_S)
    running = replace(transfer(), state=State.RUNNING)
    fanout.publish(running)
    await watcher.next()
    waiting = asyncio.ensure_future(watcher.next())
    for size in range(1, 50):
        fanout.publish(replace(running, persisted_bytes=size))
        for _ in range(5):
            await asyncio.sleep(0)
    assert clock.waits == 1
    fanout.publish(replace(running, state=State.SUCCEEDED))
    async with asyncio.timeout(10):
        assert (await waiting).persisted_bytes == 49
        assert (await watcher.next()).state is State.SUCCEEDED
