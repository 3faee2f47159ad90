"""One sign-in: gives the token for each call and renews it, once for all who ask at the same time.

A renewal spends the refresh token, so: one at a time; noted on the disk before it begins; the new pair is on the disk
before anybody uses it; and only the one who still holds the newest pair may declare the sign-in dead.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from ferryd.auth.flights import Flights
from ferryd.auth.oauth import OAuth, Refused
from ferryd.auth.tokens import Tokens, TokenStore
from ferryd.core.clock import boottime
from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import Context
from ferryd.core.ports import Clock
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

#: A token this close to its end counts as expired: it would die on the way. A share of its life, in seconds at most.
_LATE: Final = (0.05, 5.0)
#: It is renewed early, somewhere between one and two times this before its end.
_EARLY: Final = (0.1, 150.0)
#: A reply that was lost: the hub answers a repeat within half a minute.
_TRIES: Final = 3
#: After a failure nobody renews early for this long.
_QUIET_S: Final = 10.0
_LOST: Final = frozenset({"HUB_UNREACHABLE", "HUB_OVERLOADED"})


class TokenSource(Protocol):
    """Where the transport gets its tokens from."""

    async def token(self) -> str:
        """The token to call with now. NOT_SIGNED_IN; HUB_UNREACHABLE while it cannot be renewed."""

    async def renew(self, refused: str) -> str | None:
        """Another token in place of one that the hub has refused; None when there is none to be had."""


class GivenToken:
    """FERRYMAN_TOKEN: used as it is, never stored, never renewed."""

    def __init__(self, token: str, context: Context) -> None:
        self._token = token
        self._context = context

    async def token(self) -> str:
        if not self._token:
            raise signed_out(self._context)
        return self._token

    async def renew(self, refused: str) -> str | None:
        return None


class SignIn:
    """The tokens of one context. `jitter` gives numbers in [0, 1)."""

    def __init__(
        self,
        context: Context,
        oauth: OAuth,
        store: TokenStore,
        flights: Flights,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._context = context
        self._oauth = oauth
        self._store = store
        self._flights = flights
        self._clock = clock
        self._jitter = jitter
        self._lock = asyncio.Lock()  #: around changes of the tokens here and in the store
        self._loaded = False
        self._tokens: Tokens | None = None
        self._ends_at: float | None = None  #: by the clock that runs on while the machine sleeps
        self._early_s = 0.0
        self._quiet_until = 0.0
        self._unsaved: Tokens | None = None  #: a new pair that the disk has refused so far
        self._flight: asyncio.Future[Tokens] | None = None
        self._lost = ""  #: why there are no tokens any more

    async def token(self) -> str:
        """See `TokenSource`. Renews a token that has ended, or soon will; while the old one lives nobody waits for
        that, and a failure concerns nobody."""
        tokens = await self.tokens()
        if tokens is None:
            raise signed_out(self._context, self._lost)
        if self._ends_at is None or not tokens.refresh_token:
            return tokens.access_token
        now = boottime()
        if self._ends_at - now <= _share(tokens, _LATE):
            return (await self._renewed(tokens)).access_token
        if (self._ends_at - now <= self._early_s or tokens.renewing) and now >= self._quiet_until:
            self._flight_for(tokens)
        return tokens.access_token

    async def renew(self, refused: str) -> str | None:
        """See `TokenSource`. A token that is not the newest any more is answered with the newest."""
        tokens = await self.tokens()
        if tokens is None:
            raise signed_out(self._context, self._lost)
        if tokens.access_token != refused:
            return tokens.access_token
        return (await self._renewed(tokens)).access_token if tokens.refresh_token else None

    async def tokens(self) -> Tokens | None:
        """The tokens at hand; None when signed out. Reads the store at the first call. KEYRING_UNAVAILABLE, IO_ERROR,
        and DISK_FULL while a new pair cannot be stored."""
        if self._loaded and self._unsaved is None:
            return self._tokens
        async with self._lock:
            if not self._loaded:
                self._hold(await self._store.load(self._context))
                self._loaded = True
            if self._unsaved is not None:
                await self._keep(self._unsaved)
            return self._tokens

    async def replace(self, tokens: Tokens) -> None:
        """Somebody has signed in. Durable when it returns; a renewal under way changes nothing any more."""
        await asyncio.shield(self._replace(tokens))

    async def forget(self) -> Tokens | None:
        """Sign out; returns what was forgotten."""
        before = await self.tokens()
        await asyncio.shield(self._forget())
        return before

    # These two are never cancelled: what is stored and what is held would differ.

    async def _replace(self, tokens: Tokens) -> None:
        async with self._lock:
            await self._keep(tokens)
            self._loaded, self._lost = True, ""

    async def _forget(self) -> None:
        async with self._lock:
            await self._store.delete(self._context)
            self._hold(None)
            self._unsaved, self._lost = None, ""

    async def recover(self) -> None:
        """At start: a renewal that was cut off is repeated while the hub still grants it. Never raises."""
        try:
            tokens = await self.tokens()
            if tokens is not None and tokens.renewing:
                log.info("renewal was cut off, repeating it context=%s", self._context.name)
                await self._renewed(tokens)
        except FerryError as error:
            log.warning("sign-in could not be recovered context=%s reason=%s", self._context.name, error.reason)

    async def _renewed(self, spent: Tokens) -> Tokens:
        """The pair after `spent`: from whoever renews it already, or renewed now."""
        if self._flight is None and self._tokens is not spent:
            return await self._newest()
        return await asyncio.shield(self._flight_for(spent))

    def _flight_for(self, spent: Tokens) -> asyncio.Future[Tokens]:
        """The renewal under way, or a new one."""
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_future()
            self._flights.start(self._fly(spent, self._flight))
        return self._flight

    async def _newest(self) -> Tokens:
        tokens = await self.tokens()
        if tokens is None:
            raise signed_out(self._context, self._lost)
        return tokens

    async def _fly(self, spent: Tokens, landed: asyncio.Future[Tokens]) -> None:
        """One renewal; whatever becomes of it is everybody's who waits."""
        try:
            fresh = await self._renew_once(spent)
        except asyncio.CancelledError:
            landed.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of the task: its callers get the error
            self._quiet_until = boottime() + _QUIET_S
            log.info("renewal failed context=%s error=%r", self._context.name, error)
            landed.set_exception(error)
            landed.exception()  # retrieved here: perhaps nobody waits any more
        else:
            landed.set_result(fresh)
        finally:
            self._flight = None

    async def _renew_once(self, spent: Tokens) -> Tokens:
        async with self._lock:
            if self._tokens is spent:
                await self._store.save(self._context, replace(spent, renewing=True))
        try:
            fresh = await self._ask(spent)
        except Refused as refusal:
            return await self._give_up(spent, refusal)
        crashpoint("after-refresh-reply")
        async with self._lock:
            if self._tokens is spent:  # else somebody has signed in or out meanwhile: theirs counts
                self._unsaved = replace(fresh, scopes=fresh.scopes or spent.scopes)
                await self._keep(self._unsaved)
                log.info("sign-in renewed context=%s", self._context.name)
        return await self._newest()

    async def _ask(self, spent: Tokens) -> Tokens:
        failures = 0
        while True:
            try:
                return await self._oauth.refresh(spent.refresh_token)
            except FerryError as error:
                failures += 1
                if error.reason not in _LOST or failures == _TRIES or (error.retry_after_s or 0) > 2:
                    raise
                await self._clock.sleep((0.5 + self._jitter()) * 0.4 * 2**failures)

    async def _give_up(self, spent: Tokens, refusal: Refused) -> Tokens:
        """The hub does not renew: signed out, unless there is a newer pair by now."""
        if refusal.error != "invalid_grant":
            message = f"{self._context.hub} does not renew the sign-in ({refusal.error})"
            raise FerryError("TOKEN_INVALID", message)
        async with self._lock:
            if self._tokens is spent:
                await self._store.delete(self._context)
                self._hold(None)
                self._lost = "the hub no longer renews the sign-in: it was revoked, has expired, or was cut off while "
                self._lost += "it was renewed"
                log.warning("signed out by the hub context=%s hub=%s", self._context.name, self._context.hub)
        return await self._newest()

    async def _keep(self, tokens: Tokens) -> None:
        """Store, then use. Call under the lock."""
        await self._store.save(self._context, tokens)
        self._hold(tokens)
        self._unsaved = None

    def _hold(self, tokens: Tokens | None) -> None:
        self._tokens, self._ends_at = tokens, None
        if tokens is not None and tokens.expires_at is not None:
            lifetime_s = tokens.lifetime_s or 0.0
            # What the clock on the wall has done since is unknown: never more than the whole life is left.
            left_s = min(tokens.expires_at - time.time(), lifetime_s)
            self._ends_at = boottime() + left_s
            self._early_s = _share(tokens, _EARLY) * (1.0 + self._jitter())


def signed_out(context: Context, why: str = "") -> FerryError:
    """The error of a call without a token; says what to do."""
    message = f"not signed in to {context.hub} (context {context.name})"
    return FerryError("NOT_SIGNED_IN", f"{message}: {why}" if why else message)


def _share(tokens: Tokens, part: tuple[float, float]) -> float:
    share, most_s = part
    return min((tokens.lifetime_s or 0.0) * share, most_s)
