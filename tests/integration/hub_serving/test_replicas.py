"""Whatever was begun at one hub goes on at any other, step by step, and what is ended at one ends everywhere.

Three hubs on one PostgreSQL, each step at another of them. Bytes in a bucket: `hub_content/test_s3.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from typing import Any

import httpx
import pytest

from ferryhub.rpc.identity import REMEMBERED_S
from ferrywire.digest import BlockHasher, of_blocks
from ferrywire.parts import MIB
from tests.integration.hub_auth.test_provider import options
from tests.support import openid
from tests.support.hubs import HubServer
from tests.support.openid import OpenIdProvider
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.signin import DEVICE_GRANT, Browser
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with openid.provider() as served:
        yield served


@pytest.fixture(scope="module")
def hubs(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, provider: OpenIdProvider
) -> Iterator[list[HubServer]]:
    """Hubs that start at once on an empty database, all told the address that a proxy before them would have."""
    root = tmp_path_factory.mktemp("replicas")
    url = postgres.new_database(empty=True)
    words = options(provider, f"http://127.0.0.1:{free_port()}", root / "secret")
    with ExitStack() as stack:
        stack.callback(postgres.drop, url)
        three = [HubServer(root / f"hub{at}", *words, database=url) for at in range(3)]
        for each in three:
            stack.callback(each.kill)
        with ThreadPoolExecutor(len(three)) as threads:
            list(threads.map(HubServer.start, three))
        three[0].add_people(PASSWORD, "ann@x.org", "bob@x.org")
        yield three
        for each in three:
            each.stop()
            assert "Traceback (most recent call last)" not in each.log.read_text(), each.log.read_text()[-6000:]


class Anywhere:
    """Sends each call to the next hub."""

    def __init__(self, hubs: list[HubServer], token: str = "") -> None:
        self._next = cycle(hubs)
        self._token = token

    def __call__(self, method: str, **fields: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        return httpx.post(f"{self.url}/ferryapi.hub.v1.{method}", json=fields, headers=headers)

    def oauth(self, endpoint: str, **form: str) -> httpx.Response:
        return httpx.post(f"{self.url}/oauth/{endpoint}", data={"client_id": "ferryman", **form})

    @property
    def url(self) -> str:
        return next(self._next).url


class Wanderer:
    """A browser whose every request meets another hub; its cookies are for the proxy's address."""

    def __init__(self, browsers: list[Browser]) -> None:
        self._browsers = cycle(browsers)
        self.browser = next(self._browsers)

    def move(self) -> Browser:
        """The same browser, at the next hub."""
        here, self.browser = self.browser, next(self._browsers)
        self.browser.cookie, self.browser.visit_cookie = here.cookie, here.visit_cookie
        self.browser.page = here.page
        return self.browser


@pytest.fixture
def person(hubs: list[HubServer]) -> Iterator[Wanderer]:
    with ExitStack() as stack:
        yield Wanderer([stack.enter_context(Browser(each.url)) for each in hubs])


def _is_refused(url: str, token: str) -> bool:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.post(f"{url}/ferryapi.hub.v1.AccessService/GetIdentity", json={}, headers=headers).status_code == 401


