"""What people do about sign-ins: look, sign in, sign out, choose a hub. Behind AuthService; not a step."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ferryd.auth.connections import Connection, Connections
from ferryd.auth.contexts import Contexts, check_name
from ferryd.auth.device import await_approval
from ferryd.auth.oauth import OAuth, Refused
from ferryd.auth.sign_in import SignIn
from ferryd.auth.tokens import Tokens
from ferryd.core.model import EMBEDDED, Context
from ferryd.core.ports import Clock
from ferryd.remote.address import parse_address
from ferryd.remote.http import HttpTransport
from ferryd.remote.identity import Identity, get_identity
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

_SCOPES: Final = ("read", "write")
_ALL_SCOPES: Final = ("read", "write", "admin")
_REVOKE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Status:
    """Who is signed in where. `expires_at` is in seconds since the epoch, None for never; `storage` is `file`,
    `keyring`, `environment` or `none`."""

    context: Context
    user_id: str
    user_email: str
    scopes: tuple[str, ...]
    expires_at: float | None
    storage: str


@dataclass(frozen=True, slots=True)
class Code:
    """What a person needs to approve a sign-in; `expires_at` in seconds since the epoch."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_at: float
    interval_s: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A context in the listing."""

    context: Context
    current: bool
    signed_in: bool
    user_email: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """The user of the embedded hub, who always is signed in, so that the hub need not even be loaded."""

    user_id: str
    user_email: str


class Accounts:
    """All sign-ins of this daemon. `resume` lets transfers go on that wait for a sign-in to a hub; `storage` is where
    tokens are kept, for people."""

    def __init__(
        self,
        contexts: Contexts,
        connections: Connections,
        embedded: Embedded,
        clock: Clock,
        *,
        storage: str,
        resume: Callable[[Context], Awaitable[int]],
    ) -> None:
        self._contexts = contexts
        self._connections = connections
        self._embedded = embedded
        self._clock = clock
        self._storage = storage
        self._resume = resume

    def resolve(self, name: str) -> Context:
        """The context of this name; the current one when it is empty. CONTEXT_NOT_FOUND."""
        return self._contexts.resolve(name)

    async def status(self, name: str) -> Status:
        """Who is signed in there: asked each time, because a token can be revoked. NOT_SIGNED_IN, TOKEN_INVALID,
        TOKEN_EXPIRED, CONTEXT_NOT_FOUND, HUB_UNREACHABLE."""
        context = self.resolve(name)
        if context == EMBEDDED:
            user = self._embedded
            return Status(EMBEDDED, user.user_id, user.user_email, _ALL_SCOPES, None, "none")
        connection = self._connections.to(context)
        identity = await get_identity(connection.transport.call)
        await self._contexts.set_user(context, identity.user_email)
        return _status(context, identity, self._storage if connection.sign_in else "environment")

    async def login(
        self, hub: str, name: str, scopes: Sequence[str], call_context: str
    ) -> AsyncIterator[Code | Status]:
        """Sign in by a code: yields the code, then the status. `call_context` is the one to sign in to when neither
        `hub` nor `name` is given. LOGIN_DENIED, LOGIN_EXPIRED, INVALID_ARGUMENT, HUB_UNREACHABLE,
        KEYRING_UNAVAILABLE."""
        context = self._wanted(hub, name, call_context)
        sign_in, oauth = _able(self._connections.to(context))
        await sign_in.tokens()  # a keyring that is locked should say so before anybody approves anything
        try:
            grant = await oauth.begin(tuple(scopes) or _SCOPES)
        except Refused as refusal:
            raise _refused(refusal, scopes) from None
        yield Code(
            grant.user_code,
            grant.verification_uri,
            grant.verification_uri_complete,
            time.time() + grant.expires_in_s,
            grant.interval_s,
        )
        tokens = await await_approval(oauth, grant, self._clock)
        await asyncio.shield(self._enter(context, sign_in, tokens, ""))
        yield await self.status(context.name)

    async def login_with_token(self, hub: str, name: str, token: str, call_context: str) -> Status:
        """Sign in with a token made elsewhere, after the hub has said whose it is. TOKEN_INVALID, TOKEN_EXPIRED,
        INVALID_ARGUMENT, HUB_UNREACHABLE, KEYRING_UNAVAILABLE."""
        if not token or not token.isascii() or not token.isprintable() or " " in token or len(token) > 4096:
            raise FerryError("INVALID_ARGUMENT", "that is not a token", field="token")
        context = self._wanted(hub, name, call_context)
        sign_in, _ = _able(self._connections.to(context))
        asking = HttpTransport(context.hub, token)
        try:
            identity = await get_identity(asking.call)
        finally:
            await asking.close()
        tokens = Tokens(access_token=token, expires_at=identity.expires_at, scopes=identity.scopes)
        await asyncio.shield(self._enter(context, sign_in, tokens, identity.user_email))
        return _status(context, identity, self._storage)

    async def logout(self, name: str) -> bool:
        """Forget the tokens; True when the hub has revoked them as well. INVALID_ARGUMENT where nobody signs in."""
        sign_in, oauth = _able(self._connections.to(self.resolve(name)))
        tokens = await sign_in.forget()
        if tokens is None or not tokens.refresh_token:
            return False
        try:
            async with asyncio.timeout(_REVOKE_S):
                await oauth.revoke(tokens.refresh_token)
        except (FerryError, Refused, TimeoutError) as error:
            log.warning("tokens could not be revoked context=%s error=%r", name, error)
            return False
        return True

    async def list(self) -> list[Listed]:
        """All contexts, by name. Asks no hub."""
        return [await self._listed(one) for one in self._contexts.all()]

    async def use(self, name: str) -> Listed:
        """Make it the current one. CONTEXT_NOT_FOUND."""
        if not name:
            raise FerryError("INVALID_ARGUMENT", "name the context to use", field="context")
        return await self._listed(await self._contexts.use(name))

    async def recover(self) -> None:
        """At start: go on with renewals that were cut off. Never raises."""
        for context in self._contexts.all():
            sign_in = None if context == EMBEDDED else self._connections.to(context).sign_in
            if sign_in is not None:
                await sign_in.recover()

    async def _enter(self, context: Context, sign_in: SignIn, tokens: Tokens, user_email: str) -> None:
        """The sign-in counts from here: durable first, then its transfers go on. Never cancelled in between."""
        await sign_in.replace(tokens)
        await self._contexts.add(context, user_email)
        self._connections.signed_in(context)
        log.info("signed in context=%s hub=%s", context.name, context.hub)
        try:
            resumed = await self._resume(context)
        except FerryError as error:  # the queue's disk: the transfers are tried again later, the sign-in stands
            log.error("transfers could not be resumed context=%s reason=%s", context.name, error.reason)
        else:
            log.info("transfers resumed context=%s count=%d", context.name, resumed)

    async def _listed(self, context: Context) -> Listed:
        email, signed_in = self._contexts.user_email(context), True
        if context == EMBEDDED:
            email = self._embedded.user_email
        elif (sign_in := self._connections.to(context).sign_in) is not None:
            signed_in = await sign_in.tokens() is not None
        return Listed(context, context == self._contexts.current, signed_in, email)

    def _wanted(self, hub: str, name: str, call_context: str) -> Context:
        """The context that a login is for, perhaps a new one."""
        address = parse_address(hub, "hub").text if hub else ""
        if name:
            check_name(name)
            known = self._contexts.find(name)
            if known is not None and address and known.hub != address:
                message = f"context {name} is {known.hub}; choose another name for {address}"
                raise FerryError("INVALID_ARGUMENT", message, field="context")
            if known is None and not address:
                raise FerryError("INVALID_ARGUMENT", f"context {name} is new: name its hub, too", field="hub")
            return known or Context(name, address)
        if address:
            return self._contexts.named_for(address)
        context = self.resolve(call_context)
        if context == EMBEDDED:
            raise FerryError(
                "INVALID_ARGUMENT", "name the hub to sign in to: the embedded one needs no sign-in", field="hub"
            )
        return context


def _able(connection: Connection) -> tuple[SignIn, OAuth]:
    if connection.sign_in is None or connection.oauth is None:
        if connection.context == EMBEDDED:
            message = "the embedded hub needs no sign-in"
        else:
            message = (
                f"the token of context {connection.context.name} is FERRYMAN_TOKEN: change that, restart the daemon"
            )
        raise FerryError("INVALID_ARGUMENT", message, field="context")
    return connection.sign_in, connection.oauth


def _status(context: Context, identity: Identity, storage: str) -> Status:
    return Status(context, identity.user_id, identity.user_email, identity.scopes, identity.expires_at, storage)


def _refused(refusal: Refused, scopes: Sequence[str]) -> FerryError:
    if refusal.error == "invalid_scope":
        message = f"the hub does not know one of the scopes {', '.join(scopes)}"
        return FerryError("INVALID_ARGUMENT", message, field="scopes")
    return FerryError("LOGIN_DENIED", f"the hub refused to begin a sign-in ({refusal.error})")
