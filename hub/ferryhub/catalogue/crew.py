"""Threads that run functions for an event loop, cheaply: used by `database.py` for each of its calls.

Under load one thread does all that is short, without a wake-up for each: in one interpreter several would take turns
anyway, and get in each other's way (16 calls at once: 140 µs, with a pool of four threads 525). The others help when
it is held up, by a disk or a large listing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: How long a function may keep those behind it waiting before another thread takes them, in seconds.
_PATIENCE_S: Final = 0.02


class _Job:
    __slots__ = ("context", "future", "loop", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        # The caller's: what is logged in the thread belongs to the caller's request.
        self.context: Context = copy_context()

    def run(self) -> None:
        if self.future.cancelled():
            return
        try:
            result, error = self.context.run(self.work), None
        except BaseException as failure:  # noqa: BLE001 - it is the caller's
            result, error = None, failure
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            self.loop.call_soon_threadsafe(self._tell, result, error)

    def _tell(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return  # its caller has gone
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Crew:
    """At most `size` threads, started when they are first needed. With `at_once` each job gets a thread of its own as
    long as there are any: for work that mostly waits. `run` and `stop` in the event loop, `join` in a thread."""

    def __init__(self, name: str, size: int, *, at_once: bool = False) -> None:
        self._name = name
        self._size = size
        self._at_once = at_once
        self._threads: list[Thread] = []
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._jobs: deque[_Job] = deque()
        self._awake = 0
        self._taken = 0
        self._watching = False
        self._lock = Lock()  # of `_jobs` and `_awake` together

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run a function in a thread. A caller that goes away first stops nothing that has begun."""
        job = _Job(work)
        with self._lock:
            self._jobs.append(job)
            wake = self._awake == 0 or (self._at_once and self._awake < self._size)
            self._awake += wake
        if wake:
            self._wake()
        elif not self._watching and self._awake < self._size:
            self._watching = True
            job.loop.call_later(_PATIENCE_S, self._watch, job.loop, self._taken)
        return job.future

    def stop(self) -> None:
        """Take no more; what waits is cancelled, what runs goes on."""
        with self._lock:
            waiting = list(self._jobs)
            self._jobs.clear()
        for job in waiting:
            job.future.cancel()
        for _ in self._threads:
            self._bell.put(False)

    def join(self) -> None:
        """Wait until every thread has ended, after `stop`."""
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        if len(self._threads) < self._awake:
            thread = Thread(target=self._work, name=f"{self._name}_{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._bell.put(True)

    def _watch(self, loop: asyncio.AbstractEventLoop, taken: int) -> None:
        """Call for help when nothing was taken since the last look."""
        self._watching = False
        with self._lock:
            help_wanted = bool(self._jobs) and taken == self._taken and self._awake < self._size
            self._awake += help_wanted
        if help_wanted:
            self._wake()
        if self._jobs:
            self._watching = True
            loop.call_later(_PATIENCE_S, self._watch, loop, self._taken)

    def _work(self) -> None:
        while self._bell.get():
            while (job := self._next()) is not None:
                job.run()
                del job

    def _next(self) -> _Job | None:
        with self._lock:
            if self._jobs:
                self._taken += 1
                return self._jobs.popleft()
            self._awake -= 1
            return None
