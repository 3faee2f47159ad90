"""Groups: who is a member of which. A group's roles count for its members (`access.py`); a group is never a member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from ferryhub.catalogue import principals, validation
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.account_tables import group_members
from ferryhub.catalogue.clock import now_us
from ferrywire.reasons import FerryError

_m = group_members.c
_THIS = (_m.group_id == bindparam("group"), _m.member_id == bindparam("member"))
_IS_MEMBER = select(_m.group_id).where(*_THIS)
_INSERT = insert(group_members)
_DELETE = delete(group_members).where(*_THIS)
_MEMBERS = (
    select(t.principals)
    .join_from(group_members, t.principals, _m.member_id == t.principals.c.id)
    .where(_m.group_id == bindparam("group"))
    .order_by(t.principals.c.email)
)


def add_members(conn: Connection, group: str, members: Sequence[str]) -> str:
    """Add users and bots (ids, e-mail addresses, names) to a group, which is made when new; returns its id. Idempotent.

    Errors: `INVALID_ARGUMENT`, `PRINCIPAL_NOT_FOUND`.
    """
    group_id = _ensure(conn, group)
    for member in (principals.find(conn, key) for key in members):
        if member.kind == "group":
            raise validation.invalid("member", f"'{member.email}' is a group; members are users and bots")
        this = {"group": group_id, "member": member.id}
        if conn.execute(_IS_MEMBER, this).first() is None:
            conn.execute(_INSERT, {"group_id": group_id, "member_id": member.id, "created_at": now_us()})
    return group_id


def remove_members(conn: Connection, group: str, members: Sequence[str]) -> None:
    """Take principals out of a group, if they are in it. Errors: `INVALID_ARGUMENT`, `PRINCIPAL_NOT_FOUND`."""
    group_id = _group(principals.find(conn, group))
    for key in members:
        conn.execute(_DELETE, {"group": group_id, "member": principals.find(conn, key).id})


def members_of(conn: Connection, group: str) -> Sequence[Row[Any]]:
    """The rows of a group's members, by name. Errors: `INVALID_ARGUMENT`, `PRINCIPAL_NOT_FOUND`."""
    return conn.execute(_MEMBERS, {"group": _group(principals.find(conn, group))}).all()


def _ensure(conn: Connection, group: str) -> str:
    try:
        return _group(principals.find(conn, group))
    except FerryError as error:
        if error.reason != "PRINCIPAL_NOT_FOUND":
            raise
        return principals.add(conn, "group", group)


def _group(row: Row[Any]) -> str:
    if row.kind != "group":
        raise validation.invalid("group", f"'{row.email}' is a {row.kind}, not a group")
    group_id: str = row.id
    return group_id
