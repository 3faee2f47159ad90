"""The newest assets that a caller can see, wherever they are: a few from each place, the newest of those.

Costs what the caller's own roles cost, not the catalogue's size: walking through all assets, newest first, in search
of those few that somebody may see would. Listings of one project or collection need none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from heapq import nlargest
from typing import Any

import sqlalchemy
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    func,
    select,
    true,
    tuple_,
)

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.columns import Text
from ferryhub.catalogue.paging import Key, Page
from ferryhub.catalogue.reach import among, as_parameter, reach_of

_a = t.assets.c
#: The condition that an asset is in the place with an id.
Place = Callable[[FromClause, ColumnElement[str]], ColumnElement[bool]]
_AFTER = tuple_(bindparam("after_time", type_=BigInteger()), bindparam("after_id", type_=Text()))


def newest_visible(conn: Connection, actor: Actor, page: Page) -> list[Row[Any]]:
    """One more than a page of the ready assets that the caller can see, newest first."""
    reach = reach_of(conn, actor)
    keys = {
        *_newest_of(conn, _of_user, [reach.user], page),
        *_newest_of(conn, _of_project, reach.projects, page),
        *_newest_of(conn, _of_collection, reach.collections, page),
        *_newest_of(conn, _itself, reach.assets, page),
    }
    wanted = [asset_id for _, asset_id in nlargest(page.size + 1, keys)]
    rows = {row.id: row for row in conn.execute(select(t.assets).where(among(conn, _a.id, wanted)))}
    return [rows[asset_id] for asset_id in wanted]


def _of_user(assets: FromClause, owner_id: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(assets.c.owner_type == "user", assets.c.owner_id == owner_id)


def _of_project(assets: FromClause, project_id: ColumnElement[str]) -> ColumnElement[bool]:
    return assets.c.project_id == project_id


def _of_collection(assets: FromClause, collection_id: ColumnElement[str]) -> ColumnElement[bool]:
    return assets.c.collection_id == collection_id


def _itself(assets: FromClause, asset_id: ColumnElement[str]) -> ColumnElement[bool]:
    return assets.c.id == asset_id


def _newest_of(conn: Connection, place: Place, ids: Sequence[str], page: Page) -> list[Key]:
    """The keys of the newest assets of some places, of which each has an index in that order."""
    most = page.size + 1
    if len(ids) > most:
        # What is on the page is in those places whose newest are the newest.
        newest = nlargest(most, _few_of_each(conn, place, ids, page, 1))
        ids = [place_id for _, _, place_id in newest]
    return [(created_at, key) for created_at, key, _ in _few_of_each(conn, place, ids, page, most)]


def _few_of_each(conn: Connection, place: Place, ids: Sequence[str], page: Page, few: int) -> Sequence[Any]:
    """`created_at, id` of the newest assets of each of some places, and the place's id."""
    if not ids:
        return ()
    postgres = conn.dialect.name == "postgresql"
    given: dict[str, Any] = {"places": as_parameter(conn.dialect.name, ids), "few": few}
    if page.after is not None:
        given |= dict(zip(("after_time", "after_id"), page.after, strict=True))
    found = conn.execute(_statement(place, postgres=postgres, later=page.after is not None), given)
    return [row for row in found if row[0] is not None]


@cache
def _statement(place: Place, *, postgres: bool, later: bool) -> Select[Any]:
    """Made once: to make it takes longer than to answer it."""
    return (_on_postgres if postgres else _on_sqlite)(place, later)


def _on_postgres(place: Place, later: bool) -> Select[Any]:
    given = func.unnest(bindparam("places", type_=ARRAY(sqlalchemy.Text)))
    places = given.table_valued(sqlalchemy.column("id", sqlalchemy.Text), name="places").render_derived()
    ready = _ready(t.assets, place(t.assets, places.c.id), later)
    few = _newest(t.assets, ready).limit(bindparam("few")).correlate(places).lateral("few")
    return select(few.c.created_at, few.c.id, places.c.id).select_from(places.join(few, true()))


def _on_sqlite(place: Place, later: bool) -> Select[Any]:
    """There is no LATERAL: ask how old the last of the few is, then for those that are not older. Both are answered
    from the index alone. An outer join, so that SQLite begins with the places; one without assets gives NULLs."""
    places = func.json_each(bindparam("places")).table_valued("value", name="places")
    few = t.assets.alias("few")
    newest = _newest(few, _ready(few, place(few, places.c.value), later)).with_only_columns(few.c.created_at)
    oldest = newest.limit(1).offset(bindparam("few") - 1).correlate(places).scalar_subquery()
    ready = _ready(t.assets, place(t.assets, places.c.value), later)
    joined = places.join(t.assets, and_(ready, _a.created_at >= func.coalesce(oldest, 0)), isouter=True)
    return select(_a.created_at, _a.id, places.c.value).select_from(joined)


def _ready(assets: FromClause, where: ColumnElement[bool], later: bool) -> ColumnElement[bool]:
    ready = and_(where, assets.c.state == "ready")
    return and_(ready, tuple_(assets.c.created_at, assets.c.id) < _AFTER) if later else ready


def _newest(assets: FromClause, ready: ColumnElement[bool]) -> Select[Any]:
    newest_first = (assets.c.created_at.desc(), assets.c.id.desc())
    return select(assets.c.created_at, assets.c.id).where(ready).order_by(*newest_first)
