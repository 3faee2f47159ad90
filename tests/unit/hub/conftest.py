"""A real catalogue, in a SQLite file and in PostgreSQL, with people, projects and assets in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
from sqlalchemy import URL, Connection, update

from ferryhub.catalogue import assets, principals, projects, schema
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import ALL_SCOPES, Actor
from ferryhub.catalogue.database import Database, sqlite_url
from ferrywire.reasons import FerryError

P = ParamSpec("P")
T = TypeVar("T")

QUOTA_BYTES = 1 << 40


class Catalogue:
    """Calls domain functions, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def do(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.write(fn, *args, **kwargs)

    async def person(self, name: str, scopes: frozenset[str] = ALL_SCOPES) -> Actor:
        email = f"{name}@x.org"
        return Actor(await self.do(principals.ensure_by_email, email), email, scopes)

    async def project(self, actor: Actor, name: str = "P", **more: Any) -> Any:
        return await self.do(projects.create, actor, projects.NewProject(name, **more), quota_bytes=QUOTA_BYTES)

    async def draft(self, actor: Actor, owner: Any, title: str = "A", **more: Any) -> Any:
        """A draft asset of a project row, or of a person."""
        kind = "user" if isinstance(owner, Actor) else "project"
        owner_id = owner.principal_id if isinstance(owner, Actor) else owner.id
        new = assets.NewAsset(title, kind, owner_id, **more)
        return await self.do(assets.create_draft_asset, actor, new, quota_bytes=QUOTA_BYTES)

    async def asset(self, actor: Actor, owner: Any, title: str = "A", **more: Any) -> Any:
        """An asset as its first commit leaves it."""
        row = await self.draft(actor, owner, title, **more)
        content_id = row.id.replace("ast_", "cnt_")
        ready = update(t.assets).where(t.assets.c.id == row.id).values(state="ready", latest_content_id=content_id)
        await self.do(lambda conn: conn.execute(ready) and None)
        return await self.do(assets.get, actor, row.id)

    async def count(self, table: Any) -> int:
        return await self.do(lambda conn: len(conn.execute(table.select()).all()))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty catalogue's database, once for each kind that a hub can have."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "catalogue.db")
    url: URL = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def catalogue(database_url: URL) -> AsyncIterator[Catalogue]:
    database = Database(database_url)
    await database.write(schema.bring_up)
    yield Catalogue(database)
    await database.close()


@pytest.fixture
async def ann(catalogue: Catalogue) -> Actor:
    return await catalogue.person("ann")


@pytest.fixture
async def bob(catalogue: Catalogue) -> Actor:
    return await catalogue.person("bob")


@contextmanager
def fails(reason: str, **metadata: str) -> Iterator[None]:
    """The block raises this reason, with this metadata among its own."""
    with pytest.raises(FerryError) as caught:
        yield
    assert caught.value.reason == reason, repr(caught.value)
    assert metadata.items() <= caught.value.metadata.items(), caught.value.metadata
    assert set(caught.value.row.metadata) <= caught.value.metadata.keys()
