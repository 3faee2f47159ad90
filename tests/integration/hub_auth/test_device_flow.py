"""RFC 8628 over HTTP: a device gets its codes, waits, is approved or denied, and gets its tokens once."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.integration.hub_auth.conftest import PASSWORD, change, identity
from tests.support.hubs import HubServer
from tests.support.signin import Browser, Device, approve

pytestmark = pytest.mark.slow


def error(reply: httpx.Response) -> str:
    assert reply.status_code == 400, reply.text
    assert reply.headers["cache-control"] == "no-store"
    word: str = reply.json()["error"]
    return word


def test_whole_flow(hub: HubServer, device: Device, client: httpx.Client) -> None:
    started = device.start()
    assert (started.status_code, started.headers["cache-control"]) == (200, "no-store")
    codes = started.json()
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert codes["verification_uri"] == f"{hub.url}/device"
    assert codes["verification_uri_complete"] == f"{hub.url}/device?user_code={codes['user_code']}"
    assert (codes["expires_in"], codes["interval"]) == (600, 0)
    assert error(device.poll()) == "authorization_pending"
    approve(hub.url, device.user_code, "ann@x.org", PASSWORD)
    given = device.poll()
    assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
    tokens = given.json()
    assert re.fullmatch(r"fat_[\w-]{43}", tokens["access_token"])
    assert re.fullmatch(r"frt_[\w-]{43}", tokens["refresh_token"])
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "read write")
    me = identity(client, tokens["access_token"]).json()
    assert (me["email"], me["scopes"]) == ("ann@x.org", ["read", "write"])
    assert error(device.poll()) == "invalid_grant"


@pytest.mark.parametrize(("asked", "given"), [("read", "read"), ("write read", "read write"), (None, "read write")])
def test_scopes(hub: HubServer, device: Device, asked: str | None, given: str) -> None:
    device.start(asked)
    approve(hub.url, device.user_code, "ann@x.org", PASSWORD)
    assert device.poll().json()["scope"] == given


@pytest.mark.parametrize("scope", ["admin", "read admin", "everything"])
def test_scopes_that_no_device_gets(device: Device, scope: str) -> None:
    assert error(device.start(scope)) == "invalid_scope"


def test_unknown_client_and_codes(device: Device, client: httpx.Client) -> None:
    assert error(device.start(client_id="somebody")) == "invalid_client"
    device.device_code = "nonsense"
    assert error(device.poll()) == "invalid_grant"
    assert error(client.post("/oauth/token", data={"grant_type": "password", "client_id": "ferryman"})) == (
        "unsupported_grant_type"
    )
    assert error(client.post("/oauth/token", data={"grant_type": "refresh_token", "client_id": "ferryman"})) == (
        "invalid_request"
    )


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/oauth/token", b"", 405),
        ("POST", "/oauth/nothing", b"a=b", 404),
        ("POST", "/oauth/token", b"client_id=ferryman&client_id=x", 400),
        ("POST", "/oauth/token", b"\xff\xfe=%ff", 400),
        ("POST", "/oauth/token", b"a=" + b"x" * 20_000, 400),
        ("POST", "/oauth/token", b"&".join(b"f%d=1" % i for i in range(30)), 400),
    ],
)
def test_requests_that_make_no_sense(client: httpx.Client, method: str, path: str, content: bytes, status: int) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    reply = client.request(method, path, content=content, headers=headers)
    assert reply.status_code == status
    assert reply.json()["error"] == "invalid_request"
    assert (reply.headers.get("connection") == "close") == (status == 400)
    assert client.post("/oauth/token", json={"client_id": "ferryman"}).status_code == 400


def test_denied(browser: Browser, device: Device) -> None:
    device.start()
    browser.sign_in("ann@x.org", PASSWORD, device.user_code)
    assert "not signed in" in browser.send(action="deny").text
    for _ in range(2):
        assert error(device.poll()) == "access_denied"


def test_a_code_is_answered_once(hub: HubServer, browser: Browser, device: Device) -> None:
    device.start()
    browser.sign_in("ann@x.org", PASSWORD, device.user_code)
    form = {**browser.hidden(), "action": "approve"}
    assert browser.post(form).status_code == 200
    for action in ("approve", "deny"):
        assert browser.post({**form, "action": action}).status_code == 404
    assert device.poll().status_code == 200


def test_expired(hub: HubServer, browser: Browser, device: Device) -> None:
    device.start()
    assert change(hub, "UPDATE device_codes SET expires_at = 1 WHERE state = 'pending'") >= 1
    assert error(device.poll()) == "expired_token"
    assert browser.sign_in("ann@x.org", PASSWORD, device.user_code).status_code == 404


def test_who_asks_too_often_must_slow_down(hub: HubServer, device: Device) -> None:
    device.start()
    change(hub, "UPDATE device_codes SET interval_s = 100")
    assert [error(device.poll()) for _ in range(3)] == ["authorization_pending", "slow_down", "slow_down"]
    change(hub, "UPDATE device_codes SET polled_at = polled_at - 109 * 1000000 WHERE interval_s = 110")
    assert error(device.poll()) == "authorization_pending"


def test_who_is_shut_out_after_approving_gets_nothing(hub: HubServer, browser: Browser, device: Device) -> None:
    device.start()
    browser.sign_in("eve@x.org", PASSWORD, device.user_code)
    browser.send(action="approve")
    hub.command("users", "disable", "eve@x.org")
    try:
        assert error(device.poll()) == "invalid_grant"
    finally:
        hub.command("users", "enable", "eve@x.org")


def test_devices_are_limited_by_address(hub: HubServer, device: Device) -> None:
    device.start()
    change(hub, "UPDATE attempts SET tries = 100")
    refused = device.start()
    assert (refused.status_code, refused.json()["error"]) == (429, "slow_down")
    assert 0 < int(refused.headers["retry-after"]) <= 600
