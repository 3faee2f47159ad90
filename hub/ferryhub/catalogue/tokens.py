"""Tokens: opaque secrets that say who calls and what they may do. Only their SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import SCOPES, Actor
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.validation import choice
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

PREFIX: Final = "fat_"
_SECRET_BYTES: Final = 32

_INSERT = insert(t.tokens)
_WITH_PRINCIPAL = select(t.tokens, t.principals.c.email, t.principals.c.disabled).join_from(t.tokens, t.principals)
_BY_SECRET = _WITH_PRINCIPAL.where(t.tokens.c.sha256 == bindparam("sha256"))
_ALL = _WITH_PRINCIPAL.where(t.tokens.c.sign_in_id.is_(None)).order_by(t.tokens.c.created_at, t.tokens.c.id)
_REVOKE = (
    update(t.tokens)
    .where(t.tokens.c.id == bindparam("key"), t.tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_KNOWN = select(t.tokens.c.id).where(t.tokens.c.id == bindparam("key"))


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; the secret is shown once and kept nowhere."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"NewToken({self.id})"


def create(conn: Connection, principal_id: str, scopes: Collection[str], *, expires_at: int | None = None) -> NewToken:
    """Make a token. `expires_at` in microseconds since the epoch; None means never. Error: `INVALID_ARGUMENT`."""
    token = NewToken(new_id("tok"), new_secret(PREFIX))
    made = {"expires_at": expires_at, "created_at": now_us(), "sign_in_id": None}
    kept = {"sha256": digest(token.secret), "scopes": words(scopes), **made}
    conn.execute(_INSERT, {"id": token.id, "principal_id": principal_id, **kept})
    return token


def add_to_sign_in(conn: Connection, sign_in: Row[Any], secret: str, *, expires_at: int) -> str:
    """Keep an access token of a sign-in, given the row of `sign_ins`; returns the token's id."""
    token_id, made = new_id("tok"), {"expires_at": expires_at, "created_at": now_us(), "sign_in_id": sign_in.id}
    kept = {"sha256": digest(secret), "scopes": sign_in.scopes, **made}
    conn.execute(_INSERT, {"id": token_id, "principal_id": sign_in.principal_id, **kept})
    return token_id


def new_secret(prefix: str) -> str:
    """A random secret of 256 bits that shows what it is."""
    return prefix + secrets.token_urlsafe(_SECRET_BYTES)


def words(scopes: Collection[str]) -> str:
    """Scopes as they are stored: each once, in our order. Error: `INVALID_ARGUMENT`."""
    chosen = {choice("scope", given, SCOPES) for given in scopes}
    return " ".join(scope for scope in SCOPES if scope in chosen)


def authenticate(conn: Connection, sha256: bytes) -> Actor:
    """The caller behind a token, by its digest. Errors: `TOKEN_INVALID`, `TOKEN_EXPIRED`."""
    row = conn.execute(_BY_SECRET, {"sha256": sha256}).first()
    if row is None or row.revoked_at is not None or row.disabled:
        raise FerryError("TOKEN_INVALID", "the token is not known here, or was revoked")
    actor = Actor(row.principal_id, row.email, frozenset(row.scopes.split()), row.expires_at)
    check_expiry(actor)
    return actor


def check_expiry(actor: Actor) -> None:
    """Refuse a caller whose token's time is over. Error: `TOKEN_EXPIRED`."""
    if actor.expires_at is not None and actor.expires_at <= now_us():
        raise FerryError("TOKEN_EXPIRED", "the token has expired")


def listing(conn: Connection) -> Sequence[Row[Any]]:
    """All tokens that an operator made, with their principal's `email`, oldest first."""
    return conn.execute(_ALL).all()


def revoke(conn: Connection, token_id: str) -> bool:
    """Make a token worthless; False when there is none with this id. Idempotent."""
    conn.execute(_REVOKE, {"key": token_id, "now": now_us()})
    return conn.execute(_KNOWN, {"key": token_id}).first() is not None


def digest(secret: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode()).digest()
