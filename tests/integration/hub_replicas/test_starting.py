"""Hubs and commands that meet at the start: on nothing or on an older catalogue, one of them killed half-way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, Connection, inspect

from ferryhub.catalogue import schema
from ferryhub.catalogue.database import Database
from tests.support.hubs import HubServer
from tests.support.postgres import plain
from tests.support.waiting import wait_for
from tests.unit.hub.test_schema import _do, _first_version
from tests.unit.hub.test_schema import empty_url as empty_url

pytestmark = pytest.mark.slow

#: Does everything that a start does to a catalogue, says so, and never commits.
HALF_WAY = """
import asyncio, sys, time
from ferryhub.catalogue import schema
from ferryhub.catalogue.database import Database

def half_way(conn):
    schema.bring_up(conn)
    print("half way", flush=True)
    time.sleep(600)

asyncio.run(Database(sys.argv[1]).write(half_way))
"""

WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""


@contextmanager
def half_way(url: URL) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", HALF_WAY, url.render_as_string(hide_password=False)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "half way\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def _tables(conn: Connection) -> set[str]:
    return set(inspect(conn).get_table_names())


@pytest.mark.parametrize("found", ["nothing", "the first version"])
async def test_one_that_is_killed_half_way_leaves_no_trace(empty_url: URL, found: str) -> None:
    if found == "the first version":
        await _do(empty_url, _first_version)
    before = await _do(empty_url, _tables)
    with half_way(empty_url) as process:
        others = [Database(empty_url) for _ in range(2)]
        waiting = [asyncio.ensure_future(each.write(schema.bring_up)) for each in others]
        if empty_url.drivername.startswith("postgres"):
            await _until_both_wait(empty_url)
        assert not any(each.done() for each in waiting)
        assert await others[0].read(_tables) == before
        process.kill()
        one, two = await asyncio.gather(*waiting)
    assert one == two
    assert await others[0].read(schema.secrets_if_current) == one
    for each in others:
        await each.close()


async def _until_both_wait(url: URL) -> None:
    """For the advisory lock, in their transactions."""
    with psycopg.connect(plain(url), autocommit=True) as conn:
        await asyncio.to_thread(wait_for, lambda: conn.execute(WAITING).fetchall() == [(2,)], what="two to wait")


@pytest.mark.parametrize("found", ["nothing", "the first version"])
async def test_commands_and_a_hub_at_once(empty_url: URL, tmp_path: Path, found: str) -> None:
    """Processes of their own, on each kind of database."""
    on_sqlite = empty_url.drivername.startswith("sqlite")
    if found == "the first version":
        await _do(empty_url, _first_version)
    hub = HubServer(tmp_path / "hub", database=None if on_sqlite else empty_url)
    if on_sqlite:
        hub.state_dir.mkdir()
        if found == "the first version":
            (tmp_path / "c.db").rename(hub.state_dir / "catalogue.db")
    names = [f"p{at}@x.org" for at in range(4)]
    try:
        done = await asyncio.gather(
            asyncio.to_thread(hub.start), *(asyncio.to_thread(hub.command, "users", "add", name) for name in names)
        )
        assert len(set(done[1:])) == 4
        listed = hub.command("users", "list")
        assert all(name in listed for name in names)
        hub.stop()
        assert "Traceback" not in hub.log.read_text()
    finally:
        hub.kill()
