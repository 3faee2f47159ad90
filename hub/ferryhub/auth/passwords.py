"""Passwords: argon2 in a few threads of their own, never on the event loop and never too many at once.

A hash takes a fifth of a second and 64 MiB on purpose. Whether the account exists makes no difference to the time.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ferryhub.auth import browsers
from ferryhub.catalogue import principals, validation
from ferryhub.catalogue.account_tables import passwords
from ferryhub.catalogue.clock import now_us
from ferrywire.reasons import FerryError

if TYPE_CHECKING:
    from pwdlib import PasswordHash

MIN_LENGTH: Final = 10
MAX_LENGTH: Final = 1000
#: argon2 at once: memory is 64 MiB each.
_THREADS: Final = 2
#: Who comes when so many wait is told to come again.
_MAX_WAITING: Final = 32

_OF = select(passwords.c.argon2).where(passwords.c.principal_id == bindparam("key"))
_INSERT = insert(passwords)
_DELETE = delete(passwords).where(passwords.c.principal_id == bindparam("key"))
_REHASH = (
    update(passwords)
    .where(passwords.c.principal_id == bindparam("key"), passwords.c.argon2 == bindparam("old"))
    .values(argon2=bindparam("new"))
)


class PasswordChecker:
    """Checks passwords. `close()` it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "hub-argon2")
        self._waiting = 0

    async def check(self, password: str, kept: str | None) -> tuple[bool, str | None]:
        """Whether it is the password whose hash is given, and a new hash when the old one should be replaced.

        None for an account without a password: takes the same time and is never right. Error: `HUB_OVERLOADED`.
        """
        if self._waiting >= _MAX_WAITING:
            raise FerryError("HUB_OVERLOADED", "too many people sign in at once; try again", retry_after_s=5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _check, password, kept)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for what runs."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def kept_hash(conn: Connection, principal_id: str) -> str | None:
    """The hash of a principal's password; None when it has none."""
    found: str | None = conn.execute(_OF, {"key": principal_id}).scalar()
    return found


def replace_hash(conn: Connection, principal_id: str, old: str, new: str) -> None:
    """Keep a better hash of the same password, unless the password was changed meanwhile."""
    conn.execute(_REHASH, {"key": principal_id, "old": old, "new": new})


def set_password(conn: Connection, key: str, argon2: str) -> None:
    """Give a user (id or e-mail address) a password, by its hash, and sign their browsers out.

    Errors: `PRINCIPAL_NOT_FOUND`, `INVALID_ARGUMENT` for a bot or a group.
    """
    principal = principals.find(conn, key)
    if principal.kind != "user":
        raise validation.invalid("password", f"'{principal.email}' is a {principal.kind}; only users have passwords")
    conn.execute(_DELETE, {"key": principal.id})
    conn.execute(_INSERT, {"principal_id": principal.id, "argon2": argon2, "changed_at": now_us()})
    browsers.sign_out_everywhere(conn, principal.id)


def hashed(password: str) -> str:
    """The hash of a new password; takes a fifth of a second. Error: `INVALID_ARGUMENT`."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise validation.invalid("password", f"must have {MIN_LENGTH} to {MAX_LENGTH} characters")
    return _argon2().hash(_canonical(password))


def _check(password: str, kept: str | None) -> tuple[bool, str | None]:
    right, better = _argon2().verify_and_update(_canonical(password[: MAX_LENGTH + 1]), kept or _nobodys())
    return (right, better) if kept is not None else (False, None)


def _canonical(password: str) -> str:
    # Keyboards write the same letter in different ways. Lone surrogates cannot be encoded: no password has any.
    return unicodedata.normalize("NFKC", password).encode(errors="replace").decode()


@lru_cache(maxsize=1)
def _argon2() -> PasswordHash:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return _argon2().hash(secrets.token_urlsafe())


def warm_up() -> None:
    """Do what the first check would do more than the others, so that it takes no longer."""
    _nobodys()
