"""Whatever was begun at one hub goes on at any other, and what is ended at one ends everywhere."""

from __future__ import annotations

from functools import partial

import httpx
import pytest

from ferryhub.rpc.identity import REMEMBERED_S
from tests.integration.hub_serving.conftest import Serve
from tests.support.signin import Browser, Device
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery staple"


def _call(url: str, method: str, token: str, **fields: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.post(f"{url}/ferryapi.hub.v1.{method}", json=fields, headers=headers)


def _is_refused(url: str, token: str) -> bool:
    return _call(url, "AccessService/GetIdentity", token).status_code == 401


def test_a_sign_in_goes_on_at_any_hub(serve: Serve) -> None:
    hubs = [serve("--device-interval", "0") for _ in range(3)]
    hubs[0].add_user("ann@x.org", PASSWORD)
    clients = [httpx.Client(base_url=each.url) for each in hubs]
    device = Device(clients[0])
    device.start()
    # The page's form comes from one hub and is sent to another, which knows the browser.
    with Browser(hubs[1].url) as one, Browser(hubs[2].url) as two:
        one.open(device.user_code)
        two.cookie, two.page = one.cookie, one.page
        asked = two.send(action="sign_in", email="ann@x.org", password=PASSWORD, user_code=device.user_code)
        assert "Approve this device?" in asked.text, asked.text
        one.cookie, one.page = two.cookie, two.page
        assert "Approved" in one.send(action="approve").text
    tokens = Device.poll(_of(device, clients[1])).json()
    for each in hubs:
        assert _call(each.url, "AccessService/GetIdentity", tokens["access_token"]).json()["email"] == "ann@x.org"
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "ferryman"}
    fresh = clients[2].post("/oauth/token", data=refresh).json()
    assert _call(hubs[0].url, "AccessService/GetIdentity", fresh["access_token"]).status_code == 200
    # Signed out at one hub, shut out of all.
    clients[0].post("/oauth/revoke", data={"token": fresh["refresh_token"], "client_id": "ferryman"})
    for each in hubs:
        wait_for(
            partial(_is_refused, each.url, fresh["access_token"]),
            timeout_s=REMEMBERED_S + 10,
            what=f"{each.url} to notice",
        )
    for client in clients:
        client.close()


def _of(device: Device, client: httpx.Client) -> Device:
    other = Device(client)
    other.device_code, other.user_code = device.device_code, device.user_code
    return other


def test_pages_go_on_at_any_hub(serve: Serve) -> None:
    hubs = [serve() for _ in range(2)]
    token = hubs[0].token("ann@x.org")
    made = {
        _call(hubs[at % 2].url, "ProjectService/CreateProject", token, name=f"P{at}", requestId=f"r{at}").json()[
            "projectId"
        ]
        for at in range(7)
    }
    seen, page, at = [], "", 0
    while page or not at:
        fields = {"pageSize": 2, "pageToken": page}
        reply = _call(hubs[at % 2].url, "ProjectService/ListProjects", token, **fields).json()
        seen += [each["projectId"] for each in reply["projects"]]
        page, at = reply.get("nextPageToken", ""), at + 1
    assert (len(seen), set(seen)) == (7, made)


def test_hubs_that_start_at_once_on_an_empty_database(serve: Serve) -> None:
    # `serve` waits for each; the race itself is in tests/unit/hub/test_schema.py.
    hubs = [serve(), serve()]
    token = hubs[0].token("ann@x.org")
    assert all(_call(each.url, "ProjectService/ListProjects", token).status_code == 200 for each in hubs)
