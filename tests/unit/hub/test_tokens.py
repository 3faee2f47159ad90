"""Tokens: only a digest is kept; revocation, expiry and scopes count; caching never outlives its time."""

from __future__ import annotations

import re

import pytest

from ferryhub.catalogue import principals, tokens
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import ALL_SCOPES, Actor
from ferryhub.catalogue.clock import now_us
from ferryhub.rpc.identity import REMEMBERED_S, Identities
from tests.unit.hub.conftest import Catalogue, fails


async def test_token_gives_its_principal_and_scopes(catalogue: Catalogue, ann: Actor) -> None:
    token = await catalogue.do(tokens.create, ann.principal_id, ["write", "read", "read"])
    assert re.fullmatch(r"fat_[A-Za-z0-9_-]{43}", token.secret)
    assert token.secret not in repr(token)
    actor = await catalogue.do(tokens.authenticate, tokens.digest(token.secret))
    assert actor == Actor(ann.principal_id, "ann@x.org", frozenset({"read", "write"}), None)


async def test_secret_is_nowhere_in_the_database(catalogue: Catalogue, ann: Actor) -> None:
    token = await catalogue.do(tokens.create, ann.principal_id, ["read"])
    kept = await catalogue.do(lambda conn: str(conn.execute(t.tokens.select()).all()))
    assert token.secret not in kept
    assert token.secret.removeprefix("fat_") not in kept


async def test_unknown_scope_is_refused(catalogue: Catalogue, ann: Actor) -> None:
    with fails("INVALID_ARGUMENT", field="scope"):
        await catalogue.do(tokens.create, ann.principal_id, ["everything"])


async def test_unknown_revoked_and_expired(catalogue: Catalogue, ann: Actor) -> None:
    with fails("TOKEN_INVALID"):
        await catalogue.do(tokens.authenticate, tokens.digest("fat_nonsense"))
    expired = await catalogue.do(tokens.create, ann.principal_id, ["read"], expires_at=now_us() - 1)
    with fails("TOKEN_EXPIRED"):
        await catalogue.do(tokens.authenticate, tokens.digest(expired.secret))
    revoked = await catalogue.do(tokens.create, ann.principal_id, ["read"])
    assert await catalogue.do(tokens.revoke, revoked.id)
    assert await catalogue.do(tokens.revoke, revoked.id)
    assert not await catalogue.do(tokens.revoke, "tok_unknown")
    with fails("TOKEN_INVALID"):
        await catalogue.do(tokens.authenticate, tokens.digest(revoked.secret))


async def test_disabled_principal_gets_nowhere(catalogue: Catalogue, ann: Actor) -> None:
    token = await catalogue.do(tokens.create, ann.principal_id, ["read"])
    await catalogue.do(lambda conn: conn.execute(t.principals.update().values(disabled=True)) and None)
    with fails("TOKEN_INVALID"):
        await catalogue.do(tokens.authenticate, tokens.digest(token.secret))
    with fails("TOKEN_INVALID"):
        await catalogue.do(principals.vouched, ann.principal_id)


async def test_identities_are_remembered_for_their_time_only(catalogue: Catalogue, ann: Actor) -> None:
    clock = [100.0]
    identities = Identities(catalogue.database, clock_s=lambda: clock[0])
    token = await catalogue.do(tokens.create, ann.principal_id, ["read"])
    assert (await identities.of_token(token.secret)).email == ann.email
    await catalogue.do(tokens.revoke, token.id)
    clock[0] += REMEMBERED_S - 0.1
    assert (await identities.of_token(token.secret)).email == ann.email
    clock[0] += 0.2
    with fails("TOKEN_INVALID"):
        await identities.of_token(token.secret)


async def test_forgetting_makes_a_revocation_count_at_once(catalogue: Catalogue, ann: Actor) -> None:
    identities = Identities(catalogue.database)
    token = await catalogue.do(tokens.create, ann.principal_id, ["read"])
    await identities.of_token(token.secret)
    await catalogue.do(tokens.revoke, token.id)
    identities.forget_all()
    with fails("TOKEN_INVALID"):
        await identities.of_token(token.secret)


async def test_expiry_counts_for_a_remembered_token(catalogue: Catalogue, ann: Actor) -> None:
    identities = Identities(catalogue.database)
    expires_at = now_us() + 300_000
    token = await catalogue.do(tokens.create, ann.principal_id, ["read"], expires_at=expires_at)
    await identities.of_token(token.secret)
    while now_us() <= expires_at:
        pass
    with fails("TOKEN_EXPIRED"):
        await identities.of_token(token.secret)


async def test_embedded_principal_is_made_and_changed(catalogue: Catalogue) -> None:
    for email in ("me@here", "me@corp.org@here", "ME@there", "ME@there"):
        await catalogue.do(principals.ensure, "usr_1", email)
    actor = await catalogue.do(principals.vouched, "usr_1")
    assert (actor.email, actor.scopes) == ("me@there", ALL_SCOPES)
    with fails("TOKEN_INVALID"):
        await catalogue.do(principals.vouched, "usr_2")
    with fails("INVALID_ARGUMENT", field="principal_id"):
        await catalogue.do(principals.ensure, "usr_2", "me@there")


@pytest.mark.parametrize("email", ["", "ann", "a b@x.org", "x" * 320 + "@x.org"])
async def test_bad_addresses_are_refused(catalogue: Catalogue, email: str) -> None:
    with fails("INVALID_ARGUMENT", field="email"):
        await catalogue.do(principals.ensure_by_email, email)
