"""Principals: who can be a caller. Made by the operator (`ferryhub users`) or by the embedding daemon.

Users have an e-mail address, bots and groups a name. Passwords are in `ferryhub.auth`, members in `groups.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from ferryhub.catalogue import tables as t
from ferryhub.catalogue import validation
from ferryhub.catalogue.account_tables import passwords
from ferryhub.catalogue.actor import ALL_SCOPES, Actor
from ferryhub.catalogue.clock import now_us
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

Kind = Literal["user", "bot", "group"]
_PREFIXES: Final[dict[Kind, str]] = {"user": "usr", "bot": "bot", "group": "grp"}

_INSERT = insert(t.principals)
_BY_ID = select(t.principals).where(t.principals.c.id == bindparam("key"))
_BY_EMAIL = select(t.principals.c.id).where(t.principals.c.email == bindparam("key"))
_BY_KEY = select(t.principals).where(
    or_(t.principals.c.id == bindparam("key"), t.principals.c.email == bindparam("email"))
)
_NEW_EMAIL = update(t.principals).where(t.principals.c.id == bindparam("key")).values(email=bindparam("address"))
_SET_DISABLED = update(t.principals).where(t.principals.c.id == bindparam("key")).values(disabled=bindparam("is_off"))
_ALL = (
    select(t.principals, passwords.c.changed_at.label("password_changed_at"))
    .join_from(t.principals, passwords, isouter=True)
    .order_by(t.principals.c.kind, t.principals.c.email)
)


def add(conn: Connection, kind: Kind, name: str, *, display_name: str = "") -> str:
    """Make a user (`name` is an e-mail address), a bot or a group; returns the id.

    Errors: `INVALID_ARGUMENT` for a bad name, `NAME_TAKEN`.
    """
    address = validation.email(name) if kind == "user" else validation.principal_name(name)
    validation.text("display_name", display_name, longest=validation.MAX_NAME)
    if conn.execute(_BY_EMAIL, {"key": address}).scalar() is not None:
        raise FerryError("NAME_TAKEN", f"'{address}' is on this hub already", name=address)
    return _insert(conn, new_id(_PREFIXES[kind]), address, kind=kind, display_name=display_name)


def find(conn: Connection, key: str) -> Row[Any]:
    """The principal with this id, e-mail address or name. Error: `PRINCIPAL_NOT_FOUND`."""
    row = conn.execute(_BY_KEY, {"key": key, "email": key.lower()}).first()
    if row is None:
        raise FerryError("PRINCIPAL_NOT_FOUND", f"nobody on this hub has the id or address '{key}'", principalId=key)
    return row


def listing(conn: Connection) -> Sequence[Row[Any]]:
    """All principals with `password_changed_at`, None for who has no password; for the operator."""
    return conn.execute(_ALL).all()


def set_disabled(conn: Connection, key: str, disabled: bool) -> None:
    """Shut somebody out, or let them in again: tokens stay, but count for nothing meanwhile. So do a group's roles.

    Error: `PRINCIPAL_NOT_FOUND`.
    """
    conn.execute(_SET_DISABLED, {"key": find(conn, key).id, "is_off": disabled})


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


def _insert(conn: Connection, principal_id: str, address: str, *, kind: Kind = "user", display_name: str = "") -> str:
    named = {"kind": kind, "email": address, "display_name": display_name}
    conn.execute(_INSERT, {"id": principal_id, "created_at": now_us(), **named})
    return principal_id
