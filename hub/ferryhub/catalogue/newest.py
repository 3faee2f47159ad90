"""The newest assets that a caller can see, wherever they are: a few from each place, the newest of those.

Costs what the caller's own roles cost, not the catalogue's size: walking through all assets, newest first, in search
of those few that somebody may see would. Listings of one project or collection need none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nlargest
from typing import Any

import sqlalchemy
from sqlalchemy import ARRAY, ColumnElement, Connection, Row, Select, and_, bindparam, func, select, true, tuple_

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.columns import Text
from ferryhub.catalogue.paging import Key, Page
from ferryhub.catalogue.reach import among, reach_of

_a = t.assets.c


def newest_visible(conn: Connection, actor: Actor, page: Page) -> list[Row[Any]]:
    """One more than a page of the ready assets that the caller can see, newest first."""
    reach = reach_of(conn, actor)
    keys: set[Key] = set()
    keys.update(_newest_of(conn, _of_user, [reach.user], page))
    keys.update(_newest_of(conn, _of_project, reach.projects, page))
    keys.update(_newest_of(conn, _of_collection, reach.collections, page))
    if reach.assets:
        keys.update(_keys(conn, _newest(among(conn, _a.id, reach.assets), page)))
    wanted = [asset_id for _, asset_id in nlargest(page.size + 1, keys)]
    rows = {row.id: row for row in conn.execute(select(t.assets).where(among(conn, _a.id, wanted)))}
    return [rows[asset_id] for asset_id in wanted]


def _of_user(owner_id: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(_a.owner_type == "user", _a.owner_id == owner_id)


def _of_project(project_id: ColumnElement[str]) -> ColumnElement[bool]:
    return _a.project_id == project_id


def _of_collection(collection_id: ColumnElement[str]) -> ColumnElement[bool]:
    return _a.collection_id == collection_id


def _newest_of(
    conn: Connection, place: Callable[[ColumnElement[str]], ColumnElement[bool]], ids: Sequence[str], page: Page
) -> list[Key]:
    """The keys of the newest assets of each of some places, of which each has an index in that order."""
    if conn.dialect.name != "postgresql":
        one = _newest(place(bindparam("place", type_=Text())), page)
        return [key for each in ids for key in _keys(conn, one, place=each)]
    given = bindparam("places", type_=ARRAY(sqlalchemy.Text))
    places = func.unnest(given).table_valued(sqlalchemy.column("id", sqlalchemy.Text), name="places").render_derived()
    few = _newest(place(places.c.id), page).correlate(places).lateral("few")
    each_few = select(few.c.created_at, few.c.id).select_from(places.join(few, true()))
    newest = each_few.order_by(few.c.created_at.desc(), few.c.id.desc()).limit(page.size + 1)
    return _keys(conn, newest, places=list(ids)) if ids else []


def _newest(where: ColumnElement[bool], page: Page) -> Select[Any]:
    query = select(_a.created_at, _a.id).where(where, _a.state == "ready")
    if page.after is not None:
        query = query.where(tuple_(_a.created_at, _a.id) < tuple_(*page.after))
    return query.order_by(_a.created_at.desc(), _a.id.desc()).limit(page.size + 1)


def _keys(conn: Connection, query: Select[Any], **given: Any) -> list[Key]:
    return [(row.created_at, row.id) for row in conn.execute(query, given)]
