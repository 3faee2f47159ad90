"""Calls a hub over HTTP: Connect unary, binary, with the bearer token. Upload steps 7, 8 and 10; forwarded calls.

Environment proxies are not used; certificates are those the system trusts. Redirects are refused; the token goes to
the hub's own address only and is in no error and no log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from ferryd.core.following import HEADER, current
from ferryd.remote.address import HubAddress, parse_address
from ferryd.remote.connection import Connections, Server, TooLargeError
from ferryd.remote.replies import Reply, message_of
from ferryd.remote.transport import CONTENT_TYPE, MAX_REPLY_BYTES, deadline_exceeded, too_large
from ferrywire import traceparent
from ferrywire.reasons import FerryError


class HttpTransport:
    """Implements `Transport` for one hub and one token, and posts the forms of sign-in.

    INVALID_ARGUMENT for an address that is none.
    """

    def __init__(self, hub_address: str, token: str = "") -> None:
        self.address: HubAddress = parse_address(hub_address)
        self._token = token
        parts = urlsplit(self.address.base_url)
        self._host = parts.netloc
        self._prefix = quote(parts.path, safe="/%")
        self._connections = Connections(_server(self.address), MAX_REPLY_BYTES)

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """Post the message and return the reply's. NOT_SIGNED_IN without a token; see `Transport`."""
        return await self.call_as(self._token, method_path, body, timeout_s)

    async def call_as(self, token: str, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """The same with this token instead of the transport's own."""
        if not token:
            raise FerryError("NOT_SIGNED_IN", f"no token for {self.address.text}")
        if not (token.isascii() and token.isprintable()):
            raise FerryError("TOKEN_INVALID", f"the token for {self.address.text} is none: it has letters no token has")
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
        self._connections.close()

    async def _post(self, method_path: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Reply:
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._connections.exchange(self._head(method_path, headers, body) + body)
        except TimeoutError:
            raise deadline_exceeded(method_path, timeout_s) from None
        except TooLargeError:
            raise too_large() from None
        except OSError as error:
            said = f"{self.address.text} cannot be reached: {_cause(error)}"
            raise FerryError("HUB_UNREACHABLE", said, hub=self.address.text) from error
        return Reply(self.address.text, method_path, answer.status, answer.headers, answer.body)

    def _head(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"POST {self._prefix}/{quote(path.lstrip('/'))} HTTP/1.1", f"host: {self._host}", "user-agent: ferryd"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("accept-encoding: identity")  # a compressed reply could be a bomb
        lines.append(f"content-length: {len(body)}")
        if request_id := current():
            lines.append(f"{HEADER}: {request_id}")
        if parent := traceparent.traceparent():
            lines.append(f"{traceparent.HEADER}: {parent}")
        return "\r\n".join([*lines, "", ""]).encode()


def _server(address: HubAddress) -> Server:
    parts = urlsplit(address.base_url)
    tls = parts.scheme == "https"
    return Server(parts.hostname or "", parts.port or (443 if tls else 80), address.socket_path, tls)


def _cause(error: Exception) -> str:
    what = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in what:
        what += "; if an authority of your own has signed it, start the daemon with SSL_CERT_FILE naming it"
    return what
