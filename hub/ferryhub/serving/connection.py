"""One connection of a serving hub: uvicorn's HTTP, with limits of time and size, and bytes that go past it.

What is large goes past ASGI's messages where an application wants that: see `extensions.py`. TLS has no sendfile.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ferryhub.extensions import OFFER, ZERO_COPY
from ferryhub.serving.bodies import LargeBody
from ferryhub.serving.files import FileSender

Scope = MutableMapping[str, Any]

#: How long a peer may take to say goodbye when the hub stops, as TLS wants it, in seconds; an idle one does not read.
_FAREWELL_S: Final = 1.0
#: What comes before the body must come within this time, in seconds, and be no larger than this.
_HEAD_S: Final = 60.0
_MAX_HEAD_BYTES: Final = 512 << 10
#: A smaller body has mostly come with its head.
_LARGE_BYTES: Final = 256 << 10


class Connection(HttpToolsProtocol):
    """uvicorn's, with an end to heads that never end: nobody has shown a token by then, so nothing else bounds them.

    And to connections that TLS would keep half closed for half a minute when the hub stops.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _stopping = False
    #: Of the newest response. The one before may still be tidying up: its last byte lets the next request begin.
    _sender: FileSender | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application, self.app = self.app, self._answer
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)
        self._lost.set()
        if self._sender is not None:
            self._sender.wake()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._end_soon()

    def shutdown(self) -> None:
        self._stopping = True
        super().shutdown()
        self._end_soon()

    def _end_soon(self) -> None:
        if self._stopping and self.transport.is_closing():
            self.loop.call_later(_FAREWELL_S, self.transport.abort)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(_HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    async def _answer(self, scope: Scope, receive: Any, send: Any) -> None:
        """The application, with what it may ask of us for this request. `receive` and `send` are the cycle's."""
        cycle: RequestResponseCycle = receive.__self__
        length = _length(scope)
        if scope["method"] == "GET" and self.scheme == "http":
            await self._with_files(cycle, scope, receive)
        elif length >= _LARGE_BYTES:
            body = LargeBody(self, cycle, length, whole=self._go_on)
            scope["extensions"] = {OFFER: {"offer": body.offer}}
            await self._application(scope, body.receive, send)
        else:
            await self._application(scope, receive, send)

    async def _with_files(self, cycle: RequestResponseCycle, scope: Scope, receive: Any) -> None:
        sender = self._sender = FileSender(self, cycle, self._lost)
        scope["extensions"] = {ZERO_COPY: {}}
        try:
            await self._application(scope, receive, sender.send)
        finally:
            sender.close(last=self._sender is sender)
            if self._sender is sender:
                self._sender = None

    def _go_on(self) -> None:
        """Behind a body that the parser has not seen to its end: the next byte begins a request."""
        self.cycle.more_body = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own


def _length(scope: Scope) -> int:
    """How long the body is; 0 when that is not said in plain words."""
    told = [value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")]
    return int(told[0]) if len(told) == 1 and told[0].isdigit() else 0
