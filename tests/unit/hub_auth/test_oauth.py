"""The adapter around Authlib, in process: what it says, and that no secret gets into a log at any level."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ferryhub.auth import devices, oauth, signins
from ferryhub.auth.oauth import Call, Reply
from ferryhub.auth.options import AuthOptions
from ferryhub.catalogue import tables as t
from ferryhub.catalogue import tokens
from ferryhub.catalogue.account_tables import device_codes, refresh_tokens, sign_ins
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.clock import now_us
from tests.support.signin import DEVICE_GRANT
from tests.unit.hub.conftest import Catalogue

OPTIONS = AuthOptions(device_interval_s=0)


class Client:
    """A device whose code Ann approves."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    async def ask(self, endpoint: Any, options: AuthOptions = OPTIONS, **form: str) -> Reply:
        call = Call({"client_id": "ferryman", **form}, "https://hub", "192.0.2.1")
        reply: Reply = await self.catalogue.do(endpoint, call, options)
        return reply

    async def signed_in(self, who: Actor) -> dict[str, Any]:
        codes = (await self.ask(oauth.device_authorization)).body
        assert await self.catalogue.do(devices.decide, codes["user_code"], who.principal_id, approve=True)
        reply = await self.ask(oauth.token, grant_type=DEVICE_GRANT, device_code=codes["device_code"])
        return {**codes, **reply.body}

    async def refresh(self, token: str) -> Reply:
        return await self.ask(oauth.token, grant_type="refresh_token", refresh_token=token)


@pytest.fixture
def client(catalogue: Catalogue) -> Client:
    return Client(catalogue)


async def test_nothing_secret_is_logged_or_kept(
    client: Client, catalogue: Catalogue, ann: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = await client.signed_in(ann)
    more = (await client.refresh(given["refresh_token"])).body
    await client.ask(oauth.revoke, token=more["refresh_token"])
    tables = (t.tokens, device_codes, refresh_tokens, sign_ins)
    kept = await catalogue.do(lambda conn: str([conn.execute(table.select()).all() for table in tables]))
    secrets = [given[name] for name in ("device_code", "user_code", "access_token", "refresh_token")]
    for secret in [*secrets, more["access_token"], more["refresh_token"]]:
        assert secret not in caplog.text + kept
    assert repr(Reply(200, more)).find(more["access_token"]) == -1


async def test_times(client: Client, catalogue: Catalogue, ann: Actor) -> None:
    before = now_us()
    given = await client.signed_in(ann)
    row = await catalogue.do(lambda conn: conn.execute(refresh_tokens.select()).one())
    token = await catalogue.do(lambda conn: conn.execute(t.tokens.select()).one())
    assert given["expires_in"] == 3600
    assert 0 <= token.expires_at - before - 3600 * 10**6 < 20 * 10**6
    assert 0 <= row.expires_at - before - 30 * 24 * 3600 * 10**6 < 20 * 10**6
    assert row.token_id == token.id


async def test_a_reply_with_an_error_still_ends_the_sign_in(client: Client, catalogue: Catalogue, ann: Actor) -> None:
    first = await client.signed_in(ann)
    second = (await client.refresh(first["refresh_token"])).body
    await client.refresh(second["refresh_token"])
    assert dict((await client.refresh(first["refresh_token"])).body) == {"error": "invalid_grant"}
    row = await catalogue.do(lambda conn: conn.execute(sign_ins.select()).one())
    assert row.revoked_at is not None
    live = t.tokens.select().where(t.tokens.c.revoked_at.is_(None))
    assert await catalogue.do(lambda conn: conn.execute(live).all()) == []


async def test_who_is_ended_is_only_the_one(client: Client, catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    mine, theirs = await client.signed_in(ann), await client.signed_in(bob)
    assert await catalogue.do(signins.end_all, ann.principal_id) == 1
    assert await catalogue.do(signins.end_all, ann.principal_id) == 0
    assert (await client.refresh(mine["refresh_token"])).status == 400
    assert (await client.refresh(theirs["refresh_token"])).status == 200
    assert await catalogue.do(tokens.authenticate, tokens.digest(theirs["access_token"]))


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("BCDF-GHJK", "BCDF-GHJK"),
        (" bcdf ghjk\t", "BCDF-GHJK"),
        ("bcdfghjk", "BCDF-GHJK"),
        ("BCDF-GHJA", ""),
        ("BCDF-GHJ", ""),
        ("BCDF-GHJKL", ""),
        ("", ""),
    ],
)
def test_user_code_as_typed(typed: str, code: str) -> None:
    assert devices.normalized(typed) == code
