"""A task group of the daemon: work that runs beside the calls and ends with the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class Background:
    """`async with Background() as background:`; leaving the block cancels what still runs and waits for it."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(*failure)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this work in the background. It handles its own exceptions: one that escapes stops the daemon."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
