"""The newest assets that a caller can see, wherever they are: a few from each place, the newest of those.

Costs what the caller's own roles cost, not the catalogue's size: walking through all assets, newest first, in search
of those few that somebody may see would. Listings of one project or collection need none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import Any

import sqlalchemy
from sqlalchemy import ARRAY, ColumnElement, Connection, Row, Select, bindparam, func, select, true, tuple_

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import PREFIXES, Noun, acting_ids
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.columns import Text
from ferryhub.catalogue.paging import Key, Page

_a, _scopes = t.assets.c, t.collection_scopes.c
_GRANTED = select(t.grants.c.resource_id).where(t.grants.c.principal_id.in_(bindparam("we", expanding=True))).distinct()
_BELOW = select(_scopes.collection_id).where(_scopes.resource_id.in_(bindparam("granted", expanding=True))).distinct()
_ROWS = select(t.assets).where(_a.id.in_(bindparam("ids", expanding=True)))
_AT_ONCE = 500


def newest_visible(conn: Connection, actor: Actor, page: Page) -> list[Row[Any]]:
    """One more than a page of the ready assets that the caller can see, newest first."""
    granted = conn.execute(_GRANTED, {"we": acting_ids(conn, actor)}).scalars().all()
    keys: set[Key] = set()
    keys.update(_newest_of(conn, _of_user, [actor.principal_id], page))
    keys.update(_newest_of(conn, _of_project, _those("project", granted), page))
    keys.update(_newest_of(conn, _of_collection, _below(conn, _those("collection", granted)), page))
    for some in _batches(_those("asset", granted)):
        keys.update(_keys(conn, _newest(_a.id.in_(some), page)))
    wanted = [asset_id for _, asset_id in nlargest(page.size + 1, keys)]
    rows = {row.id: row for some in _batches(wanted) for row in conn.execute(_ROWS, {"ids": some})}
    return [rows[asset_id] for asset_id in wanted]


def _of_user(owner_id: ColumnElement[str]) -> ColumnElement[bool]:
    return sqlalchemy.and_(_a.owner_type == "user", _a.owner_id == owner_id)


def _of_project(project_id: ColumnElement[str]) -> ColumnElement[bool]:
    return _a.project_id == project_id


def _of_collection(collection_id: ColumnElement[str]) -> ColumnElement[bool]:
    return _a.collection_id == collection_id


def _newest_of(conn: Connection, place: Any, ids: Sequence[str], page: Page) -> list[Key]:
    """The keys of the newest assets of each of some places, of which each has an index in that order."""
    if conn.dialect.name != "postgresql":
        one = _newest(place(bindparam("place", type_=Text())), page)
        return [key for each in ids for key in _keys(conn, one, place=each)]
    given = bindparam("places", type_=ARRAY(sqlalchemy.Text))
    places = func.unnest(given).table_valued(sqlalchemy.column("id", sqlalchemy.Text), name="places").render_derived()
    few = _newest(place(places.c.id), page).correlate(places).lateral("few")
    each_few = select(few.c.created_at, few.c.id).select_from(places.join(few, true()))
    return _keys(conn, each_few, places=list(ids)) if ids else []


def _newest(where: ColumnElement[bool], page: Page) -> Select[Any]:
    query = select(_a.created_at, _a.id).where(where, _a.state == "ready")
    if page.after is not None:
        query = query.where(tuple_(_a.created_at, _a.id) < tuple_(*page.after))
    return query.order_by(_a.created_at.desc(), _a.id.desc()).limit(page.size + 1)


def _keys(conn: Connection, query: Select[Any], **given: Any) -> list[Key]:
    return [(row.created_at, row.id) for row in conn.execute(query, given)]


def _below(conn: Connection, granted: Sequence[str]) -> list[str]:
    return [each for some in _batches(granted) for each in conn.execute(_BELOW, {"granted": some}).scalars()]


def _those(noun: Noun, granted: Sequence[str]) -> list[str]:
    return [resource_id for resource_id in granted if resource_id.startswith(f"{PREFIXES[noun]}_")]


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
