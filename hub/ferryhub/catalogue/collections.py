"""Collections: the folders below a root, made, shown and listed. Roots themselves are made in `roots.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from ferryhub.catalogue import aliases, validation
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import Resource, require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.idempotency import Request, once
from ferryhub.catalogue.paging import Key, Page, cut
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError


@dataclass(frozen=True, slots=True)
class NewCollection:
    """What a caller says about a collection to be; the parent by id or alias."""

    name: str
    parent_id: str
    alias: str = ""
    description: str = ""


_INSERT = insert(t.collections)
_BY_ID = select(t.collections).where(t.collections.c.id == bindparam("key"))
_NAMESAKE = select(t.collections.c.id).where(
    t.collections.c.parent_id == bindparam("parent"), t.collections.c.name == bindparam("called")
)
_CHILDREN = select(t.collections).where(t.collections.c.parent_id == bindparam("parent")).order_by(t.collections.c.name)
_INHERIT_SCOPES = insert(t.collection_scopes).from_select(
    ["collection_id", "resource_id"],
    select(bindparam("child", type_=t.collections.c.id.type), t.collection_scopes.c.resource_id)
    .where(t.collection_scopes.c.collection_id == bindparam("parent"))
    .union_all(
        select(bindparam("child", type_=t.collections.c.id.type), bindparam("child", type_=t.collections.c.id.type))
    ),
)


def create(conn: Connection, actor: Actor, new: NewCollection, *, request_id: str = "") -> Row[Any]:
    """Make a collection below another. Needs write on the parent.

    Errors: `INVALID_ARGUMENT`, `COLLECTION_NOT_FOUND`, `PERMISSION_DENIED`, `NAME_TAKEN`, `ALIAS_TAKEN`,
    `REQUEST_ID_REUSED`.
    """
    validation.collection_name(new.name)
    validation.text("description", new.description, longest=validation.MAX_TEXT)
    validation.alias(new.alias)
    parent = require(conn, actor, new.parent_id, "write", noun="collection")
    request = Request(request_id, "CreateCollection", [new.name, parent.id, new.alias, new.description])
    collection_id = once(conn, actor, request, lambda: _create(conn, actor, new, parent))
    return conn.execute(_BY_ID, {"key": collection_id}).one()


def get(conn: Connection, actor: Actor, key: str) -> Row[Any]:
    """A collection by id or alias. Error: `COLLECTION_NOT_FOUND`."""
    return require(conn, actor, key, "read", noun="collection").row


def listing(conn: Connection, actor: Actor, parent_id: str, page: Page) -> tuple[Sequence[Row[Any]], Key | None]:
    """The collections directly below a parent, by name. Error: `COLLECTION_NOT_FOUND`."""
    parent = require(conn, actor, parent_id, "read", noun="collection")
    query = _CHILDREN if page.after is None else _CHILDREN.where(t.collections.c.name > page.after[0])
    rows = conn.execute(query.limit(page.size + 1), {"parent": parent.id}).all()
    return cut(rows, page, lambda row: (row.name,))


def _create(conn: Connection, actor: Actor, new: NewCollection, parent: Resource) -> str:
    collection_id, above = new_id("col"), parent.row
    aliases.claim(conn, new.alias, collection_id)
    described = {"name": new.name, "alias": new.alias, "description": new.description}
    # Bounds the depth, too: every collection has a row for each one above it.
    path = validation.text("path", f"{above.path.rstrip('/')}/{new.name}", longest=validation.MAX_PATH)
    place = {"parent_id": parent.id, "project_id": above.project_id, "path": path}
    owner = {"owner_type": above.owner_type, "owner_id": above.owner_id}
    made = {"created_at": now_us(), "created_by": actor.principal_id}
    if conn.execute(_NAMESAKE, {"parent": parent.id, "called": new.name}).first() is not None:
        raise FerryError("NAME_TAKEN", f"'{above.path}' already holds a collection '{new.name}'", name=new.name)
    conn.execute(_INSERT, {"id": collection_id, **described, **place, **owner, **made})
    conn.execute(_INHERIT_SCOPES, {"child": collection_id, "parent": parent.id})
    return collection_id
