"""A served hub, called as curl, R and JavaScript call it: JSON over HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc import error_details_pb2
from sqlalchemy import URL

from ferryhub.app import Hub, create_hub
from ferryhub.config import HubSettings
from tests.support.hubs import HubServer


class JsonCaller:
    """Calls one hub with one token."""

    def __init__(self, url: str, token: str = "", *, uds: str | None = None) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=url, headers=headers, transport=httpx.HTTPTransport(uds=uds))

    def post(self, method: str, body: Any) -> httpx.Response:
        """`method` such as `AssetService/GetAsset`; the body as JSON, or as it is when bytes."""
        if isinstance(body, bytes):
            headers = {"content-type": "application/json"}
            return self.client.post(f"/ferryapi.hub.v1.{method}", content=body, headers=headers)
        return self.client.post(f"/ferryapi.hub.v1.{method}", json=body)

    def __call__(self, method: str, **fields: Any) -> Any:
        """The reply of a call that succeeds."""
        reply = self.post(method, fields)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def refused(self, method: str, **fields: Any) -> tuple[str, str, dict[str, str]]:
        """Code, reason and metadata of a call that fails."""
        return refusal(self.post(method, fields))


def refusal(reply: httpx.Response) -> tuple[str, str, dict[str, str]]:
    """Code, reason and metadata of an error reply: exactly one ErrorInfo of ours."""
    assert reply.status_code >= 400, reply.text
    body = reply.json()
    infos = [detail["value"] for detail in body["details"] if detail["type"] == "google.rpc.ErrorInfo"]
    assert len(infos) == 1, body
    info = error_details_pb2.ErrorInfo.FromString(base64.b64decode(infos[0] + "=" * (-len(infos[0]) % 4)))
    assert info.domain == "ferryman"
    return body["code"], info.reason, dict(info.metadata)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, hub_database: URL | None) -> Iterator[HubServer]:
    """`ferryhub serve` for the tests of one module, on each kind of database."""
    server = HubServer(tmp_path_factory.mktemp("served") / "hub", database=hub_database).start()
    yield server
    server.stop()
    assert "Traceback (most recent call last)" not in server.log.read_text()


@pytest.fixture(scope="module")
def ann(served: HubServer) -> Iterator[JsonCaller]:
    caller = JsonCaller(served.url, served.token("ann@x.org"))
    with caller.client:
        yield caller


@pytest.fixture(scope="module")
def bob(served: HubServer) -> Iterator[JsonCaller]:
    caller = JsonCaller(served.url, served.token("bob@x.org"))
    with caller.client:
        yield caller


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub inside this process, with a user."""
    hub = create_hub(HubSettings(state_dir=tmp_path / "hub"))
    await hub.start()
    await hub.ensure_principal("usr_me", "me@here")
    yield hub
    await hub.close()
