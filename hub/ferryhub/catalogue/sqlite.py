"""Transactions on SQLite: one writer, a few readers on snapshots of their own. For a hub that owns its catalogue.

No table or query here, no threads: those are `database.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from ferrywire.reasons import FerryError

T = TypeVar("T")

_READERS: Final = 4
#: How long a writer waits for another process, such as `ferryhub token create`.
_BUSY_TIMEOUT_MS: Final = 10_000
#: What SQLite says of a file that is no catalogue, or not any more.
_DAMAGED: Final = ("not a database", "malformed")
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    # An acknowledged commit survives a power loss; NORMAL would lose the last ones.
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys=ON",
)


class SqliteTransactions:
    """Runs functions in transactions of a SQLite file, in the caller's thread."""

    readers = _READERS
    writers = 1
    repeats = 0

    def __init__(self, url: str | URL) -> None:
        self._writer = _engine(url, begin="BEGIN IMMEDIATE", connections=1)
        self._reader = _engine(url, begin="BEGIN", connections=_READERS)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run on one snapshot."""
        return _run(self._reader, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run, then commit."""
        return _run(self._writer, work)

    def close(self) -> None:
        """Close every connection; the last one checkpoints the WAL."""
        self._reader.dispose()
        self._writer.dispose()


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
        raise _explained(DatabaseError(None, None, error), at_fault) from error
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


def _engine(url: str | URL, *, begin: str, connections: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        # Every transaction ends in commit or rollback before its connection goes back.
        pool_reset_on_return=None,
        query_cache_size=500,
        # An error's text would hold what was stored: digests of tokens, for one.
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _run(engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return work(connection)
    except DatabaseError as error:
        raise _explained(error, engine) from error


def _explained(error: DatabaseError, engine: Engine) -> FerryError | DatabaseError:
    """The reason for what the disk or another process did to us; the error itself when it is our own mistake."""
    text, path = str(error.orig), engine.url.database or ""
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
