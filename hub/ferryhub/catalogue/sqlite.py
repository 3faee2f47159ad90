"""Transactions on SQLite: one writer, a few readers on snapshots of their own. For a hub that owns its catalogue.

No table or query here, no threads: those are `database.py`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from traceback import clear_frames
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from ferrywire.reasons import FerryError

T = TypeVar("T")

_READERS: Final = 4
#: How long a writer waits for another process, such as `ferryhub token create`.
_BUSY_TIMEOUT_MS: Final = 10_000
_AGAIN_S: Final = 0.01
#: What SQLite says of a file that is no catalogue, or not any more.
_DAMAGED: Final = ("not a database", "malformed")
_PRAGMAS: Final = (
    # An acknowledged commit survives a power loss; NORMAL would lose the last ones.
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys=ON",
)


class SqliteTransactions:
    """Runs functions in transactions of a SQLite file, in the caller's thread."""

    readers = _READERS
    writers = 1
    remote = False
    repeats = 0

    def __init__(self, url: str | URL) -> None:
        self._engine = _engine(url)
        self._writing = _Connections(self._engine, "BEGIN IMMEDIATE")
        self._reading = _Connections(self._engine, "BEGIN")
        self._watch = _Watch(self._engine)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run on one snapshot."""
        return self._reading.run(work)

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Run without a transaction: one statement is a snapshot by itself."""
        self._watch.open()
        return self._reading.use(lambda connection, _: work(connection))

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run, then commit."""
        return self._writing.run(work)

    def version(self) -> int | None:
        """A number that every commit changes, of this process or another; None before the first `ask`. In the event
        loop: it takes 3 µs, and waits for no lock."""
        return self._watch.version()

    def close(self) -> None:
        """Close every connection; the last one checkpoints the WAL."""
        self._watch.close()
        for connections in (self._reading, self._writing):
            connections.close()
        self._engine.dispose()


class _Connections:
    """Connections that stay open, as many as were ever used at once.

    Each is in one long transaction as SQLAlchemy sees it, in which we begin and end those of SQLite with the driver:
    that takes a sixth of the time.
    """

    def __init__(self, engine: Engine, begin: str) -> None:
        self._engine = engine
        self._begin = begin
        self._idle: list[tuple[Connection, Any]] = []

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run in a transaction of its own."""

        def in_transaction(connection: Connection, driver: Any) -> T:
            driver.execute(self._begin)
            result = work(connection)
            driver.execute("COMMIT")
            return result

        return self.use(in_transaction)

    def use(self, work: Callable[[Connection, Any], T]) -> T:
        """Run with a connection and its driver's, in no transaction."""
        used = self._open()
        try:
            result = work(*used)
        except BaseException as error:
            _let_go(error)
            self._roll_back(used)
            if isinstance(error, (DatabaseError, self._engine.dialect.loaded_dbapi.DatabaseError)):
                raise _explained(error, self._engine) from error
            raise
        self._idle.append(used)
        return result

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].close()

    def _open(self) -> tuple[Connection, Any]:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            connection = self._engine.connect()
        except DatabaseError as error:
            raise _explained(error, self._engine) from error
        connection.begin()
        return connection, connection.connection.driver_connection

    def _roll_back(self, used: tuple[Connection, Any]) -> None:
        connection, driver = used
        try:
            if driver.in_transaction:
                driver.execute("ROLLBACK")
        except self._engine.dialect.loaded_dbapi.Error:
            connection.invalidate()
            connection.close()
        else:
            self._idle.append(used)


class _Watch:
    """A connection that writes nothing, to see whether anybody has: SQLite compares the index of the WAL, which is in
    memory, with what it saw last, and reads one page again when that has changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opening = Lock()
        self._connection: Connection | None = None
        self._cursor: Any = None

    def open(self) -> None:
        """Open it, when it is not; in a thread. Where that fails, so does what the caller reads next, or it goes
        without."""
        if self._cursor is not None:
            return
        with self._opening:
            if self._cursor is not None:
                return
            with suppress(DatabaseError, self._engine.dialect.loaded_dbapi.DatabaseError):
                self._connection = self._engine.connect()
                cursor = self._connection.connection.cursor()
                cursor.execute("PRAGMA busy_timeout=0")  # nobody waits on the event loop
                self._cursor = cursor

    def version(self) -> int | None:
        if self._cursor is None:
            return None
        try:
            ((version,),) = self._cursor.execute("PRAGMA data_version").fetchall()
            return int(version)
        except self._engine.dialect.loaded_dbapi.Error:
            return None  # busy, or worse: whoever reads next is told

    def close(self) -> None:
        self._cursor = None
        if self._connection is not None:
            self._connection.close()


def _let_go(error: BaseException | None) -> None:
    """Take from the functions that failed what they hold. A result read in part would keep its SELECT unfinished, and
    the connection on the snapshot of that, beyond the ROLLBACK: its next reader would see what was."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


def copy_catalogue(source: Path, target: Path) -> None:
    """Copy a catalogue as it is at one moment, while others write to it, to a file that is new. The copy is whole and
    one file once this returns, but not synced. Error: `FerryError`."""
    engines = [create_engine(URL.create("sqlite", database=str(path))) for path in (source, target)]
    driver: Any = engines[0].dialect.dbapi
    try:
        with engines[0].connect() as reading, engines[1].connect() as writing:
            connections = [each.connection.driver_connection for each in (reading, writing)]
            assert connections[0] is not None
            connections[0].execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
            connections[0].backup(connections[1])
            writing.exec_driver_sql("PRAGMA journal_mode=DELETE")
            found = writing.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    except DatabaseError as error:
        raise _explained(error, engines[0]) from error
    except driver.DatabaseError as error:  # of the copying itself, which SQLAlchemy knows nothing of
        at_fault = engines[0] if any(each in str(error) for each in _DAMAGED) else engines[1]
        raise _explained(error, at_fault) from error
    finally:
        for engine in engines:
            engine.dispose()
    if found != "ok":
        raise FerryError("IO_ERROR", f"the hub's catalogue {source} is damaged: {found}", path=str(source))


def sqlite_url(path: Path) -> URL:
    """The URL of a SQLite file, which is made private to the user before SQLite opens it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return URL.create("sqlite", database=str(path))


def _engine(url: str | URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,  # they are kept here
        query_cache_size=500,
        # An error's text would hold what was stored: digests of tokens, for one.
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    _use_wal(connection)


def _use_wal(connection: Any) -> None:
    """Of those that turn a new file to WAL at the same time SQLite refuses some at once, whatever the timeout is."""
    until = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _explained(error: Exception, engine: Engine) -> Exception:
    """The reason for what the disk or another process did to us; the error itself when it is our own mistake. It is
    SQLAlchemy's or the driver's."""
    text, path = str(getattr(error, "orig", error)), engine.url.database or ""
    if "disk is full" in text:
        return FerryError("DISK_FULL", f"the hub's disk is full: no room to write {path}", path=path, freeBytes=0)
    if "readonly database" in text:
        return FerryError("READ_ONLY", f"the hub's catalogue {path} is not writable", path=path)
    if "disk I/O error" in text:
        return FerryError("IO_ERROR", f"the hub could not read or write {path}: {text}", path=path)
    if any(each in text for each in _DAMAGED):
        return FerryError("IO_ERROR", f"{path} is damaged, or no catalogue of a hub: {text}", path=path)
    if "locked" in text:
        return FerryError("HUB_OVERLOADED", "the hub's catalogue is busy; try again", retry_after_s=1.0)
    return error
