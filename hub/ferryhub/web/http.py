"""The little HTTP that the sign-in page needs: a form read with a limit, cookies, replies with every security header.

Plain ASGI. No decision about accounts here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_FORM_BYTES: Final = 16 << 10
_MAX_FIELDS: Final = 20
#: How long a form may take to arrive, in seconds: nobody has shown a token or a password yet.
_FORM_S: Final = 30.0
#: Nothing runs, nothing is loaded from elsewhere, nothing is sent elsewhere, nobody frames the page.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_HSTS: Final = "max-age=31536000"


class BadRequest(Exception):
    """The request cannot be read; its text says why and goes back as it is."""


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """What goes back: `headers` besides those that every reply has."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Each goes into a Set-Cookie header of its own.
    cookies: Sequence[str] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One request with its whole body."""

    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    #: The network address of the client; empty when it came by a Unix socket.
    address: str
    #: `http` or `https`, as the client sees it when a proxy on this machine says so.
    scheme: str

    @property
    def origin(self) -> str:
        """Where the client says that it found the hub, such as `https://hub.example.org`."""
        host = self.headers.get("host", "")
        if not host or any(each in host for each in "/\\@?# \t\"'<>"):
            raise BadRequest("the Host header is missing or wrong")
        return f"{self.scheme}://{host}"


async def read(scope: Scope, receive: Receive) -> Request:
    """Read one request. Error: `BadRequest`."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    form = await _form(headers, receive) if scope["method"] == "POST" else {}
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=_fields(scope.get("query_string", b"")),
        form=form,
        headers=headers,
        cookies=_cookies(headers.get("cookie", "")),
        address=(scope.get("client") or ("",))[0],
        scheme=scope.get("scheme", "http"),
    )


async def send_response(scope: Scope, send: Send, response: Response) -> None:
    """Answer; HEAD gets no body."""
    more = {"strict-transport-security": _HSTS} if scope.get("scheme") == "https" else {}
    own = {"content-type": response.content_type, "content-length": str(len(response.body))}
    named = {**_HEADERS, **more, **own, **response.headers}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in response.cookies]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


def json_response(status: int, body: Mapping[str, Any], **headers: str) -> Response:
    """A reply for a program."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(body).encode(), "application/json", {"pragma": "no-cache", **named})


def text_response(status: int, text: str, **headers: str) -> Response:
    """A reply of one line."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8", named)


async def _form(headers: Mapping[str, str], receive: Receive) -> Mapping[str, str]:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise BadRequest("send the form as application/x-www-form-urlencoded")
    try:
        async with asyncio.timeout(_FORM_S):
            return _fields(await _body(receive))
    except TimeoutError as error:
        raise BadRequest("the form did not arrive in time") from error


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > MAX_FORM_BYTES:
            raise BadRequest(f"the form is longer than {MAX_FORM_BYTES} bytes")
        if not message.get("more_body"):
            return bytes(body)


def _fields(encoded: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadRequest("the fields cannot be read") from error
    # RFC 6749 3.1: no parameter twice. Two readers of one request must not see two values.
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadRequest("a field is given twice")
    return dict(pairs)


def _cookies(header: str) -> Mapping[str, str]:
    pairs = (each.strip().partition("=") for each in header.split(";"))
    return {name: value for name, _, value in pairs if name}
