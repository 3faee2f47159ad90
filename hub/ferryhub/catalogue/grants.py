"""Grants: who has which role on a project, a collection or an asset. What roles allow is in `access.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from ferryhub.catalogue import owners
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import RANKS, Capability, Resource, noun_of, require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.paging import Key, Page, cut
from ferryhub.catalogue.validation import choice
from ferrywire.reasons import FerryError

#: A grant's row with the principal's `email`.
GrantRow = Row[Any]

_g = t.grants.c
_WITH_EMAIL = select(t.grants, t.principals.c.email).join_from(t.grants, t.principals)
_ON = _WITH_EMAIL.where(_g.resource_id == bindparam("resource")).order_by(_g.principal_id)
_ONE = (_g.resource_id == bindparam("resource"), _g.principal_id == bindparam("principal"))
_THIS = _WITH_EMAIL.where(*_ONE)
_INSERT = insert(t.grants)
_UPDATE = update(t.grants).where(*_ONE).values(role=bindparam("new_role"))
_DELETE = delete(t.grants).where(*_ONE)
_OTHER_OWNERS = select(func.count()).where(
    _g.resource_id == bindparam("resource"), _g.role == "owner", _g.principal_id != bindparam("principal")
)


def set_grant(conn: Connection, actor: Actor, resource: str, principal: str, role: str) -> GrantRow:
    """Give a principal (id or e-mail) a role on a resource in place of the one it has there. Needs the owner role.

    Errors: `INVALID_ARGUMENT`, `RESOURCE_NOT_FOUND`, `PERMISSION_DENIED`, `PRINCIPAL_NOT_FOUND`, `LAST_OWNER`.
    """
    choice("role", role, tuple(RANKS))
    target = _resource(conn, actor, resource, "own")
    this = {"resource": target.id, "principal": _principal(conn, principal)}
    before = conn.execute(_THIS, this).first()
    if before is None:
        row = {"resource_id": target.id, "principal_id": this["principal"], "role": role, "created_at": now_us()}
        conn.execute(_INSERT, row)
    elif before.role != role:
        _keep_an_owner(conn, target, before)
        conn.execute(_UPDATE, {**this, "new_role": role})
    return conn.execute(_THIS, this).one()


def listing(conn: Connection, actor: Actor, resource: str, page: Page) -> tuple[Sequence[GrantRow], Key | None]:
    """The grants on a resource itself, by principal. Needs read. Error: `RESOURCE_NOT_FOUND`."""
    target = _resource(conn, actor, resource, "read")
    query = _ON if page.after is None else _ON.where(_g.principal_id > page.after[0])
    rows = conn.execute(query.limit(page.size + 1), {"resource": target.id}).all()
    return cut(rows, page, lambda row: (row.principal_id,))


def remove(conn: Connection, actor: Actor, resource: str, principal: str) -> None:
    """Take a principal's role on a resource away, if it has one there. Needs the owner role.

    Errors: `RESOURCE_NOT_FOUND`, `PERMISSION_DENIED`, `PRINCIPAL_NOT_FOUND`, `LAST_OWNER`.
    """
    target = _resource(conn, actor, resource, "own")
    this = {"resource": target.id, "principal": _principal(conn, principal)}
    before = conn.execute(_THIS, this).first()
    if before is not None:
        _keep_an_owner(conn, target, before)
        conn.execute(_DELETE, this)


def _resource(conn: Connection, actor: Actor, key: str, capability: Capability) -> Resource:
    try:
        return require(conn, actor, key, capability, noun=noun_of(key))
    except FerryError as error:
        if not error.reason.endswith("_NOT_FOUND"):
            raise
        message = f"there is no project, collection or asset '{key}' that you can see"
        raise FerryError("RESOURCE_NOT_FOUND", message, resourceId=key) from error


def _principal(conn: Connection, key: str) -> str:
    principal_id = owners.find_user(conn, key)
    if principal_id is None:
        raise FerryError("PRINCIPAL_NOT_FOUND", f"nobody on this hub has the id or address '{key}'", principalId=key)
    return principal_id


def _keep_an_owner(conn: Connection, target: Resource, before: GrantRow) -> None:
    # Below a project somebody always owns: the project's owners, or the user whose things they are.
    if target.noun != "project" or before.role != "owner":
        return
    others = conn.execute(_OTHER_OWNERS, {"resource": target.id, "principal": before.principal_id}).scalar_one()
    if not others:
        raise FerryError("LAST_OWNER", f"'{before.email}' is the last owner of '{target.id}'", resourceId=target.id)
