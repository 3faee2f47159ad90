"""Accounts at several hubs: limits count together, a device code and a refresh token work once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ferryhub.auth import devices, limits, signins
from ferryhub.auth.limits import Limit
from ferryhub.catalogue import account_tables as at
from ferryhub.catalogue import principals, tokens
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from tests.integration.hub_replicas.conftest import Replicas

TEN = Limit("ten", 10, 1000)
OTHER = Limit("other", 15, 1000)


async def test_attempts_everywhere_count_together(replicas: Replicas) -> None:
    taken = await replicas.at_once([lambda conn: limits.take(conn, [(OTHER, "b"), (TEN, "a")])] * 24)
    assert sum(each is None for each in taken) == 10
    assert sorted(row.tries for row in await replicas.rows(at.attempts)) == [10, 10]
    given = await replicas.at_once([lambda conn: limits.give_back(conn, [(TEN, "a")])] * 4)
    assert given == [None] * 4
    taken = await replicas.at_once([lambda conn: limits.take(conn, [(TEN, "a")])] * 12)
    assert sum(each is None for each in taken) == 4


async def _device(replicas: Replicas, ann: Actor) -> Any:
    new = devices.NewDevice("dc", "BCDF-GHJK", "ferryman", "read write", "192.0.2.1", 600, 5)
    await replicas.do(devices.add, new)
    return new


async def test_a_device_is_answered_once(replicas: Replicas, ann: Actor) -> None:
    device = await _device(replicas, ann)

    def answer(approve: bool) -> Any:
        return lambda conn: devices.decide(conn, device.user_code, ann.principal_id, approve=approve)

    assert sum(await replicas.at_once([answer(bool(at % 2)) for at in range(10)])) == 1


async def test_a_device_code_gives_tokens_once(replicas: Replicas, ann: Actor) -> None:
    device = await _device(replicas, ann)
    await replicas.do(devices.decide, device.user_code, ann.principal_id, approve=True)

    def use(conn: Any) -> bool:
        row = devices.by_device_code(conn, device.device_code)
        return row is not None and devices.use(conn, row)

    assert sum(await replicas.at_once([use] * 9)) == 1


async def test_who_comes_from_elsewhere_is_in_nobodys_way(replicas: Replicas) -> None:
    """Attempts of two addresses do not clash, though neither was ever seen before."""
    runs, counted, go_on = [0, 0], threading.Event(), threading.Event()

    def first(conn: Any) -> None:
        runs[0] += 1
        limits.take(conn, [(OTHER, "x"), (TEN, "x")])
        counted.set()
        assert go_on.wait(60)

    def second(conn: Any) -> None:
        runs[1] += 1
        limits.take(conn, [(OTHER, "y"), (TEN, "y")])

    waiting = asyncio.ensure_future(replicas.databases[0].write(first))
    assert await asyncio.to_thread(counted.wait, 60)
    if str(replicas.databases[1].url).startswith("sqlite"):  # where one writes at a time
        go_on.set()
    await replicas.databases[1].write(second)
    go_on.set()
    await waiting
    assert runs == [1, 1]


def _pair() -> signins.Pair:
    return signins.Pair(tokens.new_secret(tokens.PREFIX), tokens.new_secret(signins.REFRESH_PREFIX), 3600, 86400)


async def _signed_in(replicas: Replicas, ann: Actor) -> signins.Pair:
    pair = _pair()

    def begin(conn: Any) -> None:
        signins.add_pair(conn, signins.begin(conn, ann.principal_id, "ferryman", "read write"), pair)

    await replicas.do(begin)
    return pair


def _refresh(secret: str) -> Any:
    def refresh(conn: Any) -> signins.Pair | None:
        row = signins.present(conn, secret, grace_s=30)
        if row is None:
            return None
        pair = _pair()
        signins.exchange(conn, row, pair)
        return pair

    return refresh


async def test_a_refresh_repeated_at_other_hubs_leaves_one_pair_alive(replicas: Replicas, ann: Actor) -> None:
    first = await _signed_in(replicas, ann)
    pairs = await replicas.at_once([_refresh(first.refresh)] * 9)
    assert None not in pairs
    rows = await replicas.rows(at.refresh_tokens)
    assert len(rows) == 10
    living = [row for row in rows if row.parent_sha256 is not None and row.replaced_at is None]
    assert len(living) == 1
    usable = [row for row in await replicas.rows(t.tokens) if row.revoked_at is None]
    assert len(usable) == 2  # the first pair's, until it expires, and the living one's


@pytest.mark.parametrize("turn", range(3))
async def test_a_reuse_ends_the_sign_in_whatever_comes_with_it(replicas: Replicas, ann: Actor, turn: int) -> None:
    first = await _signed_in(replicas, ann)
    second = await replicas.do(_refresh(first.refresh))
    third = await replicas.do(_refresh(second.refresh))
    # Somebody shows the first one again, while the rightful holder goes on.
    calls = [_refresh(first.refresh), _refresh(third.refresh)]
    done = await replicas.at_once(calls if turn % 2 else calls[::-1])
    assert done[0 if turn % 2 else 1] is None
    assert all(row.revoked_at is not None for row in await replicas.rows(t.tokens))


async def test_people_are_made_once(replicas: Replicas) -> None:
    made = await replicas.at_once([lambda conn: principals.ensure_by_email(conn, "Ann@x.org")] * 12)
    assert len(set(made)) == 1
    assert len(await replicas.rows(t.principals)) == 1
