"""What a caller can see, gathered once for a question about many assets: listings, links, lineage.

Three short statements, whose cost is that of the caller's own roles; after them each asset is a look into a set.
Questions about one resource are `access.require`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
)

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import PREFIXES, Noun, acting_ids
from ferryhub.catalogue.actor import Actor


@dataclass(frozen=True, slots=True)
class Reach:
    """The places whose assets a caller sees, besides their own as a user. Ids."""

    user: str
    projects: Sequence[str]
    #: Those with a role of their own and all below them.
    collections: Sequence[str]
    assets: Sequence[str]


def reach_of(conn: Connection, actor: Actor) -> Reach:
    """What a caller's roles and those of their groups reach."""
    mine = among(conn, t.grants.c.principal_id, acting_ids(conn, actor))
    granted = conn.execute(select(t.grants.c.resource_id).where(mine).distinct()).scalars().all()
    folders = _those("collection", granted)
    scopes = t.collection_scopes.c
    below = select(scopes.collection_id).where(among(conn, scopes.resource_id, folders)).distinct()
    within = conn.execute(below).scalars().all() if folders else ()
    return Reach(actor.principal_id, _those("project", granted), within, _those("asset", granted))


def sees(conn: Connection, reach: Reach, assets: FromClause) -> ColumnElement[bool]:
    """The condition that an asset is ready and within reach. `assets` is the table or an alias of it."""
    column = assets.c
    within = or_(
        and_(column.owner_type == "user", column.owner_id == reach.user),
        among(conn, column.project_id, reach.projects),
        among(conn, column.collection_id, reach.collections),
        among(conn, column.id, reach.assets),
    )
    # A CASE, so that nothing in it is taken for a way to find the rows, which have been found.
    return case((column.state == "ready", within), else_=false())


def among(conn: Connection, column: ColumnElement[Any], ids: Sequence[str]) -> ColumnElement[bool]:
    """The condition that a text column is one of any number of values, which are one parameter."""
    dialect = conn.dialect.name
    return _one_of(dialect, column, literal(as_parameter(dialect, ids), _kind(dialect)))


def among_later(dialect: str, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The same for a statement that is made once: the parameter of this name is what `as_parameter` gives."""
    return _one_of(dialect, column, bindparam(name, type_=_kind(dialect)))


def as_parameter(dialect: str, ids: Sequence[str]) -> list[str] | str:
    """Ids as one parameter."""
    return list(ids) if dialect == "postgresql" else as_json(ids)


def as_json(ids: Sequence[str]) -> str:
    """Ids as a JSON array, which SQLite takes as one parameter."""
    return "[" + ",".join(f'"{each}"' for each in ids) + "]"


def _one_of(dialect: str, column: ColumnElement[Any], given: ColumnElement[Any]) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return column == any_(given)
    return column.in_(select(func.json_each(given).table_valued("value").c.value))


def _kind(dialect: str) -> Any:
    return ARRAY(sqlalchemy.Text) if dialect == "postgresql" else sqlalchemy.Text


def _those(noun: Noun, granted: Sequence[str]) -> list[str]:
    return [resource_id for resource_id in granted if resource_id.startswith(f"{PREFIXES[noun]}_")]
