"""`client.auth.login` and `ferry login` at a hub whose people sign in at an OpenID provider and have no password."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from ferryman import Client
from tests.integration.hub_auth.test_provider import options
from tests.support import openid
from tests.support.accounts import secrets
from tests.support.cli import COMMAND
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.openid import CLIENT_SECRET, OpenIdProvider
from tests.support.ports import free_port
from tests.support.signin import Browser
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with openid.provider() as provider:
        yield provider


@pytest.fixture
def hub(home: Home, provider: OpenIdProvider) -> Iterator[HubServer]:
    """Ann, who is new, is made a user when she comes."""
    url = f"http://127.0.0.1:{free_port()}"
    words = options(provider, url, home.root / "client-secret")
    server = HubServer(home.root / "hub", *words, "--no-passwords", "--oidc-new-users-of", "x.org")
    server.url = url
    try:
        yield server.start()
        server.stop()
        assert "Traceback" not in server.log.read_text()
    finally:
        server.kill()


def approve(hub: HubServer, user_code: str) -> None:
    with Browser(hub.url) as browser:
        assert "Approve this device?" in browser.sign_in_at_provider(user_code).text
        assert "Approved" in browser.send(action="approve").text


def test_a_daemon_is_signed_in_by_who_signed_in_at_the_provider(client: Client, hub: HubServer, home: Home) -> None:
    status = client.auth.login(hub.url, on_code=lambda code: approve(hub, code.user_code), timeout_s=60)
    assert (status.user_email, status.hub) == ("ann@x.org", hub.url)
    table = home.data / "data.csv"
    table.write_bytes(b"a,b\n1,2\n")
    project = client.create_project("P")
    client.upload(table, title="Data", owner_type="project", owner_id=project.project_id)
    assert client.auth.logout() is True
    assert not secrets(home)


def test_ferry_login(hub: HubServer, home: Home) -> None:
    with subprocess.Popen([*COMMAND, "login", hub.url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ferry:
        assert ferry.stdout is not None
        shown = b""

        def code() -> str:
            nonlocal shown
            assert ferry.stdout is not None
            shown += ferry.stdout.readline()
            found = re.search(rb"\b[B-Z]{4}-[B-Z]{4}\b", shown)
            return found[0].decode() if found else ""

        try:
            approve(hub, wait_for(code, what="the code"))
            said = (shown + ferry.stdout.read()).decode()
            assert ferry.wait(60) == 0, said
        finally:
            ferry.kill()
    assert "ann@x.org" in said
    assert CLIENT_SECRET not in said
