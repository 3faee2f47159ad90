"""The accounts of a running hub: what the sign-in page and the OAuth endpoints ask for, with the limits they keep.

Every method is a few transactions and at most one password check between them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from ferryhub.auth import browsers, devices, limits, oauth, passwords, signins
from ferryhub.auth.limits import Subject
from ferryhub.auth.oauth import Call, Reply
from ferryhub.auth.options import SECOND_US, AuthOptions
from ferryhub.catalogue import principals, tokens
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.database import Database
from ferrywire.reasons import FerryError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed in in a browser."""

    principal_id: str
    email: str
    display_name: str


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """A device that waits to be approved."""

    user_code: str
    scopes: tuple[str, ...]
    address: str
    #: Microseconds since the epoch.
    asked_at: int


class Accounts:
    """`close()` it. `forget` is called after tokens were revoked, so that it counts at once in this process."""

    def __init__(self, database: Database, options: AuthOptions, forget: Callable[[], None]) -> None:
        self.options = options
        self._database = database
        self._forget = forget
        self._passwords = passwords.PasswordChecker()

    def close(self) -> None:
        """Wait for password checks that run."""
        self._passwords.close()

    async def device_authorization(self, call: Call) -> Reply:
        """Hand out a device code. Error: `RATE_LIMITED`."""
        await self._take([(limits.DEVICES_BY_ADDRESS, limits.network_of(call.address))])
        return await self._database.write(oauth.device_authorization, call, self.options)

    async def token(self, call: Call) -> Reply:
        """Give tokens for an approved device code or a refresh token."""
        # Either a pair that got lost is replaced, or a reuse ends a sign-in.
        return await self._forgetting(oauth.token, call, "refresh_token")

    async def revoke(self, call: Call) -> Reply:
        """Make a token worthless."""
        return await self._forgetting(oauth.revoke, call, "token")

    async def sign_in(self, email: str, password: str, address: str) -> str | None:
        """The secret for the browser's cookie; None when e-mail and password are not those of an active user.

        Errors: `RATE_LIMITED`, `HUB_OVERLOADED`.
        """
        account = email.strip().lower()
        tries: list[Subject] = [(limits.BY_ADDRESS, limits.network_of(address)), (limits.BY_ACCOUNT, account)]
        await self._take(tries)
        known = await self._database.read(_account, account)
        right, better = await self._passwords.check(password, known.argon2 if known else None)
        if known is None or not right:
            _log.info("browser_sign_in_refused address=%s", address)
            return None
        secret = tokens.new_secret(browsers.PREFIX)
        expires_at = now_us() + int(self.options.browser_ttl_s * SECOND_US)

        def enter(conn: Connection) -> bool:
            # The check took its time: the password may be another by now, or the user shut out.
            if _account(conn, account) != known:
                return False
            if better is not None:
                passwords.replace_hash(conn, known.principal_id, known.argon2, better)
            limits.give_back(conn, tries[:1])
            limits.forget(conn, tries[1:])
            browsers.sign_in(conn, known.principal_id, secret, expires_at=expires_at)
            return True

        return secret if await self._database.write(enter) else None

    async def person(self, secret: str) -> Person | None:
        """Who is signed in in the browser with this secret."""
        row = await self._database.read(browsers.who, secret)
        return None if row is None else Person(row.id, row.email, row.display_name)

    async def sign_out(self, secret: str) -> None:
        """Forget a browser."""
        await self._database.write(browsers.sign_out, secret)

    async def find_device(self, person: Person, user_code: str, address: str) -> WaitingDevice | None:
        """The device that shows this code; None when none waits. Error: `RATE_LIMITED` after too many wrong codes."""
        guesses = _guesses(person, address)
        await self._take(guesses)

        def look(conn: Connection) -> Row[Any] | None:
            row = devices.waiting(conn, user_code)
            if row is not None:
                limits.give_back(conn, guesses)
            return row

        row = await self._database.write(look)
        code = devices.normalized(user_code)
        return None if row is None else WaitingDevice(code, tuple(row.scopes.split()), row.address, row.created_at)

    async def decide(self, person: Person, user_code: str, address: str, *, approve: bool) -> bool:
        """Approve or deny the device that shows this code; False when none waits. Error: `RATE_LIMITED`."""
        if await self.find_device(person, user_code, address) is None:
            return False
        decided = await self._database.write(devices.decide, user_code, person.principal_id, approve=approve)
        _log.info("device_answered principal_id=%s approved=%s address=%s", person.principal_id, approve, address)
        return decided

    async def _forgetting(self, endpoint: Callable[..., Reply], call: Call, field: str) -> Reply:
        """Answer a call that may make tokens worthless, then forget callers; not for nonsense, which all can send."""

        def answer(conn: Connection) -> tuple[Reply, bool]:
            secret = call.form.get(field, "")
            return endpoint(conn, call, self.options), bool(secret) and signins.is_known(conn, secret)

        reply, known = await self._database.write(answer)
        if known:
            self._forget()
        return reply

    async def _take(self, subjects: list[Subject]) -> None:
        wait_s = await self._database.write(limits.take, subjects)
        if wait_s is not None:
            raise FerryError("RATE_LIMITED", "too many attempts; wait before the next one", retry_after_s=wait_s)


@dataclass(frozen=True, slots=True, repr=False)
class _Account:
    principal_id: str
    argon2: str


def _account(conn: Connection, email: str) -> _Account | None:
    try:
        row = principals.find(conn, email)
    except FerryError:
        return None
    kept = passwords.kept_hash(conn, row.id)
    usable = kept is not None and row.kind == "user" and not row.disabled
    return _Account(row.id, kept) if usable and kept is not None else None


def _guesses(person: Person, address: str) -> list[Subject]:
    return [
        (limits.CODES_BY_ADDRESS, limits.network_of(address)),
        (limits.CODES_BY_ACCOUNT, person.principal_id),
    ]
