"""The revisions and the metadata describe the same schema, and a start does only what is due."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, delete, insert, inspect, text
from sqlalchemy.exc import OperationalError

from ferryhub.catalogue import schema, tokens
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.database import Database, sqlite_url
from ferryhub.catalogue.settings import PAGE_SECRET, URL_SECRET, least_head, set_least_head
from ferryhub.catalogue.tables import metadata
from ferrywire.reasons import FerryError
from tests.support.postgres import Postgres, plain
from tests.unit.hub.conftest import fails


def _ddl(path: Path) -> dict[str, list[str]]:
    """What each table and index is made of; the order in which constraints are written does not matter."""
    with sqlite3.connect(path) as conn:
        rows = conn.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    conn.close()
    return {name: _pieces(sql) for name, sql in rows}


def _pieces(sql: str) -> list[str]:
    head, _, body = " ".join(sql.split()).partition("(")
    pieces = re.split(r",(?![^(]*\))", body.rpartition(")")[0])
    # A table that a revision copied has its name in quotes.
    return [head.replace('"', ""), *sorted(piece.strip() for piece in pieces)]


def _migrate(conn: Connection) -> None:
    schema.upgrade(conn)


async def _make(path: Path, how: object) -> None:
    await _do(sqlite_url(path), how)


async def _do(url: URL, how: Any) -> Any:
    database = Database(url)
    try:
        return await database.write(how)
    finally:
        await database.close()


async def test_created_and_migrated_are_the_same(tmp_path: Path) -> None:
    await _make(tmp_path / "created.db", schema.create)
    await _make(tmp_path / "migrated.db", _migrate)
    created, migrated = _ddl(tmp_path / "created.db"), _ddl(tmp_path / "migrated.db")
    assert created.keys() == migrated.keys()
    assert created == migrated


#: Everything PostgreSQL knows of the tables: columns in order, constraints, indexes with their collations.
_POSTGRES_DDL = """
SELECT table_name, 'column ' || column_name, concat_ws(' ', ordinal_position, data_type, collation_name, is_nullable,
    column_default) FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT conrelid::regclass::text, 'constraint ' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT tablename, 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


def _postgres_ddl(conn: Connection) -> dict[tuple[str, str], str]:
    return {(table, what): how for table, what, how in conn.execute(text(_POSTGRES_DDL))}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "c.db")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.new_database(empty=True)
    yield url
    postgres.drop(url)


@pytest.mark.slow
async def test_created_and_migrated_are_the_same_on_postgres(postgres: Postgres) -> None:
    urls = [postgres.new_database(empty=True) for _ in range(2)]
    for url, how in zip(urls, (schema.create, _migrate), strict=True):
        await _do(url, how)
    created, migrated = [await _do(url, _postgres_ddl) for url in urls]
    # A column that came later is the last one there.
    assert {key: _unplaced(value) for key, value in created.items()} == {
        key: _unplaced(value) for key, value in migrated.items()
    }
    for url in urls:
        postgres.drop(url)


def _unplaced(definition: str) -> str:
    return re.sub(r"^\d+ ", "", definition)


@pytest.mark.slow
async def test_text_sorts_by_code_point_on_postgres(postgres_url: URL) -> None:
    found = await _do(postgres_url, _postgres_ddl)
    texts = {key: value for key, value in found.items() if key[1].startswith("column") and " text " in value}
    assert len(texts) > 50
    assert [key for key, value in texts.items() if " text C " not in value] == []


async def test_metadata_has_no_change_without_a_revision(empty_url: URL) -> None:
    database = Database(empty_url)
    await database.write(_migrate)
    differences = await database.read(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata))
    assert [each for each in differences if "alembic_version" not in str(each)] == []
    await database.close()


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def _first_version(conn: Connection) -> None:
    _up_to(conn, "0001")


