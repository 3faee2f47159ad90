"""One thread writes, others read. Upload steps 5 and 9: a write is acknowledged after the COMMIT that holds it.

Closures for the writer queue up; those that wait at the same time share one transaction (a commit is one fdatasync),
each in its own savepoint when they are several, so that one that fails takes nothing with it. No await can sit inside
a transaction.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from ferryd.core.model import EMBEDDED, Context
from ferryd.core.observing import Observer
from ferryd.store.errors import translate
from ferryd.store.opening import connect, open_queue
from ferrywire.reasons import FerryError

T = TypeVar("T")
Action = Callable[[sqlite3.Connection], Any]
_GROUP: Final = 256  #: the most writes that share a commit
_READERS: Final = 2


class Database:
    """The queue's database file. Construct with `open`, in a thread: it may check and migrate."""

    def __init__(self, path: Path, writer: sqlite3.Connection, observer: Observer | None = None) -> None:
        self._path = path
        self._observer = observer or Observer()
        self._writer = writer
        self._writes: queue.SimpleQueue[tuple[Action, Future[Any]] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="queue-reader")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="queue-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, home: Context = EMBEDDED, observer: Observer | None = None) -> Database:
        """Blocking. A damaged file is moved aside; rows that name no hub are `home`'s. READ_ONLY, DISK_FULL,
        IO_ERROR."""
        return cls(path, open_queue(path, home), observer)

    async def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run the closure in a transaction; return its result after the commit. A cancelled caller does not undo it."""
        if self._closed:
            raise FerryError("SHUTTING_DOWN", "the queue is closed: the daemon stops")
        done: Future[T] = Future()
        self._writes.put((action, done))
        written = asyncio.wrap_future(done)
        written.add_done_callback(lambda one: one.cancelled() or one.exception())  # retrieved, though the caller left
        return await asyncio.shield(written)

    async def read(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run the closure on a reader's connection; it sees every acknowledged write."""
        if self._closed:
            raise FerryError("SHUTTING_DOWN", "the queue is closed: the daemon stops")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, action)

    def close(self) -> None:
        """Finish the queued writes and close. Blocking, idempotent."""
        if self._closed:
            return
        self._closed = True
        self._writes.put(None)
        self._thread.join()
        self._readers.shutdown()
        for connection in self._open:
            connection.close()
        self._writer.close()

    def _read(self, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return action(self._reader())
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self._path, read_only=True)
            self._open.append(connection)
        return connection

    def _serve(self) -> None:
        while (first := self._writes.get()) is not None:
            group, last = self._gather(first)
            self._commit(group)
            if last:
                return

    def _gather(self, first: tuple[Action, Future[Any]]) -> tuple[list[tuple[Action, Future[Any]]], bool]:
        group = [first]
        while len(group) < _GROUP:
            try:
                following = self._writes.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _commit(self, group: list[tuple[Action, Future[Any]]]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        began = time.perf_counter()
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for action, done in group:
                outcomes.append((done, *self._attempt(action, alone=len(group) == 1)))
            self._writer.execute("COMMIT")
            self._observer.committed(time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller gets it and the thread lives on
            self._abandon()
            failure = translate(error, self._path) if isinstance(error, sqlite3.Error) else error
            outcomes = [(done, None, failure) for _, done in group]
        for done, result, problem in outcomes:
            if problem is None:
                done.set_result(result)
            else:
                done.set_exception(problem)

    def _attempt(self, action: Action, *, alone: bool) -> tuple[Any, BaseException | None]:
        if not alone:
            self._writer.execute("SAVEPOINT one")
        try:
            result = action(self._writer)
        except Exception as error:  # the boundary to the writer thread: the caller gets it
            if alone or not self._writer.in_transaction:  # a full disk rolls the whole transaction back
                raise
            self._writer.execute("ROLLBACK TO one")
            self._writer.execute("RELEASE one")
            return None, translate(error, self._path) if isinstance(error, sqlite3.Error) else error
        if not alone:
            self._writer.execute("RELEASE one")
        return result, None

    def _abandon(self) -> None:
        """Roll back what a failed commit left; a second failure changes nothing for the callers."""
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except sqlite3.Error:
                self._writer.interrupt()
