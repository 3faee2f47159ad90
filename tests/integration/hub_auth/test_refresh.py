"""Refresh tokens rotate; a repeat within the grace gets a new pair; any other reuse ends the sign-in; revocation."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.hub_auth.conftest import Tokens, change, identity
from tests.support.hubs import HubServer
from tests.support.signin import Device

pytestmark = pytest.mark.slow

PAST_GRACE = "UPDATE refresh_tokens SET used_at = used_at - 31 * 1000000 WHERE used_at IS NOT NULL"


def refused(reply: httpx.Response) -> bool:
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant"), reply.text
    return True


def works(client: httpx.Client, tokens: Tokens) -> bool:
    return identity(client, tokens["access_token"]).status_code == 200


def test_each_refresh_gives_a_new_pair(signed_in: Callable[[], Tokens], device: Device, client: httpx.Client) -> None:
    pairs = [signed_in()]
    for _ in range(3):
        reply = device.refresh(pairs[-1]["refresh_token"])
        assert reply.status_code == 200, reply.text
        pairs.append(reply.json())
    assert len({pair["refresh_token"] for pair in pairs} | {pair["access_token"] for pair in pairs}) == 8
    assert {pair["scope"] for pair in pairs} == {"read write"}
    # Calls that run with the last access token go on.
    assert all(works(client, pair) for pair in pairs)


def test_lost_reply_may_be_repeated(signed_in: Callable[[], Tokens], device: Device, client: httpx.Client) -> None:
    first = signed_in()["refresh_token"]
    lost: Tokens = device.refresh(first).json()
    assert works(client, lost)
    second: Tokens = device.refresh(first).json()
    assert not works(client, lost)
    third: Tokens = device.refresh(first).json()
    assert not works(client, second)
    assert works(client, third)
    assert device.refresh(third["refresh_token"]).status_code == 200


def test_a_pair_that_was_replaced_ends_the_sign_in(
    signed_in: Callable[[], Tokens], device: Device, client: httpx.Client
) -> None:
    first = signed_in()["refresh_token"]
    lost: Tokens = device.refresh(first).json()
    second: Tokens = device.refresh(first).json()
    assert refused(device.refresh(lost["refresh_token"]))
    assert refused(device.refresh(second["refresh_token"]))
    assert not works(client, second)


def test_reuse_after_the_next_was_used_ends_the_sign_in(
    signed_in: Callable[[], Tokens], device: Device, client: httpx.Client
) -> None:
    first = signed_in()
    second: Tokens = device.refresh(first["refresh_token"]).json()
    third: Tokens = device.refresh(second["refresh_token"]).json()
    assert works(client, third)
    assert refused(device.refresh(first["refresh_token"]))
    assert refused(device.refresh(third["refresh_token"]))
    assert not any(works(client, pair) for pair in (first, second, third))


def test_reuse_after_the_grace_ends_the_sign_in(
    hub: HubServer, signed_in: Callable[[], Tokens], device: Device, client: httpx.Client
) -> None:
    other, first = signed_in(), signed_in()
    second: Tokens = device.refresh(first["refresh_token"]).json()
    change(hub, PAST_GRACE)
    assert refused(device.refresh(first["refresh_token"]))
    assert refused(device.refresh(second["refresh_token"]))
    assert not works(client, second)
    # Another sign-in of the same user has nothing to do with it.
    assert works(client, other)
    assert device.refresh(other["refresh_token"]).status_code == 200


def test_many_at_once_leave_one_pair(hub: HubServer, signed_in: Callable[[], Tokens], client: httpx.Client) -> None:
    first = signed_in()["refresh_token"]
    device = Device(client)
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda _: device.refresh(first), range(32)))
    assert {reply.status_code for reply in replies} == {200}
    assert sum(works(client, reply.json()) for reply in replies) == 1


def test_expired_refresh_token(hub: HubServer, signed_in: Callable[[], Tokens], device: Device) -> None:
    tokens = signed_in()
    change(hub, "UPDATE refresh_tokens SET expires_at = 1")
    assert refused(device.refresh(tokens["refresh_token"]))


def test_disabled_user_is_not_refreshed(hub: HubServer, signed_in: Callable[[], Tokens], device: Device) -> None:
    tokens = signed_in()
    hub.command("users", "disable", "ann@x.org")
    try:
        assert refused(device.refresh(tokens["refresh_token"]))
    finally:
        hub.command("users", "enable", "ann@x.org")
    assert device.refresh(tokens["refresh_token"]).status_code == 200


def test_other_scopes_and_unknown_tokens(signed_in: Callable[[], Tokens], device: Device, client: httpx.Client) -> None:
    tokens = signed_in()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "ferryman"}
    assert client.post("/oauth/token", data={**form, "scope": "admin"}).json()["error"] == "invalid_scope"
    assert client.post("/oauth/token", data={**form, "client_id": "x"}).json()["error"] == "invalid_client"
    assert refused(device.refresh("frt_unknown"))
    assert refused(device.refresh(tokens["access_token"]))
    assert device.refresh(tokens["refresh_token"]).status_code == 200


def test_revoking_a_refresh_token_ends_the_sign_in(
    signed_in: Callable[[], Tokens], device: Device, client: httpx.Client
) -> None:
    tokens = signed_in()
    assert works(client, tokens)
    for _ in range(2):
        assert device.revoke(tokens["refresh_token"]).status_code == 200
    assert not works(client, tokens)
    assert refused(device.refresh(tokens["refresh_token"]))


def test_revoking_an_access_token_leaves_the_sign_in(
    signed_in: Callable[[], Tokens], device: Device, client: httpx.Client
) -> None:
    tokens = signed_in()
    assert works(client, tokens)
    assert device.revoke(tokens["access_token"]).status_code == 200
    assert not works(client, tokens)
    assert works(client, device.refresh(tokens["refresh_token"]).json())


def test_revoking_nothing_succeeds(device: Device, client: httpx.Client) -> None:
    assert device.revoke("fat_unknown").status_code == 200
    assert client.post("/oauth/revoke", data={"client_id": "ferryman"}).json()["error"] == "invalid_request"


def test_passwd_with_sign_out_ends_all_sign_ins(
    hub: HubServer, signed_in: Callable[[], Tokens], device: Device
) -> None:
    tokens = signed_in()
    words = ("users", "passwd", "ann@x.org", "--password-stdin")
    hub.command(*words, stdin="correct horse battery staple\n")
    kept: Tokens = device.refresh(tokens["refresh_token"]).json()
    hub.command(*words, "--sign-out", stdin="correct horse battery staple\n")
    assert refused(device.refresh(kept["refresh_token"]))
