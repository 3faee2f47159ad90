"""Finds who will own an asset: a project or a user, with its root collection and its allocation (upload step 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, case, or_, select

from ferryhub.catalogue import locations, roots
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.validation import choice
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

OWNER_TYPES: Final = ("project", "user")

_USER = select(t.principals.c.id).where(
    or_(t.principals.c.id == bindparam("key"), t.principals.c.email == bindparam("email"))
)
_PROJECT = select(t.projects.c.id).where(
    or_(
        t.projects.c.id == bindparam("key"),
        t.projects.c.id.in_(select(t.aliases.c.node_id).where(t.aliases.c.alias_folded == bindparam("folded"))),
    )
)
_USER_ROOT = select(t.collections.c.id).where(
    t.collections.c.owner_type == "user",
    t.collections.c.owner_id == bindparam("owner"),
    t.collections.c.parent_id.is_(None),
)
_PROJECT_ALLOCATION = select(t.allocations).join(
    t.projects,
    and_(t.projects.c.default_allocation_id == t.allocations.c.id, t.projects.c.id == bindparam("owner")),
)
#: The one at the hub's default location before others, then the oldest.
_USER_ALLOCATION = (
    select(t.allocations)
    .where(t.allocations.c.owner_type == "user", t.allocations.c.owner_id == bindparam("owner"))
    .order_by(
        case((t.allocations.c.storage_location == bindparam("location"), 0), else_=1),
        t.allocations.c.created_at,
        t.allocations.c.id,
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner that the caller can see."""

    type: str
    id: str
    #: The owner when it is a project.
    project_id: str | None
    root_collection_id: str


def resolve(conn: Connection, actor: Actor, owner_type: str, key: str, *, quota_bytes: int) -> Owner:
    """Find an owner by id, alias or e-mail; the caller's own root collection is made when it is missing.

    `quota_bytes` is what a user gets with a new root. Runs in a write transaction. Errors: `INVALID_ARGUMENT` for
    another `owner_type`, `OWNER_NOT_FOUND`. Whether the caller may write there is the collection's to say.
    """
    choice("owner_type", owner_type, OWNER_TYPES)
    return _project(conn, actor, key) if owner_type == "project" else _user(conn, actor, key, quota_bytes)


def allocation_of(conn: Connection, owner_type: str, owner_id: str) -> Row[Any]:
    """The allocation that an owner's bytes count against, which says where they go: a row of `allocations`."""
    if owner_type == "project":
        return conn.execute(_PROJECT_ALLOCATION, {"owner": owner_id}).one()
    location = locations.default_name(conn)
    return conn.execute(_USER_ALLOCATION, {"owner": owner_id, "location": location}).one()


def by_name(conn: Connection, key: str) -> tuple[str, str]:
    """(type, id) of a project by id or alias, or of a user by id or e-mail, for an operator. `OWNER_NOT_FOUND`."""
    project_id: str | None = conn.execute(_PROJECT, {"key": key, "folded": key.casefold()}).scalar()
    if project_id is not None:
        return "project", project_id
    user_id = find_user(conn, key)
    if user_id is None:
        raise FerryError("OWNER_NOT_FOUND", f"there is no project and no user '{key}'", ownerId=key)
    return "user", user_id


def find_user(conn: Connection, key: str) -> str | None:
    """The id of the user with this id or e-mail address."""
    user_id: str | None = conn.execute(_USER, {"key": key, "email": key.lower()}).scalar()
    return user_id


def _project(conn: Connection, actor: Actor, key: str) -> Owner:
    try:
        project = require(conn, actor, key, "read", noun="project")
    except FerryError as error:
        if error.reason != "PROJECT_NOT_FOUND":
            raise
        raise _missing("project", key) from error
    return Owner("project", project.id, project.id, project.row.root_collection_id)


def _user(conn: Connection, actor: Actor, key: str, quota_bytes: int) -> Owner:
    user_id = find_user(conn, key)
    if user_id is None:
        raise _missing("user", key)
    root_id = conn.execute(_USER_ROOT, {"owner": user_id}).scalar()
    if user_id == actor.principal_id:
        return Owner("user", user_id, None, root_id or _settle(conn, user_id, quota_bytes))
    if root_id is None or not _sees(conn, actor, root_id):
        raise _missing("user", key)
    return Owner("user", user_id, None, root_id)


def _settle(conn: Connection, user_id: str, quota_bytes: int) -> str:
    root_id = new_id("col")
    roots.add_root(conn, "user", user_id, root_id=root_id, created_by=user_id)
    # An operator may have given them one before.
    if conn.execute(_USER_ALLOCATION, {"owner": user_id, "location": ""}).first() is None:
        roots.add_allocation(conn, "user", user_id, quota_bytes=quota_bytes)
    return root_id


def _sees(conn: Connection, actor: Actor, collection_id: str) -> bool:
    try:
        require(conn, actor, collection_id, "read", noun="collection")
    except FerryError as error:
        if error.reason != "COLLECTION_NOT_FOUND":
            raise
        return False
    return True


def _missing(owner_type: str, key: str) -> FerryError:
    return FerryError("OWNER_NOT_FOUND", f"there is no {owner_type} '{key}' that you can see", ownerId=key)
