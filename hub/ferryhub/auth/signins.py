"""Sign-ins: the family of tokens of one approved device, and how a refresh token is exchanged for the next pair.

Each exchange gives a new pair. The old refresh token may be repeated for a short while, for a reply that was lost: the
pair that never arrived dies then. Any other reuse means that two hold the token, and ends the whole sign-in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from ferryhub.auth.options import SECOND_US
from ferryhub.catalogue import tables as t
from ferryhub.catalogue import tokens
from ferryhub.catalogue.account_tables import refresh_tokens, sign_ins
from ferryhub.catalogue.clock import now_us
from ferrywire.ids import new_id

REFRESH_PREFIX: Final = "frt_"

_log = logging.getLogger(__name__)

_r, _s = refresh_tokens.c, sign_ins.c
_BEGIN = insert(sign_ins).returning(sign_ins)
_BY_ID = select(sign_ins).where(_s.id == bindparam("key"))
_REVOKED_AT = _s.revoked_at.label("sign_in_revoked_at")
_BY_SECRET = (
    select(refresh_tokens, _s.principal_id, _s.client_id, _s.scopes, _REVOKED_AT, t.principals.c.disabled)
    .join_from(refresh_tokens, sign_ins)
    .join(t.principals)
    .where(_r.sha256 == bindparam("sha256"))
    # Two replicas must not exchange one token at once; SQLite has one writer anyway.
    .with_for_update(of=refresh_tokens)
)
_INSERT = insert(refresh_tokens)
_USED = (
    update(refresh_tokens).where(_r.sha256 == bindparam("key"), _r.used_at.is_(None)).values(used_at=bindparam("now"))
)
_NEXT = select(refresh_tokens).where(_r.parent_sha256 == bindparam("parent"), _r.replaced_at.is_(None))
_REPLACE = update(refresh_tokens).where(_r.sha256 == bindparam("key")).values(replaced_at=bindparam("now"))
_REVOKE = update(sign_ins).where(_s.id == bindparam("key"), _s.revoked_at.is_(None)).values(revoked_at=bindparam("now"))
_REVOKE_TOKENS = (
    update(t.tokens)
    .where(t.tokens.c.sign_in_id == bindparam("key"), t.tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_OF_PRINCIPAL = select(_s.id).where(_s.principal_id == bindparam("key"), _s.revoked_at.is_(None))
_OF_REFRESH_TOKEN = select(_r.sign_in_id).where(_r.sha256 == bindparam("sha256"))
_OF_ACCESS_TOKEN = select(t.tokens.c.id).where(t.tokens.c.sha256 == bindparam("sha256"))


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """What a client is given; kept nowhere."""

    access: str
    refresh: str
    access_ttl_s: float
    refresh_ttl_s: float


def begin(conn: Connection, principal_id: str, client_id: str, scopes: str) -> Row[Any]:
    """A new sign-in: its row."""
    asked = {"principal_id": principal_id, "client_id": client_id, "scopes": scopes}
    return conn.execute(_BEGIN, {"id": new_id("sgn"), "created_at": now_us(), **asked}).one()


def find(conn: Connection, sign_in_id: str) -> Row[Any]:
    """The row of a sign-in."""
    return conn.execute(_BY_ID, {"key": sign_in_id}).one()


def add_pair(conn: Connection, sign_in: Row[Any], pair: Pair, *, parent: bytes | None = None) -> None:
    """Keep a pair of a sign-in; `parent` is the SHA-256 of the refresh token it was exchanged for."""
    now = now_us()
    token_id = tokens.add_to_sign_in(conn, sign_in, pair.access, expires_at=now + int(pair.access_ttl_s * SECOND_US))
    family = {"sign_in_id": sign_in.id, "parent_sha256": parent, "token_id": token_id}
    times = {"created_at": now, "expires_at": now + int(pair.refresh_ttl_s * SECOND_US)}
    conn.execute(_INSERT, {"sha256": tokens.digest(pair.refresh), **family, **times})


def present(conn: Connection, secret: str, *, grace_s: float) -> Row[Any] | None:
    """The row of a refresh token that may be exchanged now, with its sign-in's columns; None for any other.

    A token that was used before, outside the grace, ends the sign-in: commit that, whatever is answered.
    """
    row = conn.execute(_BY_SECRET, {"sha256": tokens.digest(secret)}).first()
    if row is None or row.sign_in_revoked_at is not None or row.disabled:
        return None
    if row.replaced_at is not None or not _usable(conn, row, grace_s):
        _log.warning("refresh_token_reused sign_in_id=%s principal_id=%s", row.sign_in_id, row.principal_id)
        end(conn, row.sign_in_id)
        return None
    return row if row.expires_at > now_us() else None


def exchange(conn: Connection, old: Row[Any], pair: Pair) -> None:
    """Put a new pair in the place of a refresh token that `present` let pass."""
    now = now_us()
    conn.execute(_USED, {"key": old.sha256, "now": now})
    # Looked for only where there is one: on PostgreSQL, to look where another then inserts is to clash.
    for lost in conn.execute(_NEXT, {"parent": old.sha256}).all() if old.used_at is not None else ():
        conn.execute(_REPLACE, {"key": lost.sha256, "now": now})
        tokens.revoke(conn, lost.token_id)
    add_pair(conn, find(conn, old.sign_in_id), pair, parent=old.sha256)


def end(conn: Connection, sign_in_id: str) -> None:
    """Make every token of a sign-in worthless. Idempotent."""
    this = {"key": sign_in_id, "now": now_us()}
    conn.execute(_REVOKE, this)
    conn.execute(_REVOKE_TOKENS, this)


def end_all(conn: Connection, principal_id: str) -> int:
    """End all sign-ins of a principal; returns how many there were."""
    ids = conn.execute(_OF_PRINCIPAL, {"key": principal_id}).scalars().all()
    for sign_in_id in ids:
        end(conn, sign_in_id)
    return len(ids)


def revoke(conn: Connection, secret: str) -> None:
    """Make a token worthless for whoever holds it: a refresh token with its whole sign-in, an access token alone."""
    sha256 = tokens.digest(secret)
    if (row := conn.execute(_BY_SECRET, {"sha256": sha256}).first()) is not None:
        end(conn, row.sign_in_id)
    elif (token_id := conn.execute(_OF_ACCESS_TOKEN, {"sha256": sha256}).scalar()) is not None:
        tokens.revoke(conn, token_id)


def is_known(conn: Connection, secret: str) -> bool:
    """Whether it is, or was, a token of this hub, of either kind."""
    this = {"sha256": tokens.digest(secret)}
    return any(conn.execute(kind, this).first() is not None for kind in (_OF_REFRESH_TOKEN, _OF_ACCESS_TOKEN))


def _usable(conn: Connection, row: Row[Any], grace_s: float) -> bool:
    """Whether it was never used, or just now by a client that got no answer: the next pair was never used either."""
    if row.used_at is None:
        return True
    if now_us() - row.used_at > grace_s * SECOND_US:
        return False
    return all(each.used_at is None for each in conn.execute(_NEXT, {"parent": row.sha256}).all())
