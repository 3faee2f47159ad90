"""Waiting: for an event or a time, on the injected clock, and for a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ferryd.core.ports import Clock


async def wait_for_event(event: asyncio.Event, clock: Clock, seconds: float | None) -> None:
    """Return when the event is set, or after `seconds`; None waits for the event alone."""
    if seconds is None:
        await event.wait()
        return
    async with asyncio.TaskGroup() as tasks:
        racers = [tasks.create_task(event.wait()), tasks.create_task(clock.sleep(max(0.0, seconds)))]
        await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        for racer in racers:
            racer.cancel()


async def finish_in_thread(work: Callable[[], None]) -> None:
    """Run blocking work in a thread and see it to its end, even when cancelled meanwhile: a thread cannot be stopped,
    and what it does to files must be known."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # retrieved: what stopped the caller says more
        raise
