"""Reading a request: what is too slow, too long or cut off ends, whoever sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ferryhub.web import http

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def _scope(headers: list[tuple[bytes, bytes]] = FORM) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/device", "headers": headers, "client": ("192.0.2.1", 1)}


def _pieces(*messages: dict[str, Any]) -> Receive:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


async def test_a_form_in_pieces() -> None:
    first, second = (
        {"type": "http.request", "body": body, "more_body": more} for body, more in ((b"a=", 1), (b"1", 0))
    )
    request = await http.read(_scope(), _pieces(first, second))
    assert (request.form, request.address) == ({"a": "1"}, "192.0.2.1")


async def test_a_form_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FORM_S", 0.01)
    with pytest.raises(http.BadRequest, match="in time"):
        await http.read(_scope(), _pieces({"type": "http.request", "body": b"a=", "more_body": True}))


async def test_a_form_that_is_too_long_is_not_read_to_its_end() -> None:
    piece = {"type": "http.request", "body": b"a" * http.MAX_FORM_BYTES, "more_body": True}
    with pytest.raises(http.BadRequest, match="longer"):
        await http.read(_scope(), _pieces(piece, piece))


async def test_a_client_that_went_away() -> None:
    with pytest.raises(http.Disconnected):
        await http.read(_scope(), _pieces({"type": "http.disconnect"}))
