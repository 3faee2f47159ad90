"""What an operator sees of a hub: log lines with ids, metrics on an address of their own, and no secret in either."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import httpx
import pytest

from tests.integration.hub_serving.conftest import Serve
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


def _lines(hub: HubServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hub.log.read_text().splitlines() if line.startswith("{")]


def _list(hub: HubServer, token: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{hub.url}/ferryapi.hub.v1.ProjectService/ListProjects?secret=in-the-query"
    return httpx.post(url, json={}, headers={"authorization": f"Bearer {token}", **named})


def test_an_id_follows_a_request(serve: Serve) -> None:
    hub = serve("--log-format", "json")
    token = hub.token("ann@x.org")
    assert _list(hub, token, x_request_id="from-outside.1").headers["x-request-id"] == "from-outside.1"
    own = [_list(hub, token).headers["x-request-id"], _list(hub, token, x_request_id="a b").headers["x-request-id"]]
    assert all(re.fullmatch(r"req_[0-9A-Z]{26}", each) for each in own)
    assert own[0] != own[1]

    def done() -> list[dict[str, Any]]:
        found = [line for line in _lines(hub) if line.get("what") == "ProjectService/ListProjects"]
        return found if len(found) == 3 else []

    lines = wait_for(done, what="three requests in the log")
    assert [line["request_id"] for line in lines] == ["from-outside.1", *own]
    for line in lines:
        assert (line["level"], line["status"], line["method"]) == ("info", 200, "POST")
        assert line["took_ms"] > 0
        assert line["message"].startswith("request_done ")
    text = hub.log.read_text()
    assert "in-the-query" not in text
    assert token not in text


@pytest.mark.parametrize("kind", ["json", "text"])
def test_a_refused_request_is_in_the_log_with_its_method_and_reason(serve: Serve, kind: str) -> None:
    hub = serve("--log-format", kind)
    headers = {"authorization": f"Bearer {hub.token('ann@x.org')}", "x-request-id": "refused-1"}
    calls = f"{hub.url}/ferryapi.hub.v1.ProjectService"
    assert httpx.post(f"{calls}/GetProject", json={"projectId": "none"}, headers=headers).status_code == 404
    assert httpx.post(f"{calls}/GetProject", json={}, headers={"x-request-id": "refused-2"}).status_code == 401
    assert httpx.get(f"{hub.url}/blobs/none", headers={"x-request-id": "refused-3"}).status_code == 401
    assert httpx.post(f"{calls}/No", json={}, headers={"x-request-id": "refused-4"}).status_code == 404
    expected = [
        ("refused-1", "ProjectService/GetProject", 404, "PROJECT_NOT_FOUND"),
        ("refused-2", "ProjectService/GetProject", 401, "NOT_SIGNED_IN"),
        ("refused-3", "blob", 401, "SIGNATURE_INVALID"),
        ("refused-4", "other", 404, ""),
    ]
    for own_id, what, status, reason in expected:
        line = wait_for(partial(_done, hub, own_id), what=f"{own_id} in the log")
        assert f"request_done what={what} status={status} " in line
        if kind == "json":
            assert json.loads(line).get("reason", "") == reason
        assert re.findall(r" reason=(\w+)", line) == ([reason] if reason else [])


def _done(hub: HubServer, own_id: str) -> str:
    """The hub's own line for the request."""
    found = [line for line in hub.log.read_text().splitlines() if own_id in line and "request_done" in line]
    return found[0] if found else ""


def test_metrics_are_on_an_address_of_their_own(serve: Serve) -> None:
    hub = serve("--metrics", "127.0.0.1:0")
    match = re.search(r"ferryhub metrics at (http://\S+)", hub.log.read_text())
    assert match
    token = hub.token("ann@x.org")
    for _ in range(3):
        _list(hub, token)
    httpx.post(f"{hub.url}/ferryapi.hub.v1.NoService/Nothing", json={})
    named = {"authorization": f"Bearer {token}"}
    httpx.post(f"{hub.url}/ferryapi.hub.v1.ProjectService/GetProject", json={"projectId": "none"}, headers=named)
    assert httpx.get(f"{hub.url}/metrics").status_code == 404

    def metric(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(match[1]).text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    # Each is counted once it has been answered.
    wait_for(lambda: metric('ferryhub_requests_total{status="200",what="ProjectService/ListProjects"}') == 3)
    wait_for(lambda: metric('ferryhub_requests_total{status="404",what="ProjectService/GetProject"}') == 1)
    wait_for(lambda: metric("ferryhub_requests_running") == 0)
    assert metric('ferryhub_requests_total{status="404",what="other"}') >= 1
    assert metric('ferryhub_request_seconds_count{what="ProjectService/ListProjects"}') == 3
    assert metric("ferryhub_database_reads_total") >= 4
    assert metric("ferryhub_draining") == 0
    assert "NoService" not in httpx.get(match[1]).text
    assert metric("process_open_fds") > 3
