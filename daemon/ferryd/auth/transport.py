"""Signs the calls to one hub with the token of the moment. Upload steps 7, 8 and 10; every forwarded catalogue call."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from ferryd.auth.sign_in import TokenSource
from ferryd.remote.transport import deadline_exceeded
from ferrywire.reasons import FerryError

_REFUSED: Final = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "NOT_SIGNED_IN"})


class Bearer(Protocol):
    """Makes one call with a given token."""

    async def call_as(self, token: str, method_path: str, body: bytes, timeout_s: float) -> bytes: ...

    async def close(self) -> None: ...


class SigningTransport:
    """Implements `Transport` round one that takes a token with each call. A refused token is renewed once, and the
    call repeated once."""

    def __init__(self, http: Bearer, tokens: TokenSource) -> None:
        self._http = http
        self._tokens = tokens

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """See `Transport`; NOT_SIGNED_IN too."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        try:
            async with asyncio.timeout_at(ends_at):
                token = await self._tokens.token()
                try:
                    return await self._http.call_as(token, method_path, body, ends_at - loop.time())
                except FerryError as error:
                    fresh = await self._tokens.renew(token) if error.reason in _REFUSED else None
                    if fresh is None:
                        raise
                return await self._http.call_as(fresh, method_path, body, ends_at - loop.time())
        except TimeoutError:
            raise deadline_exceeded(method_path, timeout_s) from None

    async def close(self) -> None:
        await self._http.close()
