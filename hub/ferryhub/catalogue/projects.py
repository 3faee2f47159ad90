"""Projects: made with root collection, owner grant and allocation in one transaction; shown and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, insert, select, tuple_

from ferryhub.catalogue import aliases, roots, validation
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import acting_as, require
from ferryhub.catalogue.actor import Actor, require_scope
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.idempotency import Request, once
from ferryhub.catalogue.paging import Key, Page, cut
from ferrywire.ids import new_id


@dataclass(frozen=True, slots=True)
class NewProject:
    """What a caller says about a project to be."""

    name: str
    description: str = ""
    alias: str = ""


#: A project's row with its default allocation's columns.
ProjectRow = Row[Any]

_allocation = t.allocations.c
_WITH_ALLOCATION = select(
    t.projects, _allocation.storage_location, _allocation.quota_bytes, _allocation.used_bytes
).join_from(t.projects, t.allocations, t.projects.c.default_allocation_id == _allocation.id)
_BY_ID = _WITH_ALLOCATION.where(t.projects.c.id == bindparam("key"))
#: What the caller has a role on: first, so that nothing walks through everybody's projects in search of theirs.
_MINE = (
    select(t.grants.c.resource_id)
    .where(t.grants.c.principal_id.in_(acting_as(bindparam("me", type_=Text()))))
    .distinct()
    .cte("mine")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
_VISIBLE = _WITH_ALLOCATION.join(_MINE, _MINE.c.resource_id == t.projects.c.id).order_by(
    t.projects.c.created_at.desc(), t.projects.c.id.desc()
)
_INSERT = insert(t.projects)
_GRANT = insert(t.grants)


def create(conn: Connection, actor: Actor, new: NewProject, *, quota_bytes: int, request_id: str = "") -> ProjectRow:
    """Make a project, its root collection, the caller's owner grant and an allocation of `quota_bytes`, or nothing.

    Errors: `SCOPE_DENIED`, `INVALID_ARGUMENT`, `ALIAS_TAKEN`, `REQUEST_ID_REUSED`.
    """
    require_scope(actor, "write")
    validation.text("name", new.name, longest=validation.MAX_NAME, required=True)
    validation.text("description", new.description, longest=validation.MAX_TEXT)
    validation.alias(new.alias)
    request = Request(request_id, "CreateProject", [new.name, new.description, new.alias])
    project_id = once(conn, actor, request, lambda: _create(conn, actor, new, quota_bytes))
    return conn.execute(_BY_ID, {"key": project_id}).one()


def get(conn: Connection, actor: Actor, key: str) -> ProjectRow:
    """A project by id or alias. Error: `PROJECT_NOT_FOUND`."""
    project_id = require(conn, actor, key, "read", noun="project").id
    return conn.execute(_BY_ID, {"key": project_id}).one()


def listing(conn: Connection, actor: Actor, page: Page) -> tuple[Sequence[ProjectRow], Key | None]:
    """The projects that the caller has a role on, newest first."""
    require_scope(actor, "read")
    query = _VISIBLE
    if page.after is not None:
        query = query.where(tuple_(t.projects.c.created_at, t.projects.c.id) < tuple_(*page.after))
    rows = conn.execute(query.limit(page.size + 1), {"me": actor.principal_id}).all()
    return cut(rows, page, lambda row: (row.created_at, row.id))


def _create(conn: Connection, actor: Actor, new: NewProject, quota_bytes: int) -> str:
    project_id, root_id, now = new_id("prj"), new_id("col"), now_us()
    aliases.claim(conn, new.alias, project_id)
    allocation_id = roots.add_allocation(conn, "project", project_id, quota_bytes=quota_bytes)
    described = {"name": new.name, "description": new.description, "alias": new.alias}
    made = {"created_at": now, "created_by": actor.principal_id}
    parts = {"root_collection_id": root_id, "default_allocation_id": allocation_id}
    conn.execute(_INSERT, {"id": project_id, **described, **parts, **made})
    roots.add_root(conn, "project", project_id, root_id=root_id, created_by=actor.principal_id)
    grant = {"principal_id": actor.principal_id, "resource_id": project_id, "role": "owner", "created_at": now}
    conn.execute(_GRANT, grant)
    return project_id
