"""Work that many callers share and none may cancel: a renewal of tokens. Ends with the daemon, after a short grace."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Self

_GRACE_S: Final = 3.0


class Flights:
    """`async with Flights() as flights:`; leaving the block waits a little for what is under way, then cancels it."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_GRACE_S)
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(*failure)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this. It handles its own exceptions."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
