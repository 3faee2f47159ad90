"""Browsers in which somebody signed in, to approve a device. The cookie's secret is kept as SHA-256 only."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.account_tables import browsers
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.tokens import digest

#: Of the secret in the cookie.
PREFIX: Final = "fbr_"

_INSERT = insert(browsers)
_WHO = (
    select(t.principals)
    .join_from(browsers, t.principals)
    .where(
        browsers.c.sha256 == bindparam("sha256"),
        browsers.c.expires_at > bindparam("now"),
        t.principals.c.disabled.is_(False),
    )
)
_DELETE: Final = delete(browsers).where(browsers.c.sha256 == bindparam("sha256"))
_DELETE_ALL: Final = delete(browsers).where(browsers.c.principal_id == bindparam("key"))


def sign_in(conn: Connection, principal_id: str, secret: str, *, expires_at: int) -> None:
    """Remember that the browser with this secret in its cookie is a user's."""
    row = {"sha256": digest(secret), "principal_id": principal_id, "expires_at": expires_at, "created_at": now_us()}
    conn.execute(_INSERT, row)


def who(conn: Connection, secret: str) -> Row[Any] | None:
    """The row of the principal who is signed in in this browser; None for nobody."""
    return conn.execute(_WHO, {"sha256": digest(secret), "now": now_us()}).first()


def sign_out(conn: Connection, secret: str) -> None:
    """Forget one browser."""
    conn.execute(_DELETE, {"sha256": digest(secret)})


def sign_out_everywhere(conn: Connection, principal_id: str) -> None:
    """Forget all browsers of a principal."""
    conn.execute(_DELETE_ALL, {"key": principal_id})
