"""Runs domain functions in transactions of SQLite or PostgreSQL, in a few threads, none of them the event loop's.

Used by every hub call, so by upload steps 7, 8 and 10. A function gets a connection inside a transaction that commits
when it returns and rolls back when it raises; no `await` can sit in between. No table or query here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar, TypeVarTuple

from sqlalchemy import URL, Connection

from ferryhub.catalogue.crew import Crew
from ferryhub.catalogue.remembered import Remembered
from ferryhub.catalogue.sqlite import SqliteTransactions
from ferryhub.catalogue.sqlite import sqlite_url as sqlite_url
from ferrywire import tracing
from ferrywire.reasons import FerryError

P = ParamSpec("P")

T = TypeVar("T")

Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a database had to do since it was opened."""

    reads: int = 0
    writes: int = 0
    #: Runs of functions beyond the first of each call.
    repeats: int = 0
    #: Calls that have not ended yet.
    running: int = 0


class Transactions(Protocol):
    """A database, as it is called from `readers` and `writers` threads."""

    readers: int
    writers: int
    #: Whether calls mostly wait for an answer from elsewhere.
    remote: bool
    #: How many more runs there were than calls.
    repeats: int

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run a function on one snapshot."""

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Run a function that sends one statement."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run a function, perhaps several times, as if nobody else wrote, and make what it did durable."""

    def version(self) -> int | None:
        """A number that every write changes, whoever writes; None where it would take long to say."""

    def close(self) -> None:
        """Close every connection."""


class Database:
    """The catalogue's database. `close()` it; nothing is opened before the first use.

    On PostgreSQL a function may run more than once before its result counts: it must do nothing but use its
    connection. Errors besides the function's own: `HUB_OVERLOADED`, `DISK_FULL`, `READ_ONLY`, `IO_ERROR`;
    `SHUTTING_DOWN` once it is closed.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = url
        self._transactions = _transactions(url)
        remote = self._transactions.remote
        self._write_threads = Crew("hub-writer", self._transactions.writers, at_once=remote)
        self._read_threads = Crew("hub-reader", self._transactions.readers, at_once=remote)
        self._reads = self._writes = self._running = 0
        self._remembered = Remembered()
        self._closed = False

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(connection, …)` in a reader thread on one snapshot."""
        self._reads += 1
        with tracing.span("database read", operation=_name(fn)):
            return await self._run(self._read_threads, self._transactions.read, lambda conn: fn(conn, *args, **kwargs))

    async def ask(self, fn: Callable[[Connection, *Ts], T], *args: *Ts) -> T:
        """As `read`, for a function that sends one statement and whose answer follows from the database and `args`
        (hashable) alone. On SQLite that takes no transaction, which would be two statements more, each of them a dozen
        chances for threads to get in each other's way; and no thread when the same was asked since the last write."""
        question, version = (fn, args), self._version()
        if (found := self._remembered.find(question, version)) is not None:
            known: T = found
            return known
        self._reads += 1
        with tracing.span("database read", operation=_name(fn)):
            answer = await self._run(self._read_threads, self._transactions.ask, lambda conn: fn(conn, *args))
        self._remembered.keep(question, version, answer)
        return answer

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(connection, …)` in a writer thread; what it did is durable once this returns.

        Cancelling the caller does not stop a function that has begun.
        """
        self._writes += 1
        with tracing.span("database write", operation=_name(fn)):
            return await self._run(
                self._write_threads, self._transactions.write, lambda conn: fn(conn, *args, **kwargs)
            )

    def statistics(self) -> Statistics:
        """What was done so far."""
        return Statistics(self._reads, self._writes, self._transactions.repeats, self._running)

    async def close(self) -> None:
        """Wait for what runs, then close every connection."""
        self._closed = True
        for threads in (self._read_threads, self._write_threads):
            threads.stop()
        await asyncio.to_thread(self._close)

    def _version(self) -> int | None:
        return None if self._closed else self._transactions.version()

    async def _run(
        self,
        threads: Crew,
        run: Callable[[Callable[[Connection], T]], T],
        work: Callable[[Connection], T],
    ) -> T:
        if self._closed:
            raise FerryError("SHUTTING_DOWN", "the catalogue is closed: the hub stops")
        self._running += 1
        try:
            return await threads.run(lambda: run(work))
        finally:
            self._running -= 1

    def _close(self) -> None:
        for threads in (self._read_threads, self._write_threads):
            threads.join()
        self._transactions.close()


def _name(fn: object) -> str:
    return str(getattr(fn, "__name__", ""))


def _transactions(url: str | URL) -> Transactions:
    if str(url).startswith("sqlite"):
        return SqliteTransactions(url)
    # A hub on SQLite needs no driver of PostgreSQL's.
    from ferryhub.catalogue.postgres import PostgresTransactions

    return PostgresTransactions(url)
