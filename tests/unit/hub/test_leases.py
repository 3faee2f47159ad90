"""Work under a lease is done by one holder, who keeps it as long as it takes and stops when it is lost."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from ferryhub.catalogue import leases
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.leases import while_held
from tests.unit.hub.conftest import Catalogue


async def _holder(catalogue: Catalogue) -> str | None:
    holder: str | None = await catalogue.do(lambda conn: conn.execute(select(t.leases.c.holder)).scalar())
    return holder


async def test_one_works_and_the_other_does_not(catalogue: Catalogue) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    one = asyncio.ensure_future(while_held(catalogue.database, "sweep", "one", ttl_s=60, work=work))
    await begun.wait()
    assert await while_held(catalogue.database, "sweep", "two", ttl_s=60, work=work) is None
    go_on.set()
    assert await one == "done"
    assert await while_held(catalogue.database, "sweep", "two", ttl_s=60, work=work) == "done"


async def test_a_lease_is_kept_as_long_as_the_work_takes(catalogue: Catalogue) -> None:
    seen: list[int] = []

    async def work() -> None:
        while len(set(seen)) < 3:
            await asyncio.sleep(0.01)
            seen.append(await catalogue.do(lambda conn: conn.execute(select(t.leases.c.expires_at)).scalar_one()))

    await while_held(catalogue.database, "sweep", "one", ttl_s=0.4, work=work)
    assert await _holder(catalogue) is None


async def test_who_loses_it_stops(catalogue: Catalogue) -> None:
    async def work() -> None:
        await catalogue.do(
            lambda conn: conn.execute(t.leases.update().values(holder="two", expires_at=1 << 60)) and None
        )
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await while_held(catalogue.database, "sweep", "one", ttl_s=0.2, work=work)
    assert await _holder(catalogue) == "two"


async def test_work_that_fails_gives_the_lease_up(catalogue: Catalogue) -> None:
    async def work() -> None:
        raise LookupError("no")

    with pytest.raises(ExceptionGroup):
        await while_held(catalogue.database, "sweep", "one", ttl_s=60, work=work)
    assert await catalogue.do(leases.take, "sweep", "two", 1, 1)


async def test_a_lease_that_is_over_is_anybodys(catalogue: Catalogue) -> None:
    assert await catalogue.do(leases.take, "sweep", "one", 1000, 100)
    assert not await catalogue.do(leases.take, "sweep", "two", 1099, 100)
    assert await catalogue.do(leases.take, "sweep", "two", 1100, 100)
    assert not await catalogue.do(leases.take, "sweep", "one", 1101, 100)
