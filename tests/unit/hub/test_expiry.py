"""What is over is forgotten, all of it; nothing else is, and nothing that is over counts until then."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from ferryhub.auth import browsers, devices, limits, links, signins
from ferryhub.auth.devices import NewDevice
from ferryhub.auth.limits import Limit
from ferryhub.catalogue import account_tables as at
from ferryhub.catalogue import expiry, tokens
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.expiry import CODES_KEPT_US, TOKENS_KEPT_US, forget_expired
from tests.unit.hub.conftest import Catalogue

DAY_US = 24 * expiry.HOUR_US
MONTH_US = 30 * DAY_US
#: A table, and how long after the time in its row that row is forgotten.
ENDS = {
    "attempts": (at.attempts, at.attempts.c.ends_at, 0),
    "browsers": (at.browsers, at.browsers.c.expires_at, 0),
    "visits": (at.provider_visits, at.provider_visits.c.expires_at, 0),
    "codes": (at.device_codes, at.device_codes.c.expires_at, CODES_KEPT_US),
    "tokens": (t.tokens, t.tokens.c.expires_at, TOKENS_KEPT_US),
    "refresh tokens": (at.refresh_tokens, at.refresh_tokens.c.expires_at, TOKENS_KEPT_US),
}


def _pair() -> signins.Pair:
    access, refresh = tokens.new_secret(tokens.PREFIX), tokens.new_secret(signins.REFRESH_PREFIX)
    return signins.Pair(access, refresh, access_ttl_s=3600, refresh_ttl_s=MONTH_US / 1e6)


def _one_of_each(conn: Any, who: Actor) -> None:
    later = now_us() + expiry.HOUR_US
    limits.take(conn, [(Limit("any", 3, 3600), "a")])
    browsers.sign_in(conn, who.principal_id, "b", expires_at=later)
    links.leave(conn, "c", expires_at=later)
    devices.add(conn, NewDevice("d", "BCDF-GHJK", "ferryman", "read", "", ttl_s=3600, interval_s=5))
    signins.add_pair(conn, signins.begin(conn, who.principal_id, "ferryman", "read"), _pair())


def _execute(conn: Any, statement: Any) -> None:
    conn.execute(statement)


@pytest.mark.parametrize("what", ENDS)
async def test_each_in_its_time(catalogue: Catalogue, ann: Actor, what: str) -> None:
    table, ends_at, kept_us = ENDS[what]
    await catalogue.do(_one_of_each, ann)
    over_at = kept_us + await catalogue.do(lambda conn: conn.execute(select(ends_at)).scalar_one())
    await forget_expired(catalogue.database, over_at - 1)
    assert await catalogue.count(table) == 1
    assert await forget_expired(catalogue.database, over_at) >= 1
    assert await catalogue.count(table) == 0


async def test_all_of_it_however_much(catalogue: Catalogue, ann: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_ROWS_AT_ONCE", 2)
    for _ in range(3):
        await catalogue.do(_one_of_some, ann)
    assert await forget_expired(catalogue.database, now_us() + 2 * MONTH_US) == 5 * 3
    for table in (*(table for table, _, _ in ENDS.values()), at.sign_ins):
        assert await catalogue.count(table) == 0, table.name


def _one_of_some(conn: Any, who: Actor) -> None:
    limits.take(conn, [(Limit("any", 3, 3600), tokens.new_secret(""))])
    browsers.sign_in(conn, who.principal_id, tokens.new_secret(""), expires_at=1)
    links.leave(conn, tokens.new_secret(""), expires_at=1)
    signins.add_pair(conn, signins.begin(conn, who.principal_id, "ferryman", "read"), _pair())


async def test_an_operators_token_is_kept_for_ever(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.do(tokens.create, ann.principal_id, ("read",), expires_at=1)
    await catalogue.do(tokens.create, ann.principal_id, ("read",))
    assert await forget_expired(catalogue.database, now_us() + 100 * MONTH_US) == 0


async def test_a_sign_in_is_there_as_long_as_one_token(catalogue: Catalogue, ann: Actor) -> None:
    first, second = _pair(), _pair()

    def sign_in(conn: Any) -> None:
        signins.add_pair(conn, signins.begin(conn, ann.principal_id, "ferryman", "read"), first)

    def go_on(conn: Any) -> None:
        row = signins.present(conn, first.refresh, grace_s=30)
        assert row is not None
        signins.exchange(conn, row, second)

    await catalogue.do(sign_in)
    await catalogue.do(go_on)
    old = at.refresh_tokens.update().where(at.refresh_tokens.c.sha256 == tokens.digest(first.refresh))
    await catalogue.do(_execute, old.values(expires_at=1))
    await catalogue.do(_execute, t.tokens.delete())
    assert await forget_expired(catalogue.database, now_us()) == 1
    assert await catalogue.do(signins.present, second.refresh, grace_s=30) is not None


async def test_what_is_over_does_not_count_though_nobody_swept(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.do(_one_of_each, ann)
    for table, ends_at, _ in ENDS.values():
        await catalogue.do(_execute, table.update().values({ends_at.name: 1}))
    assert await catalogue.do(browsers.who, "b") is None
    assert not await catalogue.do(links.came_back, "c")
    assert await catalogue.do(devices.waiting, "BCDF-GHJK") is None
    assert not await catalogue.do(devices.decide, "BCDF-GHJK", ann.principal_id, approve=True)
    # A window that is over begins anew, in the row that is there.
    for _ in range(3):
        assert await catalogue.do(limits.take, [(Limit("any", 3, 3600), "a")]) is None
    assert await catalogue.do(limits.take, [(Limit("any", 3, 3600), "a")]) is not None
    assert await catalogue.count(at.attempts) == 1
