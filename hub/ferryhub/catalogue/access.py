"""Who may do what: finds a resource by id or alias together with the caller's role on it, in one statement.

First check of every domain function (upload step 7). A role counts on the resource it was given for and on all below
it, for the principal itself and for the members of a group; a user owns everything whose owner is that user. Grants
are written in `grants.py`, members in `groups.py`, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    case,
    func,
    literal,
    select,
    union_all,
)

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.account_tables import group_members
from ferryhub.catalogue.actor import Actor, require_scope
from ferryhub.catalogue.prepared import Prepared
from ferrywire.ids import is_id
from ferrywire.reasons import FerryError

Noun = Literal["project", "collection", "asset"]
#: read: see it and what it holds. write: change it and add to it. own: also give roles on it.
Capability = Literal["read", "write", "own"]

RANKS: Final[dict[str, int]] = {"viewer": 1, "editor": 2, "owner": 3}
_NEEDS: Final[dict[Capability, int]] = {"read": 1, "write": 2, "own": 3}
PREFIXES: Final[dict[Noun, str]] = {"project": "prj", "collection": "col", "asset": "ast"}
_TABLES: Final = {"project": t.projects, "collection": t.collections, "asset": t.assets}
_MISSING: Final[dict[str, tuple[str, str]]] = {
    "project": ("PROJECT_NOT_FOUND", "projectId"),
    "collection": ("COLLECTION_NOT_FOUND", "collectionId"),
    "asset": ("ASSET_NOT_FOUND", "assetId"),
    "resource": ("RESOURCE_NOT_FOUND", "resourceId"),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A project, collection or asset that the caller may use as asked."""

    noun: Noun
    #: The id, also when it was asked for by alias.
    id: str
    #: The whole row of its table, and `rank`.
    row: Row[Any]
    #: 1 viewer, 2 editor, 3 owner.
    rank: int


def require(
    conn: Connection, actor: Actor, resource: str, capability: Capability, *, noun: Noun | None = None
) -> Resource:
    """Find a resource by id or alias and check that the caller may use it so.

    With `noun` only that kind of resource will do. Errors: `SCOPE_DENIED` when the token does not reach; the noun's
    `…_NOT_FOUND` when there is none or the caller may not see it; `PERMISSION_DENIED` when they see it but may not.
    """
    require_scope(actor, "read" if capability == "read" else "write")
    found = _find(conn, actor, resource, noun)
    rank = 0 if found is None else _visible_rank(found, actor)
    if found is None or rank < _NEEDS["read"]:
        raise not_found(noun or "resource", resource)
    if rank < _NEEDS[capability]:
        raise denied(found.noun, resource, capability)
    return Resource(found.noun, found.id, found.row, rank)


def not_found(noun: str, key: str) -> FerryError:
    """The error for something that is not there or not for the caller's eyes; both look the same."""
    reason, field = _MISSING[noun]
    return FerryError(reason, f"there is no {noun} '{key}' that you can see", retry_after_s=None, **{field: key})


def denied(noun: str, key: str, capability: Capability) -> FerryError:
    """The error for something that the caller may see but not use so."""
    role = {1: "viewer", 2: "editor", 3: "owner"}[_NEEDS[capability]]
    return FerryError("PERMISSION_DENIED", f"you need the role {role} on the {noun} '{key}' for that", resourceId=key)


def noun_of(resource_id: str) -> Noun | None:
    """Which kind of resource an id names; None when it is no id, so an alias or nonsense."""
    return next((noun for noun, prefix in PREFIXES.items() if is_id(resource_id, prefix)), None)


def _find(conn: Connection, actor: Actor, key: str, noun: Noun | None) -> Resource | None:
    known = noun_of(key)
    if known is None:
        return _find_by_alias(conn, actor, key, noun)
    if noun not in (None, known):
        return None
    row = _BY_ID[known].first(conn, {"key": key, "me": actor.principal_id})
    return None if row is None else Resource(known, row.id, row, row.rank or 0)


def _find_by_alias(conn: Connection, actor: Actor, alias: str, noun: Noun | None) -> Resource | None:
    if noun is None:
        node_id = conn.execute(_NODE_OF_ALIAS, {"key": alias.casefold()}).scalar()
        return None if node_id is None else _find(conn, actor, node_id, None)
    row = _BY_ALIAS[noun].first(conn, {"key": alias.casefold(), "me": actor.principal_id})
    return None if row is None else Resource(noun, row.id, row, row.rank or 0)


def _visible_rank(found: Resource, actor: Actor) -> int:
    row, rank = found.row, found.rank
    if found.noun == "asset":
        rank = max(rank, row.scope_rank or 0)
    if found.noun != "project" and row.owner_type == "user" and row.owner_id == actor.principal_id:
        rank = RANKS["owner"]
    # A draft is for those who write it.
    hidden = found.noun == "asset" and row.state == "draft" and rank < RANKS["editor"]
    return 0 if hidden else rank


def acting_as(me: str | BindParameter[str]) -> CompoundSelect[str]:
    """The principals whose grants count for a caller: itself and its groups. For `principal_id.in_(…)`."""
    members = group_members.c
    mine = select(members.group_id).join_from(group_members, t.principals, members.group_id == t.principals.c.id)
    mine = mine.where(members.member_id == me, t.principals.c.disabled.is_(False))
    return union_all(select(literal(me) if isinstance(me, str) else me), mine)


_me: BindParameter[str] = bindparam("me", type_=Text())
_WE: Final = acting_as(_me)
_RANK = func.max(case(RANKS, value=t.grants.c.role, else_=0))


def _rank_on(resource_id: Any) -> ScalarSelect[int]:
    mine = select(_RANK).where(t.grants.c.principal_id.in_(_WE), t.grants.c.resource_id == resource_id)
    return mine.scalar_subquery()


def _rank_above(collection_id: ColumnElement[str], of: FromClause) -> ScalarSelect[int]:
    scopes = t.collection_scopes.c
    # IN, not a join: SQLite then goes from the few scopes to the caller's grants, not through all grants of the caller.
    reach = select(scopes.resource_id).where(scopes.collection_id == collection_id).correlate(of)
    mine = select(_RANK).where(t.grants.c.principal_id.in_(_WE), t.grants.c.resource_id.in_(reach))
    return mine.correlate(of).scalar_subquery()


def _with_rank(noun: Noun) -> Select[Any]:
    if noun == "project":
        return select(t.projects, _rank_on(t.projects.c.id).label("rank"))
    if noun == "collection":
        return select(t.collections, _rank_above(t.collections.c.id, t.collections).label("rank"))
    above = _rank_above(t.assets.c.collection_id, t.assets).label("scope_rank")
    return select(t.assets, _rank_on(t.assets.c.id).label("rank"), above)


_NODE_OF_ALIAS = select(t.aliases.c.node_id).where(t.aliases.c.alias_folded == bindparam("key"))
_BY_ID = {noun: Prepared(_with_rank(noun).where(_TABLES[noun].c.id == bindparam("key"))) for noun in PREFIXES}
_BY_ALIAS = {
    noun: Prepared(_with_rank(noun).where(_TABLES[noun].c.id == _NODE_OF_ALIAS.scalar_subquery())) for noun in PREFIXES
}


def acting_ids(conn: Connection, actor: Actor) -> list[str]:
    """The ids of the principals whose grants count for a caller."""
    return list(conn.execute(_WE, {"me": actor.principal_id}).scalars())
