"""Round every request of a serving hub: gives it an id, logs and counts how it went, closes connections when draining.

Not used by an embedded hub, whose daemon does so. The query of a path is never logged: it may be a signature.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ferryhub.logs import Refusal, refusal, request_id
from ferryhub.rpc.methods import METHODS
from ferrywire import traceparent, tracing
from ferrywire.ids import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Sent by callers who want to find their request in our log, and returned to everybody.
HEADER: Final = b"x-request-id"
_GOOD_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RPC_PREFIX: Final = "/ferryapi.hub.v1."
_QUIET: Final = ("health",)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """One request and what became of it."""

    #: The method of a call, or a word for a kind of path: there are few of them, whatever is sent.
    what: str
    began_at: float
    #: 0 until the reply begins.
    status: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    #: Why it was refused: a reason of the error table, or none.
    refusal: Refusal = field(default_factory=Refusal)

    @property
    def took_s(self) -> float:
        return time.perf_counter() - self.began_at


class Observer(Protocol):
    """Who counts requests."""

    def began(self) -> None:
        """A request came."""

    def ended(self, request: Request) -> None:
        """It was answered, or its caller went away."""


class Requests:
    """An ASGI app round another one. `draining` says whether connections are to be closed after their request."""

    def __init__(self, app: AsgiApp, *, draining: Callable[[], bool], observer: Observer | None = None) -> None:
        self._app = app
        self._draining = draining
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        given = headers.get(HEADER, b"")
        own_id = given.decode() if _GOOD_ID.fullmatch(given) else new_id("req")
        request_id.set(own_id)  # each request has a context of its own
        request = Request(_kind(scope["path"]), time.perf_counter())
        refusal.set(request.refusal)
        if self._observer is not None:
            self._observer.began()
        try:
            with _traced(request, headers.get(traceparent.HEADER.encode(), b""), own_id):
                await self._app(scope, _counting(receive, request), self._answering(send, request, own_id))
        finally:
            if self._observer is not None:
                self._observer.ended(request)
            if request.what not in _QUIET:
                _log_it(request, scope["method"])

    def _answering(self, send: Send, request: Request, own_id: str) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                more = [(HEADER, own_id.encode())]
                if self._draining():
                    more.append((b"connection", b"close"))
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            else:
                request.sent_bytes += len(message.get("body", b"")) + message.get("count", 0)
            await send(message)

        return answer


@contextmanager
def _traced(request: Request, parent: bytes, own_id: str) -> Iterator[None]:
    if request.what in _QUIET:
        yield
        return
    with tracing.span(request.what, kind="server", parent=parent.decode("latin-1"), request_id=own_id) as span:
        try:
            yield
        finally:
            span.note(status=request.status, received_bytes=request.received_bytes, sent_bytes=request.sent_bytes)
            if reason := request.refusal.reason:
                span.note(reason=reason)
            if request.status >= 500:
                span.fail(reason or str(request.status))


def _counting(receive: Receive, request: Request) -> Receive:
    async def take() -> Message:
        message = await receive()
        request.received_bytes += len(message.get("body", b""))
        return message

    return take


def _kind(path: str) -> str:
    if path.startswith(_RPC_PREFIX):
        method = path.removeprefix(_RPC_PREFIX)
        return method if method in METHODS else "other"
    if path.startswith("/blobs/"):
        return "part" if path.startswith("/blobs/uploads/") else "blob"
    if path in ("/healthz", "/readyz"):
        return "health"
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return {"oauth": "oauth", "device": "page"}.get(first, "other")


def _log_it(request: Request, method: str) -> None:
    took_ms = round(1000 * request.took_s, 1)
    fields = {"what": request.what, "method": method, "status": request.status, "took_ms": took_ms}
    fields |= {"received_bytes": request.received_bytes, "sent_bytes": request.sent_bytes}
    words = "request_done what=%s status=%d took_ms=%.1f received_bytes=%d sent_bytes=%d"
    said: list[object] = [request.what, request.status, took_ms, request.received_bytes, request.sent_bytes]
    if reason := request.refusal.reason:
        fields["reason"] = reason
        words += " reason=%s"
        said.append(reason)
    _log.info(words, *said, extra={"fields": fields})
