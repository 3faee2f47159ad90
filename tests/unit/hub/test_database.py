"""Transactions: all or nothing, one snapshot per read, durable and guarded."""

from __future__ import annotations

import asyncio
import gc
import stat
import threading
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text

from ferryhub.catalogue import sqlite
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.database import Database, sqlite_url
from tests.unit.hub.conftest import Catalogue, fails


def _put(conn: Connection, key: str) -> None:
    conn.execute(insert(t.settings), {"key": key, "value": "v"})


def _keys(conn: Connection) -> set[str]:
    return {row.key for row in conn.execute(select(t.settings)) if len(row.key) == 1}


async def test_what_raises_leaves_nothing(catalogue: Catalogue) -> None:
    def fail(conn: Connection) -> None:
        _put(conn, "a")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await catalogue.database.write(fail)
    await catalogue.database.write(_put, "b")
    assert await catalogue.database.read(_keys) == {"b"}


async def test_a_read_sees_one_snapshot(catalogue: Catalogue) -> None:
    begun, written = threading.Event(), threading.Event()

    def slow(conn: Connection) -> tuple[set[str], set[str]]:
        before = _keys(conn)
        begun.set()
        assert written.wait(60)
        return before, _keys(conn)

    reading = asyncio.ensure_future(catalogue.database.read(slow))
    assert await asyncio.to_thread(begun.wait, 60)
    await catalogue.database.write(_put, "a")
    written.set()
    assert await reading == (set(), set())
    assert await catalogue.database.read(_keys) == {"a"}


def _key_and(fail: bool) -> Any:
    def ask(conn: Connection) -> Any:
        found = conn.execute(select(t.settings.c.key).where(t.settings.c.key == "a")).scalar()
        if fail:
            raise LookupError("no")
        return found

    return ask


async def test_one_statement_sees_what_is_committed(catalogue: Catalogue) -> None:
    """Before and after, also where one has failed in between."""
    assert await catalogue.database.ask(_key_and(fail=False)) is None
    await catalogue.database.write(_put, "a")
    with pytest.raises(LookupError):
        await catalogue.database.ask(_key_and(fail=True))
    assert await catalogue.database.ask(_key_and(fail=False)) == "a"
    await catalogue.database.write(_put, "b")
    assert await catalogue.database.read(_keys) == {"a", "b"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_statement_takes_no_more_on_sqlite(catalogue: Catalogue) -> None:
    seen: list[str] = []

    def listen(conn: Connection) -> None:
        driver: Any = conn.connection.driver_connection
        driver.set_trace_callback(seen.append)

    await catalogue.database.ask(listen)
    await catalogue.database.ask(_key_and(fail=False))
    assert [each.split()[0] for each in seen] == ["SELECT"]
    await catalogue.database.read(_key_and(fail=False))
    assert [each.split()[0] for each in seen] == ["SELECT", "BEGIN", "SELECT", "COMMIT"]


async def test_cancelled_caller_does_not_break_the_next(catalogue: Catalogue) -> None:
    release = threading.Event()

    def slow(conn: Connection) -> None:
        assert release.wait(60)
        _put(conn, "a")

    writing = asyncio.ensure_future(catalogue.database.write(slow))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    release.set()
    await catalogue.database.write(_put, "b")
    assert "b" in await catalogue.database.read(_keys)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_result_read_in_part_leaves_no_snapshot(catalogue: Catalogue, wrapped: bool) -> None:
    def fill(conn: Connection) -> None:
        conn.execute(insert(t.settings), [{"key": f"k{n}", "value": "v"} for n in range(300)])

    def refuse(conn: Connection) -> None:
        rows = iter(conn.execute(select(t.settings), execution_options={"yield_per": 100}))
        next(rows)
        raise LookupError

    def refuse_otherwise(conn: Connection) -> None:
        try:
            refuse(conn)
        except LookupError:
            raise ValueError from None

    database = catalogue.database
    await database.write(fill)
    gc.disable()
    try:
        with pytest.raises((LookupError, ValueError)) as caught:  # and kept
            await database.read(refuse_otherwise if wrapped else refuse)
        await database.write(_put, "a")
        assert await database.read(_keys) == {"a"}
        assert caught.value
    finally:
        gc.enable()


async def test_closed(catalogue: Catalogue) -> None:
    await catalogue.database.read(_keys)
    await catalogue.database.close()
    for run in (catalogue.database.read, catalogue.database.write):
        with fails("SHUTTING_DOWN"):
            await run(_keys)
    assert catalogue.database.statistics().running == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_pragmas(catalogue: Catalogue) -> None:
    def pragmas(conn: Connection) -> list[Any]:
        return [
            conn.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    for run in (catalogue.database.read, catalogue.database.write):
        assert await run(pragmas) == ["wal", 2, 1]


async def test_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.db"
    database = Database(sqlite_url(path))
    await database.write(t.metadata.create_all)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await database.close()
    assert [each.name for each in path.parent.iterdir()] == ["c.db"]


async def test_another_process_holding_the_lock_is_an_overload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferryhub.catalogue.sqlite._PRAGMAS", ("PRAGMA busy_timeout=1",))
    one, two = (Database(sqlite_url(tmp_path / "c.db")) for _ in range(2))
    await one.write(t.metadata.create_all)
    held, release = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        held.set()
        assert release.wait(60)

    holding = asyncio.ensure_future(one.write(hold))
    assert await asyncio.to_thread(held.wait, 60)
    with fails("HUB_OVERLOADED"):
        await two.write(_put, "a")
    release.set()
    await holding
    await two.write(_put, "a")
    await one.close()
    await two.close()


async def test_a_new_file_that_several_open_at_once_is_no_overload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite refuses some of those that turn it to WAL, without waiting: one time in a thousand, and here twice."""
    set_up, refusals = sqlite._set_up, iter(range(2))

    class Refusing:
        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def execute(self, statement: str) -> None:
            if "journal_mode" in statement and next(refusals, None) is not None:
                raise OperationalError("database is locked")
            self.connection.execute(statement)

    monkeypatch.setattr(sqlite, "_set_up", lambda connection, record: set_up(Refusing(connection), record))
    database = Database(sqlite_url(tmp_path / "c.db"))
    await database.write(t.metadata.create_all)
    assert next(refusals, None) is None
    await database.close()
