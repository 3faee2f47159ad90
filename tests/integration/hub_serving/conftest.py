"""Hubs as an institution runs several of them: processes of their own on one PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.hubs import HubServer

Serve = Callable[..., HubServer]


@pytest.fixture
def serve(tmp_path: Path, postgres_url: URL) -> Iterator[Serve]:
    """Start another hub on the same database, with more words for `ferryhub serve`."""
    servers: list[HubServer] = []

    def start(*options: str) -> HubServer:
        server = HubServer(tmp_path / f"hub{len(servers)}", *options, database=postgres_url)
        servers.append(server)
        return server.start()

    try:
        yield start
        for each in servers:
            each.stop()
            assert "Traceback (most recent call last)" not in each.log.read_text(), each.log.read_text()[-6000:]
    finally:
        for each in servers:
            each.kill()
