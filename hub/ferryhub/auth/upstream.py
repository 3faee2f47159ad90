"""Signing in at an OpenID provider: a browser leaves with proofs of who it is, comes back once, and is somebody then.

All that a replica needs to finish what another began is the browser's cookie, the hub's secret and the catalogue:
state, nonce and code verifier are derived from the first two and kept nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from ferryhub.auth import browsers, limits, links
from ferryhub.auth.links import Claimed, NotWelcome
from ferryhub.auth.options import SECOND_US, AuthOptions
from ferryhub.auth.provider import Proofs, Provider, ProviderError
from ferryhub.catalogue import tokens
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.database import Database
from ferrywire.reasons import FerryError

#: How long a browser may stay at the provider, in seconds.
VISIT_TTL_S: Final = 600
_PROOFS: Final = ("state", "nonce", "verifier")
_ERROR_CODE: Final = re.compile(r"[a-z_]{1,40}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class Leaving:
    """A browser that is sent away."""

    #: For its cookie.
    secret: str
    address: str


class Upstream:
    """Sends browsers to the provider and lets them in when they come back."""

    def __init__(self, database: Database, provider: Provider, options: AuthOptions, hub_secret: bytes) -> None:
        self.name = provider.options.name
        self._database = database
        self._provider = provider
        self._options = options
        self._key = hmac.digest(hub_secret, b"ferryhub provider visits", hashlib.sha256)

    async def leave(self, address: str) -> Leaving:
        """Where to send a browser at this network address. Errors: `RATE_LIMITED`, `ProviderError`."""
        secret = tokens.new_secret("fpv_")
        where = await self._provider.address(self._proofs(secret))

        def go(conn: Connection) -> float | None:
            wait_s = limits.take(conn, [(limits.VISITS_BY_ADDRESS, limits.network_of(address))])
            if wait_s is None:
                links.leave(conn, secret, expires_at=now_us() + VISIT_TTL_S * SECOND_US)
            return wait_s

        wait_s = await self._database.write(go)
        if wait_s is not None:
            raise FerryError("RATE_LIMITED", "too many attempts; wait before the next one", retry_after_s=wait_s)
        return Leaving(secret, where)

    async def come_back(self, secret: str, answer: Mapping[str, str]) -> str:
        """The new secret for the cookie of a browser that came back with the provider's answer.

        Errors: `NotWelcome`, `ProviderError`.
        """
        proofs = self._proofs(secret)
        if not secret or not hmac.compare_digest(proofs.state.encode(), answer.get("state", "").encode()):
            raise NotWelcome("stale")
        if not await self._database.write(links.came_back, secret):
            raise NotWelcome("stale")
        if "code" not in answer:
            raise _refusal(answer.get("error", ""))
        who = await self._provider.identity(answer["code"], answer.get("iss"), proofs)
        claimed = Claimed(who.issuer, who.subject, who.email if who.email_verified else "", who.name)
        entered = tokens.new_secret(browsers.PREFIX)
        expires_at = now_us() + int(self._options.browser_ttl_s * SECOND_US)

        def enter(conn: Connection) -> str:
            principal_id = links.principal_of(conn, claimed, new_in=self._provider.options.email_domains)
            browsers.sign_in(conn, principal_id, entered, expires_at=expires_at)
            return principal_id

        principal_id = await self._database.write(enter)
        _log.info("browser_signed_in principal_id=%s issuer=%s", principal_id, who.issuer)
        return entered

    def _proofs(self, secret: str) -> Proofs:
        made = (hmac.digest(self._key, f"{word}\0{secret}".encode(), hashlib.sha256) for word in _PROOFS)
        return Proofs(*(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in made))


def _refusal(error: str) -> NotWelcome | ProviderError:
    if error == "access_denied":
        return NotWelcome("cancelled")
    word = error if _ERROR_CODE.fullmatch(error) else "nothing"
    return ProviderError(f"it sent the browser back with the error {word}", is_down=word == "temporarily_unavailable")
