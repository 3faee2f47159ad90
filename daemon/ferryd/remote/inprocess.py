"""Calls the hub inside the daemon: its ASGI app, awaited directly. Upload steps 7, 8 and 10; forwarded calls.

No HTTP, no socket, no token: the scope says who is calling, under a key that cannot come from a network. Errors are
decoded from the same Connect JSON as over HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ferryd.remote.replies import Reply, message_of
from ferryd.remote.transport import CONTENT_TYPE, MAX_REPLY_BYTES, deadline_exceeded, too_large
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
PRINCIPAL_KEY: Final = "ferryman.principal"


class AsgiTransport:
    """Implements `Transport`. `get_asgi` waits until the hub is loaded; calls are made as `principal_id`."""

    def __init__(self, get_asgi: Callable[[], Awaitable[AsgiApp]], principal_id: str) -> None:
        self._get_asgi = get_asgi
        self._principal_id = principal_id

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """Run the app on this one request. See `Transport`; an app that raises is INTERNAL with an id to look up."""
        exchange, deadline = _Exchange(body), asyncio.timeout(timeout_s)
        try:
            async with deadline:
                app = await self._get_asgi()
                await app(_scope(method_path, body, self._principal_id), exchange.receive, exchange.send)
        except FerryError:
            raise  # the hub cannot be loaded, or its reply is too large
        except Exception as error:  # the boundary to another program's code
            if deadline.expired():
                raise deadline_exceeded(method_path, timeout_s) from None
            error_id = new_id("err")
            log.exception("hub_call_failed method=%s error_id=%s", method_path, error_id)
            message = f"the hub failed; look for {error_id} in the daemon's log"
            raise FerryError("INTERNAL", message, errorId=error_id) from error
        return message_of(exchange.reply(method_path))

    async def close(self) -> None:
        """Nothing to let go of: who embeds the hub closes it."""


class _Exchange:
    """The two callables of one ASGI request, and what came of it."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status = 0
        self._headers: dict[str, str] = {}
        self._reply = bytearray()
        self._complete = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self._reply += message.get("body", b"")
            if len(self._reply) > MAX_REPLY_BYTES:
                raise too_large()
            if not message.get("more_body", False):
                self._complete.set()

    def reply(self, method_path: str) -> Reply:
        if not self._complete.is_set():
            raise FerryError("INTERNAL", "the hub ended a call without an answer", errorId="no-reply")
        return Reply("the embedded hub", method_path, self._status, self._headers, bytes(self._reply))


def _scope(method_path: str, body: bytes, principal_id: str) -> dict[str, Any]:
    path = f"/{method_path.lstrip('/')}"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connect-protocol-version", b"1"),
        ],
        "client": None,
        "server": ("localhost", None),
        "state": {},
        PRINCIPAL_KEY: principal_id,
    }
