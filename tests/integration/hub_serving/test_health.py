"""A hub says when it lives and when it is ready, and goes away without cutting anybody off."""

from __future__ import annotations

import os
import signal
import socket

import httpx
import pytest

from tests.integration.hub_serving.conftest import Serve
from tests.support.hubs import HubServer
from tests.support.postgres import Postgres
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


def _status(hub: HubServer, path: str) -> tuple[int, str]:
    reply = httpx.get(f"{hub.url}{path}")
    return reply.status_code, reply.text


def test_not_ready_while_the_database_is_away(serve: Serve, postgres: Postgres) -> None:
    hub = serve()
    assert _status(hub, "/healthz") == _status(hub, "/readyz") == (200, "ok")
    if postgres.server is None:
        pytest.skip("FERRYMAN_TEST_POSTGRES_URL: not ours to restart")
    token = hub.token("ann@x.org")
    postgres.server.stop()
    try:
        assert _status(hub, "/readyz") == (503, "database")
        assert _status(hub, "/healthz") == (200, "ok")
        refused = httpx.post(
            f"{hub.url}/ferryapi.hub.v1.ProjectService/ListProjects",
            json={},
            headers={"authorization": f"Bearer {token}"},
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    finally:
        postgres.server.start()
    assert _status(hub, "/readyz") == (200, "ok")


def test_drain(serve: Serve) -> None:
    hub = serve("--drain-delay", "300")
    with httpx.Client(base_url=hub.url) as client:
        assert "connection" not in client.get("/healthz").headers
        os.kill(hub.pid, signal.SIGTERM)
        wait_for(lambda: _status(hub, "/readyz") == (503, "draining"), what="the hub to drain")
        # Still alive, still answering, but not on a connection that stays open.
        reply = client.get("/healthz")
        assert (reply.status_code, reply.headers["connection"]) == (200, "close")
        os.kill(hub.pid, signal.SIGTERM)  # told again: now
    hub.stop()


def test_a_request_that_runs_is_answered(serve: Serve) -> None:
    hub = serve()
    body = b"grant_type=refresh_token&client_id=ferryman&refresh_token=nonsense"
    head = (
        f"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", hub.port)) as busy,
        socket.create_connection(("127.0.0.1", hub.port)) as idle,
    ):
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok"):
            answer += idle.recv(4096)
        assert b"200 OK" in answer
        busy.sendall(head.encode() + body[:10])
        wait_for(lambda: _status(hub, "/readyz")[0] == 200)
        os.kill(hub.pid, signal.SIGTERM)
        idle.settimeout(60)
        assert idle.recv(4096) == b""  # a connection that waits for nothing is closed
        busy.sendall(body[10:])
        busy.settimeout(60)
        reply = b"".join(iter(lambda: busy.recv(4096), b""))
        assert b"400 Bad Request" in reply
        assert b"invalid_grant" in reply
        assert b"connection: close" in reply.lower()
    hub.stop()
