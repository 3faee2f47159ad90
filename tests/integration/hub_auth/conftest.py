"""A served hub with people on it, and clients for it. Its database can be looked into and moved in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from tests.support.hubs import HubServer
from tests.support.signin import Browser, Device, approve

PASSWORD = "correct horse battery staple"
PEOPLE = ("ann@x.org", "bob@x.org", "eve@x.org")

Tokens = dict[str, str]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """`ferryhub serve` over plain HTTP for the tests of one module; devices need not wait between polls."""
    server = HubServer(tmp_path_factory.mktemp("auth") / "hub", "--device-interval", "0")
    for person in PEOPLE:
        server.add_user(person, PASSWORD)
    server.start()
    yield server
    server.stop()
    assert "Traceback (most recent call last)" not in server.log.read_text()


@pytest.fixture
def client(hub: HubServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.url) as client:
        yield client


@pytest.fixture
def device(client: httpx.Client) -> Device:
    return Device(client)


@pytest.fixture
def browser(hub: HubServer) -> Iterator[Browser]:
    with Browser(hub.url) as browser:
        yield browser


@pytest.fixture
def signed_in(hub: HubServer, device: Device) -> Callable[[], Tokens]:
    """Make Ann's device signed in; returns what it was given."""

    def run() -> Tokens:
        device.start()
        approve(hub.url, device.user_code, "ann@x.org", PASSWORD)
        reply = device.poll()
        assert reply.status_code == 200, reply.text
        tokens: Tokens = reply.json()
        return tokens

    return run


@pytest.fixture(autouse=True)
def no_attempts(hub: HubServer) -> None:
    """Every test begins with no attempt counted."""
    change(hub, "DELETE FROM attempts")


def change(hub: HubServer, sql: str, *values: object) -> int:
    """Change the hub's database beside it; returns the number of rows."""
    with closing(sqlite3.connect(hub.state_dir / "catalogue.db", timeout=20)) as conn, conn:
        return conn.execute(sql, values).rowcount


def identity(client: httpx.Client, token: str) -> httpx.Response:
    """Who the hub says we are."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return client.post("/ferryapi.hub.v1.AccessService/GetIdentity", content=b"{}", headers=headers)
