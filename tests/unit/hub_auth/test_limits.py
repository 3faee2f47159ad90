"""Limits count before the attempt, across processes, in a window; IPv6 networks count as one."""

from __future__ import annotations

import asyncio

import pytest

from ferryhub.auth import limits
from ferryhub.auth.limits import Limit
from ferryhub.catalogue.account_tables import attempts
from ferryhub.catalogue.database import Database
from tests.unit.hub.conftest import Catalogue

THREE = Limit("three", 3, 100)
TEN = Limit("ten", 10, 1000)


async def test_so_many_and_no_more(catalogue: Catalogue) -> None:
    for _ in range(3):
        assert await catalogue.do(limits.take, [(THREE, "a"), (TEN, "a")]) is None
    wait_s = await catalogue.do(limits.take, [(THREE, "a"), (TEN, "a")])
    assert wait_s is not None
    assert 0 < wait_s <= 100
    # What is refused does not count against the other limit either.
    for _ in range(7):
        assert await catalogue.do(limits.take, [(TEN, "a")]) is None
    assert await catalogue.do(limits.take, [(TEN, "a")]) is not None
    assert await catalogue.do(limits.take, [(THREE, "b")]) is None


async def test_given_back_forgotten_and_over(catalogue: Catalogue) -> None:
    for _ in range(9):
        assert await catalogue.do(limits.take, [(THREE, "a")]) is None
        await catalogue.do(limits.give_back, [(THREE, "a")])

    async def end_window() -> None:
        await catalogue.do(lambda conn: conn.execute(attempts.update().values(ends_at=1)) and None)

    async def forget() -> None:
        await catalogue.do(limits.forget, [(THREE, "a")])

    for restart in (forget, end_window):
        for _ in range(3):
            assert await catalogue.do(limits.take, [(THREE, "a")]) is None
        assert await catalogue.do(limits.take, [(THREE, "a")]) is not None
        await restart()
    assert await catalogue.do(limits.take, [(THREE, "a")]) is None
    assert await catalogue.count(attempts) == 1


async def test_attempts_at_once_from_two_processes(catalogue: Catalogue) -> None:
    other = Database(catalogue.database.url)
    both = [database.write(limits.take, [(TEN, "a")]) for _ in range(10) for database in (catalogue.database, other)]
    waits = await asyncio.gather(*both)
    await other.close()
    assert sum(wait is None for wait in waits) == 10


async def test_no_address_is_kept(catalogue: Catalogue) -> None:
    await catalogue.do(limits.take, [(THREE, "ann@x.org"), (TEN, "192.0.2.7")])
    kept = await catalogue.do(lambda conn: str(conn.execute(attempts.select()).all()))
    assert kept.count("(") >= 2, "something is kept of both"
    for piece in ("ann@", "x.org", "192.0", "0.2.7"):  # none that a digest or a clock's digits may hold
        assert piece not in kept


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_whom_an_address_stands_for(address: str, network: str) -> None:
    assert limits.network_of(address) == network
