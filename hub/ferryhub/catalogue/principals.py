"""Principals: who can be a caller. Made by the operator (`ferryhub token create`) or by the embedding daemon."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from ferryhub.catalogue import tables as t
from ferryhub.catalogue import validation
from ferryhub.catalogue.actor import ALL_SCOPES, Actor
from ferryhub.catalogue.clock import now_us
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

_INSERT = insert(t.principals)
_BY_ID = select(t.principals).where(t.principals.c.id == bindparam("key"))
_BY_EMAIL = select(t.principals.c.id).where(t.principals.c.email == bindparam("key"))
_NEW_EMAIL = update(t.principals).where(t.principals.c.id == bindparam("key")).values(email=bindparam("address"))


def ensure(conn: Connection, principal_id: str, email: str) -> None:
    """Make a user with a known id exist, with this address, which an in-process caller vouches for.

    Error: `INVALID_ARGUMENT` when the address is another user's.
    """
    address = email.lower()
    holder = conn.execute(_BY_EMAIL, {"key": address}).scalar()
    if holder == principal_id:
        return
    if holder is not None:
        raise validation.invalid("principal_id", f"'{email}' is the user '{holder}' of this hub, not '{principal_id}'")
    if conn.execute(_BY_ID, {"key": principal_id}).first() is None:
        _insert(conn, principal_id, address)
    else:
        conn.execute(_NEW_EMAIL, {"key": principal_id, "address": address})


def ensure_by_email(conn: Connection, email: str) -> str:
    """The id of the user with this e-mail address, who is made when new. Error: `INVALID_ARGUMENT`."""
    address = validation.email(email)
    known: str | None = conn.execute(_BY_EMAIL, {"key": address}).scalar()
    return known or _insert(conn, new_id("usr"), address)


def vouched(conn: Connection, principal_id: str) -> Actor:
    """The caller behind an id that an in-process caller vouches for, with all scopes. Error: `TOKEN_INVALID`."""
    row = conn.execute(_BY_ID, {"key": principal_id}).first()
    if row is None or row.disabled:
        raise FerryError("TOKEN_INVALID", f"there is no active user '{principal_id}' on this hub")
    return Actor(row.id, row.email, ALL_SCOPES)


def _insert(conn: Connection, principal_id: str, address: str) -> str:
    conn.execute(_INSERT, {"id": principal_id, "kind": "user", "email": address, "created_at": now_us()})
    return principal_id
