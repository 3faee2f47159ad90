"""The hub fixture gives a hub that answers, knows people, and comes back on the same port."""

from __future__ import annotations

import urllib.request

from tests.support.hubs import HubServer


def _healthy(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
        return bool(answer.status == 200)


def test_it_answers_gives_tokens_and_comes_back(hub_server: HubServer) -> None:
    assert _healthy(hub_server.url)
    assert hub_server.token("ada@example.org") != hub_server.token("ada@example.org", "read")
    url = hub_server.url
    hub_server.stop()
    assert hub_server.start().url == url
    assert _healthy(url)
