"""Over TLS; and no secret in the clear: not in the database, not in the log, not in what commands print."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from tests.integration.hub_auth.conftest import identity, kept
from tests.support.hubs import HubServer
from tests.support.signin import Browser, Device, approve
from tests.support.tls import Certificate
from tests.unit.hub.conftest import database_url as database_url

pytestmark = pytest.mark.slow

CANARY = "canary-password-6d1f0a"
#: What says the kind of a token, before its secret. Only there: the secret itself may hold underscores.
KIND = re.compile(r"^f[a-z]{2}_")


class TlsHub:
    """A hub over TLS, and what trusts its certificate."""

    def __init__(self, server: HubServer, trust: ssl.SSLContext) -> None:
        self.server = server
        self.trust = trust


@pytest.fixture
def tls_hub(tmp_path: Path, database_url: URL) -> Iterator[TlsHub]:
    certificate = Certificate(tmp_path)
    options = (*certificate.options, "--device-interval", "0", "--access-ttl", "777")
    database = None if "sqlite" in str(database_url) else database_url
    server = HubServer(tmp_path / "hub", *options, database=database)
    server.add_user("ann@x.org", CANARY)
    server.start()
    yield TlsHub(server, certificate.trust)
    server.stop()
    assert "Traceback (most recent call last)" not in server.log.read_text()


def test_whole_flow_over_tls_leaves_no_secret(tls_hub: TlsHub) -> None:
    server, trust = tls_hub.server, tls_hub.trust
    assert server.url.startswith("https://")
    with httpx.Client(base_url=server.url, verify=trust) as client:
        device = Device(client)
        codes = device.start().json()
        assert codes["verification_uri"] == f"{server.url}/device"
        with Browser(server.url, verify=trust) as browser:
            page = browser.sign_in("ann@x.org", "wrong-" + CANARY, device.user_code)
            assert "max-age=" in page.headers["strict-transport-security"]
            cookies = [browser.cookie]
            browser.sign_in("ann@x.org", CANARY, device.user_code)
            cookies.append(browser.cookie)
            browser.send(action="approve")
        first = device.poll().json()
        assert first["expires_in"] == 777
        second = device.refresh(first["refresh_token"]).json()
        assert identity(client, second["access_token"]).status_code == 200
        device.refresh("frt_" + CANARY)
        client.post("/oauth/token", content=CANARY.encode())
    secrets = [CANARY, device.device_code, device.user_code, *(each.partition("=")[2] for each in cookies)]
    secrets += [pair[name] for pair in (first, second) for name in ("access_token", "refresh_token")]
    listed = server.command("users", "list") + server.command("token", "list")
    found = kept(server).encode() + b"".join(path.read_bytes() for path in server.state_dir.glob("catalogue.db*"))
    for secret in secrets:
        bare = KIND.sub("", secret)
        assert bare.encode() not in found
        assert bare not in server.log.read_text() + listed
    assert b"$argon2id$" in found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_plain_http_and_strangers_are_refused(tls_hub: TlsHub) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(tls_hub.server.url.replace("https", "http") + "/healthz")
    with pytest.raises(httpx.ConnectError):
        httpx.get(tls_hub.server.url + "/healthz")
    assert httpx.get(tls_hub.server.url + "/healthz", verify=tls_hub.trust).text == "ok"


def test_public_url_is_what_users_are_told(tmp_path: Path) -> None:
    server = HubServer(tmp_path / "hub", "--public-url", "https://hub.example.org/")
    server.add_user("ann@x.org", CANARY)
    server.start()
    try:
        with httpx.Client(base_url=server.url) as client:
            device = Device(client)
            assert device.start().json()["verification_uri"] == "https://hub.example.org/device"
        approve(server.url, device.user_code, "ann@x.org", CANARY)
    finally:
        server.stop()