def _up_to(conn: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


@pytest.mark.slow
async def test_an_index_that_was_left_unfinished_is_not_taken_for_the_new_one(postgres: Postgres) -> None:
    """As somebody makes it first, so that nobody has to wait, and is cut off; then made whole, as the error says."""
    url, name = postgres.new_database(empty=True), "ix_relationships_to_asset_id_created_at_id_from_asset_id"
    await _do(url, lambda conn: _up_to(conn, "0005"))
    columns = "to_asset_id, created_at, id, from_asset_id"
    with psycopg.connect(plain(url)) as writer, psycopg.connect(plain(url), autocommit=True) as operator:
        writer.execute("LOCK TABLE relationships IN ROW EXCLUSIVE MODE")  # whose end is waited for
        operator.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            operator.execute(f"CREATE INDEX CONCURRENTLY {name} ON relationships ({columns})")
        writer.rollback()
        with pytest.raises(RuntimeError, match=f"REINDEX INDEX CONCURRENTLY {name};"):
            await _do(url, schema.bring_up)
        assert await _do(url, schema.revision) == "0005", "nothing was kept of it"
        operator.execute(f"REINDEX INDEX CONCURRENTLY {name}")
    await _do(url, schema.bring_up)
    assert await _do(url, schema.revision) == schema.HEAD
    postgres.drop(url)


async def test_catalogue_of_the_first_version_keeps_its_data(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "c.db"))
    secrets = {name: "fat_" + name * 43 for name in "abc"}

    def fill(conn: Connection) -> None:
        _first_version(conn)
        person = {"id": "usr_1", "kind": "user", "email": "a@x.org", "display_name": "", "disabled": False}
        conn.execute(insert(t.principals), {**person, "created_at": 1})
        for number, (name, secret) in enumerate(secrets.items()):
            words = "id, principal_id, sha256, scopes, expires_at, revoked_at, created_at"
            row = (
                f"tok_{name}",
                "usr_1",
                tokens.digest(secret),
                "read write",
                None,
                7 if name == "c" else None,
                number,
            )
            conn.exec_driver_sql(f"INSERT INTO tokens ({words}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    await database.write(fill)
    assert await database.read(schema.secrets_if_current) is None
    await database.write(schema.bring_up)
    for name in "ab":
        actor = await database.read(tokens.authenticate, tokens.digest(secrets[name]))
        assert (actor.email, actor.scopes) == ("a@x.org", frozenset({"read", "write"}))
    with fails("TOKEN_INVALID"):
        await database.read(tokens.authenticate, tokens.digest(secrets["c"]))
    assert [row.id for row in await database.read(tokens.listing)] == ["tok_a", "tok_b", "tok_c"]
    assert await database.read(lambda conn: conn.exec_driver_sql("PRAGMA foreign_key_check").all()) == []
    await database.close()


async def test_upgrade_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    await _make(path, _first_version)
    with sqlite3.connect(path) as conn:
        conn.execute("CREATE TABLE attempts (in_the_way INTEGER)")
    conn.close()
    with pytest.raises(OperationalError):
        await _make(path, schema.bring_up)
    database = Database(sqlite_url(path))
    assert await database.read(schema.revision) == "0001"
    tables = await database.read(lambda conn: set(inspect(conn).get_table_names()))
    assert not {"passwords", "sign_ins", "refresh_tokens"} & tables
    await database.close()


async def test_second_start_changes_nothing(empty_url: URL) -> None:
    database = Database(empty_url)
    assert await database.read(schema.secrets_if_current) is None
    secrets = await database.write(schema.bring_up)
    assert secrets.keys() == {URL_SECRET, PAGE_SECRET}
    assert await database.read(schema.secrets_if_current) == secrets
    assert await database.write(schema.bring_up) == secrets
    await database.close()


@pytest.mark.parametrize("found", ["nothing", "the first version"])
async def test_processes_that_start_at_once_agree(empty_url: URL, found: str) -> None:
    if found == "the first version":
        await _do(empty_url, _first_version)
    databases = [Database(empty_url) for _ in range(4)]
    secrets = await asyncio.gather(*(each.write(schema.bring_up) for each in databases))
    assert all(each == secrets[0] for each in secrets)
    assert await databases[0].read(schema.revision) == schema.HEAD
    for each in databases:
        await each.close()


def _migrated_by_a_newer_hub(conn: Connection, least_head: str) -> None:
    conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    set_least_head(conn, least_head)


async def test_a_newer_catalogue_is_used_when_the_newer_hub_has_only_added(empty_url: URL) -> None:
    database = Database(empty_url)
    secrets = await database.write(schema.bring_up)
    await database.write(_migrated_by_a_newer_hub, schema.HEAD)
    assert await database.read(schema.secrets_if_current) == secrets
    assert await database.write(schema.bring_up) == secrets
    assert await database.read(schema.revision) == "9999"
    assert not await database.read(schema.too_old)
    await database.close()


async def test_a_newer_catalogue_is_refused_when_the_newer_hub_has_taken_away(empty_url: URL) -> None:
    database = Database(empty_url)
    await database.write(schema.bring_up)
    await database.write(_migrated_by_a_newer_hub, "9998")
    for use in (database.read(schema.secrets_if_current), database.write(schema.bring_up)):
        with pytest.raises(FerryError, match=r"at revision 9999, .* update ferryhub") as caught:
            await use
        assert caught.value.reason == "UNIMPLEMENTED"
    assert await database.read(schema.too_old)
    await database.close()


async def test_a_newer_catalogue_that_says_nothing_is_refused(empty_url: URL) -> None:
    database = Database(empty_url)
    await database.write(schema.bring_up)
    await database.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")) and None)
    await database.write(lambda conn: conn.execute(delete(t.settings)) and None)
    with fails("UNIMPLEMENTED"):
        await database.read(schema.secrets_if_current)
    await database.close()


async def test_who_migrates_says_which_releases_can_use_it(empty_url: URL) -> None:
    await _do(empty_url, _first_version)
    await _do(empty_url, schema.bring_up)
    assert await _do(empty_url, least_head) == schema.LEAST_HEAD


@pytest.mark.slow
async def test_a_migration_does_not_make_others_wait_for_long(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a dump, say: it gives up, and whoever started it may try again."""
    url = postgres.new_database(empty=True)
    await _do(url, _first_version)
    monkeypatch.setattr(schema, "_LOCK_PATIENCE_S", 1)
    with psycopg.connect(plain(url)) as dump:
        dump.execute("LOCK TABLE tokens IN ACCESS SHARE MODE")
        with fails("HUB_OVERLOADED"):
            await _do(url, schema.bring_up)
    await _do(url, schema.bring_up)
    assert await _do(url, schema.revision) == schema.HEAD
    postgres.drop(url)


def test_start_imports_neither_alembic_nor_what_serving_needs(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, pathlib\n"
        "from ferryhub.app import create_hub\n"
        "from ferryhub.config import HubSettings\n"
        "async def main():\n"
        f"    hub = create_hub(HubSettings(state_dir=pathlib.Path({str(tmp_path / 'hub')!r})))\n"
        "    await hub.start(); await hub.close()\n"
        "asyncio.run(main())\n"
        "serving = {'uvicorn', 'starlette', 'authlib', 'jinja2', 'pwdlib', 'argon2', 'ferryhub.auth', 'ferryhub.web'}\n"
        "serving.add('sqlalchemy.dialects.postgresql')\n"
        "print(sorted(({'alembic', 'httpx', 'psycopg', 'boto3', 'prometheus_client'} | serving) & set(sys.modules)))\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