def test_a_sign_in_from_code_to_revocation(hubs: list[HubServer], person: Wanderer) -> None:
    calls = Anywhere(hubs)
    device = calls.oauth("device_authorization", scope="read write").json()
    poll = {"grant_type": DEVICE_GRANT, "device_code": device["device_code"]}
    assert calls.oauth("token", **poll).json()["error"] == "authorization_pending"
    person.move().open(device["user_code"])
    signed_in = {"action": "sign_in", "email": "ann@x.org", "password": PASSWORD, "user_code": device["user_code"]}
    assert "Approve this device?" in person.move().send(**signed_in).text
    assert "Approved" in person.move().send(action="approve").text
    assert "Signed in as" in person.move().open().text
    first = calls.oauth("token", **poll).json()
    assert calls.oauth("token", **poll).json()["error"] == "invalid_grant"
    second = calls.oauth("token", grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    # The reply was lost: the same again, at another hub, replaces it.
    third = calls.oauth("token", grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    for each in hubs:
        assert _is_refused(each.url, second["access_token"])
        assert not _is_refused(each.url, third["access_token"])
    assert calls.oauth("revoke", token=third["refresh_token"]).status_code == 200
    assert calls.oauth("token", grant_type="refresh_token", refresh_token=third["refresh_token"]).status_code == 400
    for each in hubs:  # a hub may remember who had the token for `REMEMBERED_S`
        wait_for(
            partial(_is_refused, each.url, third["access_token"]),
            timeout_s=REMEMBERED_S + 30,
            what=f"{each.url} to notice",
        )
    person.move().send(action="sign_out")
    assert "Signed in as" not in person.move().open().text


def test_to_the_provider_from_one_hub_and_back_to_another(person: Wanderer) -> None:
    person.browser.open()
    assert person.move().send(action="provider").status_code == 200
    back = person.browser.at_provider(person.browser.onward())
    query = back.partition("?")[2]
    here = person.move()
    assert here.come_back(f"{here.url}/device/callback?{query}").status_code == 200
    assert "Signed in as <strong>ann@x.org" in person.move().open().text
    # It counts once, wherever it is shown again.
    again = person.move()
    assert again.come_back(f"{again.url}/device/callback?{query}").status_code == 403


def test_attempts_everywhere_count_together(person: Wanderer) -> None:
    wrong = {"action": "sign_in", "email": "bob@x.org", "password": "nonsense"}
    person.browser.open()
    assert [person.move().send(**wrong).status_code for _ in range(11)] == [403] * 10 + [429]
    person.move().open()
    assert person.move().send(**{**wrong, "password": PASSWORD}).status_code == 429


def test_an_upload_with_each_step_at_another_hub(hubs: list[HubServer]) -> None:
    """Up to the bytes, which lie on the machine of the hub that took them: with several hubs they go to a bucket."""
    data = b"x" * 1000
    hasher = BlockHasher()
    hasher.update(memoryview(data))
    digest = base64.b64encode(of_blocks(hasher.block_digests())).decode()
    call = Anywhere(hubs, hubs[0].token("ann@x.org"))
    projects = [call("ProjectService/CreateProject", name="P", requestId="the same").json() for _ in hubs]
    assert projects == [projects[0]] * 3
    upload = {
        "newAsset": {"title": "A", "ownerType": "project", "ownerId": projects[0]["projectId"]},
        "files": [{"path": "f", "sizeBytes": len(data), "partSizeBytes": MIB}],
        "totalSizeBytes": len(data),
        "totalFileCount": 1,
        "requestId": "one upload",
    }
    sessions = [call("ContentService/CreateUpload", **upload).json() for _ in hubs]
    assert {each["sessionId"] for each in sessions} == {sessions[0]["sessionId"]}
    session = {"sessionId": sessions[0]["sessionId"]}
    part = {"fileIndex": 0, "partNumber": 1, "digest": digest}
    signed = call("ContentService/SignParts", **session, parts=[part]).json()["locations"][0]["url"]["url"]
    # Whoever takes the part, all know the signature and then the part.
    assert httpx.put(call.url + signed, content=data).status_code == 200
    assert [len(call("ContentService/ListParts", **session).json()["parts"]) for _ in hubs] == [1, 1, 1]
    spoilt = httpx.put(call.url + signed[:-1] + ("0" if signed[-1] != "0" else "1"), content=data)
    assert (spoilt.status_code, spoilt.json()["reason"]) == (401, "SIGNATURE_INVALID")
    assert call("ContentService/AbortUpload", **session).status_code == 200
    for _ in hubs:
        assert call("ContentService/ListParts", **session).status_code == 404


def test_pages_go_on_at_any_hub(hubs: list[HubServer]) -> None:
    call = Anywhere(hubs, hubs[0].token("carl@x.org"))
    made = {call("ProjectService/CreateProject", name=f"P{at}").json()["projectId"] for at in range(7)}
    seen, page = [], None
    while page != "":
        reply = call("ProjectService/ListProjects", pageSize=2, pageToken=page or "").json()
        seen += [each["projectId"] for each in reply["projects"]]
        page = reply.get("nextPageToken", "")
    assert (len(seen), set(seen)) == (7, made)
