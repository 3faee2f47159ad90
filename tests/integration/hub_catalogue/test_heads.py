"""Requests whose head never ends, from anybody who can reach the port: cut off before they cost anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferryhub import server
from ferryhub.config import HubSettings
from ferryhub.serving import connection

_BEGUN = b"POST /ferryapi.hub.v1.ProjectService/ListProjects HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture
async def socket_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    monkeypatch.setattr(connection, "_HEAD_S", 0.2)
    path = tmp_path / "s"
    with server.unix_socket(path) as listener:
        serving = asyncio.ensure_future(server._serve(HubSettings(tmp_path / "hub"), listener))
        yield path
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@pytest.mark.parametrize("sent", [b"", b"\r\n", _BEGUN, _BEGUN + b"x: "])
async def test_one_that_stops_coming_is_cut_off(socket_path: Path, sent: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(sent)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_one_that_goes_on_and_on_is_cut_off(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEAD_S", 60.0)
    _, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(_BEGUN + b"x: ")
    with pytest.raises(ConnectionError):
        for _ in range(200):
            writer.write(b"y" * (64 << 10))
            await writer.drain()
    writer.close()


async def test_an_idle_connection_may_be_used_again(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a head is waited for: a lane hashes its next part meanwhile."""
    monkeypatch.setattr(connection, "_HEAD_S", 1.0)
    reader, writer = await asyncio.open_unix_connection(socket_path)
    for idle_s in (1.2, 0.0):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(idle_s)
    writer.close()
