"""The bounded threads in which the store's blocking calls run (upload steps 8 and 10, D8).

Their number bounds the disk's queue. Nothing about parts or blobs here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class StoreThreads:
    """A few threads for reads, writes and hashing; all of them release the interpreter's lock."""

    def __init__(self, count: int = 8) -> None:
        self._executor = ThreadPoolExecutor(count, "hub-blobs")

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call. Cancelling the caller does not stop one that has begun."""
        return await self.start(fn, *args, **kwargs)

    def start(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin a blocking call; await the future before its arguments are used again."""
        loop = asyncio.get_running_loop()
        # In the caller's context: what is done there belongs to the caller's request.
        return loop.run_in_executor(self._executor, copy_context().run, lambda: fn(*args, **kwargs))

    async def run_to_end(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a clean-up call and wait for it even when the caller is being cancelled. It must not raise."""
        await asyncio.wait([self.start(fn, *args, **kwargs)])

    def close(self) -> None:
        """Wait for what runs, then stop the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)
