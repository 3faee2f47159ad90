"""PostgreSQL stops, restarts, throws us out, runs full or becomes a replica: callers get a reason and may try again."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import traceback
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from ferryhub.catalogue import postgres as gateway
from ferryhub.catalogue import schema
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.postgres_errors import CatalogueError
from tests.support.postgres import Postgres, plain
from tests.unit.hub.conftest import fails

pytestmark = pytest.mark.slow


@pytest.fixture
async def database(postgres_url: URL) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    await database.write(schema.bring_up)
    yield database
    await database.close()


def _put(conn: Connection, key: str) -> None:
    conn.execute(insert(t.settings), {"key": key, "value": "v"})


def _count(conn: Connection) -> int:
    """Two secrets, and what a test has put; who can use the tables is not in every database that is borrowed."""
    return conn.execute(select(func.count()).where(t.settings.c.key != "least_head")).scalar_one()


def _throw_out(url: URL) -> None:
    """End every connection to the database but this one, as an operator or a failover would."""
    with psycopg.connect(plain(url), autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_connections_that_died_while_idle_are_not_noticed(database: Database, postgres_url: URL) -> None:
    await asyncio.gather(*(database.read(_count) for _ in range(20)))
    for turn in range(2):
        _throw_out(postgres_url)
        assert await database.read(_count) == 2 + turn
        _throw_out(postgres_url)
        await database.write(_put, f"k{turn}")


async def test_a_write_that_is_cut_off_is_repeated_from_its_start(database: Database, postgres_url: URL) -> None:
    runs = []

    def cut_off_once(conn: Connection) -> int:
        runs.append(1)
        _put(conn, "a")
        if len(runs) == 1:
            _throw_out(postgres_url)
        return _count(conn)

    assert await database.write(cut_off_once) == 3
    assert len(runs) == 2


async def test_a_commit_that_nobody_answered_is_not_repeated(database: Database) -> None:
    runs = []

    def put(conn: Connection) -> None:
        runs.append(1)
        _put(conn, "a")
        dbapi: Any = conn.connection.dbapi_connection
        commit = dbapi.commit

        def commit_and_lose() -> None:
            commit()
            _break(dbapi)
            dbapi.execute("SELECT 1")

        dbapi.commit = commit_and_lose

    with fails("HUB_OVERLOADED"):
        await database.write(put)
    assert len(runs) == 1
    assert await database.read(_count) == 3  # it was stored, and the caller was told that it may be


def _break(connection: Any) -> None:
    connection.pgconn.finish()


async def test_a_restart_of_the_server(postgres: Postgres, postgres_url: URL, database: Database) -> None:
    if postgres.server is None:
        pytest.skip("FERRYMAN_TEST_POSTGRES_URL: not ours to restart")
    await database.write(_put, "a")
    postgres.server.stop()
    try:
        for call in (database.read(_count), database.write(_put, "b")):
            with fails("HUB_OVERLOADED"):
                await call
    finally:
        postgres.server.start()
    assert await database.read(_count) == 3
    await database.write(_put, "b")


async def test_a_replica_takes_no_writes(database: Database, postgres_url: URL) -> None:
    name = postgres_url.database
    with psycopg.connect(plain(postgres_url), autocommit=True) as conn:
        conn.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
    try:
        _throw_out(postgres_url)
        with fails("READ_ONLY"):
            await database.write(_put, "a")
        assert await database.read(_count) == 2
    finally:
        with psycopg.connect(plain(postgres_url), autocommit=True) as conn:
            conn.execute("SET default_transaction_read_only = off")
            conn.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
    # The connection to what was a replica was given up.
    await database.write(_put, "a")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("53100", "DISK_FULL"),
        ("58030", "IO_ERROR"),
        ("53300", "HUB_OVERLOADED"),
        ("57014", "HUB_OVERLOADED"),
        ("22021", "INVALID_ARGUMENT"),
    ],
)
async def test_what_the_server_says_becomes_a_reason(database: Database, state: str, reason: str) -> None:
    def raise_it(conn: Connection) -> None:
        conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

    with fails(reason):
        await database.write(raise_it)
    assert await database.read(_count) == 2


async def test_a_lock_that_is_held_too_long_is_an_overload(database: Database, postgres_url: URL) -> None:
    held, release = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        conn.execute(text("LOCK TABLE settings"))
        held.set()
        assert release.wait(60)

    def wait_briefly(conn: Connection) -> None:
        conn.execute(text("SET LOCAL lock_timeout = '50ms'"))
        _put(conn, "a")

    holding = asyncio.ensure_future(database.write(hold))
    assert await asyncio.to_thread(held.wait, 60)
    with fails("HUB_OVERLOADED"):
        await database.write(wait_briefly)
    release.set()
    await holding


async def test_limits_of_time_are_set(database: Database) -> None:
    def settings(conn: Connection) -> list[str]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_isolation")
        return [conn.execute(text(f"SHOW {name}")).scalar_one() for name in names]

    assert await database.write(settings) == ["30s", "10s", "1min", "serializable"]
    assert await database.read(settings) == ["30s", "10s", "1min", "repeatable read"]


async def test_a_read_cannot_write(database: Database) -> None:
    with fails("READ_ONLY"):
        await database.read(_put, "a")


async def test_clashes_without_end_are_an_overload(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, gateway._PATIENCE_S / 3)  # each look at it takes a third of the patience
    monkeypatch.setattr(gateway, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None))
    runs = []

    def clash(conn: Connection) -> None:
        runs.append(1)
        conn.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$"))

    with fails("HUB_OVERLOADED"):
        await database.write(clash)
    assert len(runs) == 3


async def test_a_mistake_of_ours_ends_and_shows_nothing_that_is_stored(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def twice(conn: Connection) -> None:
        _put(conn, "a-secret-key")
        _put(conn, "a-secret-key")

    with pytest.raises(CatalogueError, match="23505") as caught:
        await database.write(twice)
    shown = "".join(traceback.format_exception(caught.value))
    assert "in twice" in shown
    assert '_put(conn, "a-secret-key")' in shown  # our own line, and nothing that came from the database
    assert "(a-secret-key)" not in shown
    assert "a-secret-key" not in caplog.text


async def test_an_error_does_not_hold_what_was_to_be_stored(database: Database) -> None:
    """Not even on its way out, where a traceback could be logged."""
    told: list[str] = []

    def twice(conn: Connection) -> None:
        for value in ("a-secret-value", "another-secret-value"):
            try:
                conn.execute(insert(t.settings), {"key": "a", "value": value})
            except DBAPIError as error:
                told.append(str(error))
                raise

    with pytest.raises(CatalogueError, match="23505"):
        await database.write(twice)
    assert told
    assert "secret-value" not in "".join(told)


async def test_a_wrong_password_is_kept_out_of_everything(postgres_url: URL, caplog: pytest.LogCaptureFixture) -> None:
    url = postgres_url.set(database="nowhere", password="hunter2")
    database = Database(url)
    with fails("HUB_OVERLOADED"):
        await database.read(_count)
    await database.close()
    assert "nowhere" in caplog.text  # for the operator
    assert "hunter2" not in caplog.text + repr(database.url)
