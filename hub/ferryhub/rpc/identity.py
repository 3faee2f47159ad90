"""Finds out who calls before a request is read: a bearer token from the network, or an in-process caller's word.

What is known of a token is kept for some seconds, so that most calls cost no look-up of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ferryhub.catalogue import principals, tokens
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.database import Database
from ferryhub.rpc.caller import set_caller
from ferrywire.reasons import FerryError

if TYPE_CHECKING:
    from connectrpc.request import RequestContext

#: How long a revocation by another process may go unnoticed, in seconds. Roles are not remembered here, only who has
#: a token: at five seconds that costs a busy caller one look-up in hundreds of calls, and a thief little time.
REMEMBERED_S: Final = 5.0
_MAX_REMEMBERED: Final = 10_000
_BEARER: Final = "bearer "


class Identities:
    """The callers this process knows, each for at most `REMEMBERED_S`."""

    def __init__(self, database: Database, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock_s = clock_s
        self._known: dict[bytes | str, tuple[Actor, float]] = {}

    async def of_token(self, secret: str) -> Actor:
        """The caller behind a bearer token. Errors: `TOKEN_INVALID`, `TOKEN_EXPIRED`."""
        sha256 = tokens.digest(secret)
        actor = self._remembered(sha256)
        if actor is None:
            actor = self._remember(sha256, await self._database.read(tokens.authenticate, sha256))
        tokens.check_expiry(actor)
        return actor

    async def of_principal(self, principal_id: str) -> Actor:
        """The caller that an in-process caller vouches for. Error: `TOKEN_INVALID`."""
        known = self._remembered(principal_id)
        return known or self._remember(principal_id, await self._database.read(principals.vouched, principal_id))

    def forget_all(self) -> None:
        """Look everybody up again: after a token was revoked or a principal changed in this process."""
        self._known.clear()

    def _remembered(self, key: bytes | str) -> Actor | None:
        actor, until_s = self._known.get(key, (None, 0.0))
        return actor if self._clock_s() < until_s else None

    def _remember(self, key: bytes | str, actor: Actor) -> Actor:
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = (actor, self._clock_s() + REMEMBERED_S)
        return actor


class IdentityInterceptor:
    """Lets only known callers through, before anything of the request's body is read."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """Find out who calls. Errors: `NOT_SIGNED_IN`, `TOKEN_INVALID`, `TOKEN_EXPIRED`."""
        set_caller(await self._identities.of_token(_bearer(ctx.request_headers.get("authorization", ""))))

    async def on_end(self, _token: None, ctx: RequestContext[Any, Any], error: Exception | None, /) -> None:
        """Nothing to do after a call."""


def _bearer(header: str) -> str:
    if not header:
        raise FerryError("NOT_SIGNED_IN", "this call needs a token: send 'Authorization: Bearer fat_…'")
    if not header.lower().startswith(_BEARER):
        raise FerryError("TOKEN_INVALID", "the Authorization header must read 'Bearer fat_…'")
    return header[len(_BEARER) :].strip()
