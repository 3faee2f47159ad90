"""One catalogue, as several hubs use it at once: each has connections and threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import URL, select

from ferryhub.catalogue import principals, projects, schema
from ferryhub.catalogue.actor import ALL_SCOPES, Actor
from ferryhub.catalogue.database import Database
from ferrywire.reasons import FerryError
from tests.unit.hub.conftest import database_url as database_url

REPLICAS = 3


@dataclass
class Replicas:
    """The same catalogue behind each of some hubs."""

    databases: Sequence[Database]

    async def do(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Write at the first one."""
        return await self.databases[0].write(fn, *args, **kwargs)

    async def at_once(self, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Write all of them at the same time, in turn at each replica; what failed with a reason is that reason."""
        writes = [self.databases[at % len(self.databases)].write(call) for at, call in enumerate(calls)]
        done = await asyncio.gather(*writes, return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException) and not isinstance(each, FerryError):
                raise each
        return [each.reason if isinstance(each, FerryError) else each for each in done]

    async def rows(self, table: Any) -> Sequence[Any]:
        return await self.databases[-1].read(lambda conn: conn.execute(select(table)).all())

    async def person(self, name: str) -> Actor:
        email = f"{name}@x.org"
        return Actor(await self.do(principals.ensure_by_email, email), email, ALL_SCOPES)

    async def project(self, actor: Actor, *, quota_bytes: int = 1 << 40) -> Any:
        return await self.do(projects.create, actor, projects.NewProject("P"), quota_bytes=quota_bytes)


@pytest.fixture
async def replicas(database_url: URL) -> AsyncIterator[Replicas]:
    databases = [Database(database_url) for _ in range(REPLICAS)]
    await databases[0].write(schema.bring_up)
    yield Replicas(databases)
    for each in databases:
        await each.close()


@pytest.fixture
async def ann(replicas: Replicas) -> Actor:
    return await replicas.person("ann")


@pytest.fixture
async def bob(replicas: Replicas) -> Actor:
    return await replicas.person("bob")
