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
    __slots__ = ("context", "future", "held_up", "loop", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        # The caller's: what is logged in the thread belongs to the caller's request.
        self.context: Context = copy_context()
        self.held_up = False

    def run(self) -> None:
        if self.future.cancelled():
            return
        result = error = None
        try:
            result = self.context.run(self.work)
        except BaseException as failure:  # noqa: BLE001 - it is the caller's
            error = failure
        try:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                self.loop.call_soon_threadsafe(self._tell, result, error)
        finally:
            # An error leads to this frame, and this to the error: what the work held would stay until the garbage is
            # collected.
            del self, result, error

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
        self._running: set[_Job] = set()
        self._awake = 0
        #: How many of those awake are known to be held up.
        self._held = 0
        self._taken = 0
        self._watching = False
        self._stopped = False
        self._lock = Lock()  # of all that the threads change too, together

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run a function in a thread. A caller that goes away first stops nothing that has begun. Error:
        `RuntimeError` after `stop`, or when there is no thread to be had."""
        job = _Job(work)
        with self._lock:
            if self._stopped:
                raise RuntimeError(f"the threads {self._name} were stopped")
            # Those who are held up take nothing: to count on them, each call would wait until that is noticed again.
            wake = self._awake < self._size and (self._at_once or self._awake == self._held)
            if wake:
                wake = self._hired()
            self._jobs.append(job)
        if wake:
            self._bell.put(True)
        elif not self._watching and self._awake < self._size:
            self._look_later(job.loop)
        return job.future

    def stop(self) -> None:
        """Take no more; what waits is cancelled, what runs goes on."""
        with self._lock:
            self._stopped = True
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

    def _hire(self) -> None:
        """Have one more awake, with the lock held; the bell is for afterwards. On failure nothing has changed."""
        if len(self._threads) == self._awake:
            thread = Thread(target=self._work, name=f"{self._name}_{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._awake += 1

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watching = True
        loop.call_later(_PATIENCE_S, self._watch, loop, self._taken)

    def _watch(self, loop: asyncio.AbstractEventLoop, taken: int) -> None:
        """When nothing was taken since the last look, all that runs is held up: call for help."""
        self._watching = helped = False
        with self._lock:
            if taken == self._taken:
                self._mark_held_up()
                if self._jobs and self._awake < self._size:
                    with suppress(RuntimeError):  # no thread to be had: perhaps at the next look
                        self._hire()
                        helped = True
        if helped:
            self._bell.put(True)
        if self._jobs:
            self._look_later(loop)

    def _hired(self) -> bool:
        """Whether there is one more to take jobs. With no thread to be had, those held up are waited for."""
        try:
            self._hire()
        except RuntimeError:
            if not self._awake:
                raise
            return False
        return True

    def _mark_held_up(self) -> None:
        for job in self._running:
            job.held_up = True
        self._held = len(self._running)

    def _work(self) -> None:
        while self._bell.get():
            while (job := self._next()) is not None:
                job.run()
                self._end(job)
                del job

    def _next(self) -> _Job | None:
        with self._lock:
            if self._jobs:
                self._taken += 1
                job = self._jobs.popleft()
                self._running.add(job)
                return job
            self._awake -= 1
            return None

    def _end(self, job: _Job) -> None:
        with self._lock:
            self._running.remove(job)
            self._held -= job.held_up
