"""How often a device asks whether it has been approved: a real hub's replies, a clock of the test's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferryd.auth.device import await_approval
from ferryd.auth.oauth import DeviceGrant, OAuth
from ferryd.auth.tokens import Tokens
from ferryd.remote.http import HttpTransport
from ferrywire.reasons import FerryError
from tests.support.byte_server import Behaviour, ByteServer, answer, reset
from tests.unit.auth.test_oauth import PAIR, SECRET, said

PENDING = said(400, error="authorization_pending")
SLOW = said(400, error="slow_down")
GIVEN = said(200, **PAIR)


class Clock:
    """Time passes only in `sleep`, at once. Implements `ports.Clock`."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_700_000_000 + self.elapsed()

    monotonic = now

    def elapsed(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def approval(
    *script: Behaviour, clock: Clock | None = None, expires_in_s: float = 600.0, interval_s: float = 5.0
) -> Tokens:
    clock = clock or Clock()
    grant = DeviceGrant("d" * 40, "ABCD-EFGH", "https://h.example/device", "", expires_in_s, interval_s)
    with ByteServer(script=list(script)) as server:
        http = HttpTransport(server.url)
        try:
            return await await_approval(OAuth(http, server.url), grant, clock, elapsed=clock.elapsed)
        finally:
            await http.close()
            assert server.script == [], "everything was asked for"


async def refused(*script: Behaviour, **grant: Any) -> FerryError:
    with pytest.raises(FerryError) as caught:
        await approval(*script, **grant)
    return caught.value


async def test_asks_at_the_interval_and_waits_before_the_first_time() -> None:
    clock = Clock()
    tokens = await approval(PENDING, PENDING, GIVEN, clock=clock)
    assert tokens.access_token == SECRET
    assert clock.slept == [5.0, 5.0, 5.0]


async def test_slow_down_adds_five_seconds_for_good() -> None:
    clock = Clock()
    await approval(PENDING, SLOW, PENDING, SLOW, PENDING, GIVEN, clock=clock)
    assert clock.slept == [5.0, 5.0, 10.0, 10.0, 15.0, 15.0]


async def test_a_hub_cannot_make_it_spin() -> None:
    clock = Clock()
    await approval(PENDING, GIVEN, clock=clock, interval_s=0.0)
    assert clock.slept == [1.0, 1.0]


async def test_asks_ever_more_rarely_while_the_network_is_away_and_goes_on() -> None:
    clock = Clock()
    page = answer(200, b"<title>Sign in to the network</title>")
    await approval(reset, reset, page, answer(503), answer(404), PENDING, GIVEN, clock=clock)
    assert clock.slept == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


async def test_waits_as_long_as_a_busy_hub_asks_but_not_for_ever() -> None:
    clock = Clock()
    await approval(answer(429, Retry_After="30"), answer(503, Retry_After="86400"), GIVEN, clock=clock)
    assert clock.slept == [5.0, 30.0, 60.0]


async def test_asks_a_last_time_when_the_code_ends_and_no_later() -> None:
    clock = Clock()
    error = await refused(PENDING, PENDING, PENDING, clock=clock, expires_in_s=12.0)
    assert error.reason == "LOGIN_EXPIRED"
    assert clock.slept == [5.0, 5.0, 2.0]


async def test_an_interval_longer_than_the_code_lives() -> None:
    clock = Clock()
    tokens = await approval(GIVEN, clock=clock, expires_in_s=30.0, interval_s=3600.0)
    assert tokens.access_token == SECRET
    assert clock.slept == [30.0]


async def test_a_code_that_is_dead_already_is_not_asked_about() -> None:
    assert (await refused(expires_in_s=0.0)).reason == "LOGIN_EXPIRED"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("access_denied", "LOGIN_DENIED"),
        ("expired_token", "LOGIN_EXPIRED"),
        ("invalid_grant", "LOGIN_EXPIRED"),
        ("invalid_client", "LOGIN_DENIED"),
    ],
)
async def test_what_ends_the_wait(error: str, reason: str) -> None:
    assert (await refused(PENDING, said(400, error=error))).reason == reason


async def test_a_pair_that_makes_no_sense_is_asked_for_again() -> None:
    bad = answer(200, json.dumps(PAIR | {"access_token": "fat_\n" + "c" * 40}).encode())
    assert (await approval(bad, GIVEN)).access_token == SECRET
