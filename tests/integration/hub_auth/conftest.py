"""A served hub with people on it, on each kind of database, and clients for it. Its database can be moved in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from tests.support.hubs import HubServer
from tests.support.postgres import plain, text_of
from tests.support.signin import Browser, Device, approve

PASSWORD = "correct horse battery staple"
PEOPLE = ("ann@x.org", "bob@x.org", "eve@x.org")

Tokens = dict[str, str]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, hub_database: URL | None) -> Iterator[HubServer]:
    """`ferryhub serve` over plain HTTP for the tests of one module; devices need not wait between polls."""
    server = HubServer(tmp_path_factory.mktemp("auth") / "hub", "--device-interval", "0", database=hub_database)
    server.add_people(PASSWORD, *PEOPLE)
    server.start()
    yield server
    server.stop()
    log = server.log.read_text()
    assert "Traceback (most recent call last)" not in log, f"the hub logged a traceback:\n{log[-6000:]}"


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
def no_attempts(request: pytest.FixtureRequest) -> None:
    """Every test of the module's hub begins with no attempt counted."""
    if "hub" in request.fixturenames:
        change(request.getfixturevalue("hub"), "DELETE FROM attempts")


def change(hub: HubServer, sql: str) -> int:
    """Change the hub's database beside it; returns the number of rows."""
    if hub.database is not None:
        with psycopg.connect(plain(hub.database)) as postgres:
            return postgres.execute(sql.encode()).rowcount
    with closing(sqlite3.connect(hub.state_dir / "catalogue.db", timeout=20)) as conn, conn:
        return conn.execute(sql).rowcount


def kept(hub: HubServer) -> str:
    """Everything that is in the hub's database, as text."""
    if hub.database is not None:
        return text_of(hub.database)
    with closing(sqlite3.connect(hub.state_dir / "catalogue.db")) as conn:
        return "\n".join(conn.iterdump())


def identity(client: httpx.Client, token: str) -> httpx.Response:
    """Who the hub says we are."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return client.post("/ferryapi.hub.v1.AccessService/GetIdentity", content=b"{}", headers=headers)
