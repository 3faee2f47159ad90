"""Opens the queue's database: checks it, moves a broken one aside, brings the schema up to date.

The queue is created 0600. A version is one schema_<n>.sql, run whole in one transaction; there is no way back, so a
database of a newer daemon is refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path

from ferryd.core.model import Context
from ferryd.store.errors import translate
from ferryd.store.sql import schemas
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection set up as every one of ours: explicit transactions, rows by name, a commit is on the disk."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL lost every row in a simulated power loss
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def open_queue(path: Path, home: Context) -> sqlite3.Connection:
    """The writer's connection to a sound database of the newest version. Blocking. READ_ONLY, DISK_FULL, IO_ERROR.

    `home` is the hub of transfers from before there were many.
    """
    try:
        return _open_sound(path, home)
    except sqlite3.DatabaseError as error:
        if not _is_corrupt(error):
            raise translate(error, path) from error
    _move_aside(path)
    try:
        return _open_sound(path, home)
    except sqlite3.DatabaseError as error:
        raise translate(error, path) from error


def _open_sound(path: Path, home: Context) -> sqlite3.Connection:
    _create_private(path)
    connection = connect(path)
    try:
        _check(connection)
        _migrate(connection, path, home)
    except BaseException:
        connection.close()
        raise
    return connection


def _create_private(path: Path) -> None:
    """SQLite gives -wal and -shm the mode of the database, so it is enough that this one is private."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise FerryError("IO_ERROR", f"the queue {path} cannot be opened: {error}", path=path) from error


class _Corrupt(sqlite3.DatabaseError):
    """quick_check found damage."""


def _check(connection: sqlite3.Connection) -> None:
    [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _Corrupt(verdict)


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, _Corrupt) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _move_aside(path: Path) -> None:
    """Keep the damaged files under another name: what they hold may still be wanted."""
    kept = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 1_000_000_000:09d}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
    log.error("queue database was damaged; kept as %s, started with an empty queue", kept)


def _migrate(connection: sqlite3.Connection, path: Path, home: Context) -> None:
    configured = {"context": home.name, "hub": home.hub}
    connection.create_function("configured", 1, configured.__getitem__)
    scripts = schemas()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        message = f"the queue {path} has version {version}, this daemon knows {len(scripts)}: start the newer daemon"
        raise FerryError("IO_ERROR", message, path=path)
    for number, script in enumerate(scripts[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
