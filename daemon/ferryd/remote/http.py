"""Calls a hub over HTTP: Connect unary, binary, with the bearer token. Upload steps 7, 8 and 10; forwarded calls.

httpx is imported at the first call, so that a daemon with an embedded hub never pays for it. Environment proxies are
not used; certificates are those the system trusts. Redirects are refused; the token goes to the hub's own address only
and is in no error and no log.
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ferryd.core.following import HEADER, current
from ferryd.remote.address import HubAddress, parse_address
from ferryd.remote.replies import Reply, message_of
from ferryd.remote.transport import CONTENT_TYPE, MAX_REPLY_BYTES, deadline_exceeded, too_large
from ferrywire import traceparent
from ferrywire.reasons import FerryError

if TYPE_CHECKING:
    import httpx

_CONNECT_TIMEOUT_S: Final = 10.0


class HttpTransport:
    """Implements `Transport` for one hub and one token, and posts the forms of sign-in.

    INVALID_ARGUMENT for an address that is none.
    """

    def __init__(self, hub_address: str, token: str = "") -> None:
        self.address: HubAddress = parse_address(hub_address)
        self._token = token
        self._client: httpx.AsyncClient | None = None

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """Post the message and return the reply's. NOT_SIGNED_IN without a token; see `Transport`."""
        return await self.call_as(self._token, method_path, body, timeout_s)

    async def call_as(self, token: str, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """The same with this token instead of the transport's own."""
        if not token:
            raise FerryError("NOT_SIGNED_IN", f"no token for {self.address.text}")
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": CONTENT_TYPE,
            "connect-protocol-version": "1",
            "connect-timeout-ms": str(max(1, int(timeout_s * 1000))),
        }
        return message_of(await self._post(method_path, headers, body, timeout_s))

    async def post_form(
        self, path: str, fields: Mapping[str, str], timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Post a form, without a token: status, headers and body, whatever they say. HUB_UNREACHABLE,
        DEADLINE_EXCEEDED, TOO_LARGE."""
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        reply = await self._post(path, headers, urlencode(fields).encode(), timeout_s)
        return reply.status, reply.headers, reply.body

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, method_path: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Reply:
        try:
            async with asyncio.timeout(timeout_s):
                if self._client is None:
                    await asyncio.to_thread(_load)  # some 100 ms, not on the loop
                return await self._exchange(method_path, headers, body)
        except TimeoutError:
            raise deadline_exceeded(method_path, timeout_s) from None

    async def _exchange(self, method_path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        import httpx

        if self._client is None:
            self._client = _new_client(self.address)
        headers = {**headers, "accept-encoding": "identity"}  # a compressed reply could be a bomb
        if request_id := current():
            headers[HEADER] = request_id
        if parent := traceparent.traceparent():
            headers[traceparent.HEADER] = parent
        url = f"{self.address.base_url}/{method_path.lstrip('/')}"
        try:
            async with self._client.stream("POST", url, content=body, headers=headers) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                return Reply(self.address.text, method_path, response.status_code, names, await _body(response))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            said = f"{self.address.text} cannot be reached: {_cause(error)}"
            raise FerryError("HUB_UNREACHABLE", said, hub=self.address.text) from error


def _load() -> None:
    # httpcore asks for sniffio several times a request; where it is not installed, each time looks through the whole
    # path, 0.1 ms. Without it httpcore takes asyncio, which is what runs here.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
    importlib.import_module("httpx")


def _cause(error: Exception) -> str:
    what = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in what:
        what += "; if an authority of your own has signed it, start the daemon with SSL_CERT_FILE naming it"
    return what


def _new_client(address: HubAddress) -> httpx.AsyncClient:
    import httpx

    # A hub without TLS needs no authorities: loading them takes tens of milliseconds.
    https = address.base_url.startswith("https:")
    tls = ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=30.0)
    # The deadline of a call is its caller's (asyncio.timeout); only connecting has one of its own.
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(verify=tls, uds=address.socket_path or None, limits=limits, retries=0),
        timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "ferryd"},
    )


async def _body(response: httpx.Response) -> bytes:
    """The body as it came, capped."""
    whole = bytearray()
    async for piece in response.aiter_raw():
        whole += piece
        if len(whole) > MAX_REPLY_BYTES:
            raise too_large()
    return bytes(whole)
