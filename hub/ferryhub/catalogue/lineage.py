"""Lineage: everything an asset came from or that was made from it, level by level. Cycles and diamonds are fine.

One statement finds the assets, one what is shown of them and one the links between them, however deep they lie; where
some may not be seen, the first two are asked twice. Assets that the caller may not see are neither shown nor walked
through. Drafts count as not visible. That something is hidden can be told from the time that an answer takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, case, literal, or_, select, true, union_all

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.reach import among, reach_of, sees
from ferryhub.catalogue.relationships import Direction
from ferryhub.catalogue.validation import invalid

MAX_DEPTH: Final = 100
MAX_ASSETS: Final = 10_000
DEFAULT_ASSETS: Final = 1000
#: Links in one reply at most: some 200 bytes each.
_MAX_LINKS: Final = 50_000
#: Up to this depth the database counts levels, and may meet an asset once in each; below, it meets each asset once.
_SHALLOW: Final = 3

_a, _r = t.assets.c, t.relationships.c
#: What is shown of an asset, and when it was made.
_ASSET: Final = (_a.id, _a.created_at, _a.title, _a.alias, _a.latest_content_id)
#: All of a link but its fingerprint. The first columns are looked at by place: by name takes three times as long.
_LINK: Final = (
    *(_r.id, _r.created_at, _r.from_asset_id, _r.to_asset_id),
    *(_r.type, _r.analysis_mode, _r.qualifier_note, _r.qualifier_time, _r.qualifiers, _r.created_by),
)
_ID, _AGE, _FROM, _TO = itemgetter(0), itemgetter(1, 0), itemgetter(2), itemgetter(3)
_ENDS: Final = itemgetter(2, 3)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far to go."""

    direction: Direction = "origins"
    max_depth: int = MAX_DEPTH
    max_assets: int = DEFAULT_ASSETS


@dataclass(slots=True)
class Lineage:
    """What a walk found: asset rows with their depth, nearest first, and the links between them."""

    #: Rows of `id, created_at, title, alias, latest_content_id`.
    assets: dict[str, tuple[Row[Any], int]] = field(default_factory=dict)
    #: Rows of `id, created_at, from_asset_id, to_asset_id` and the rest of a link but its fingerprint.
    links: dict[str, Row[Any]] = field(default_factory=dict)
    truncated: bool = False


def walk(conn: Connection, actor: Actor, asset_key: str, how: Walk) -> Lineage:
    """Follow the links of an asset. Errors: `ASSET_NOT_FOUND`, `INVALID_ARGUMENT`."""
    _in_range("max_depth", how.max_depth, MAX_DEPTH)
    _in_range("max_assets", how.max_assets, MAX_ASSETS)
    start = require(conn, actor, asset_key, "read", noun="asset")
    rows = _reachable(conn, actor, start.id, how)
    links = _links_among(conn, how.direction, rows)
    depths = _depths(start.id, how.direction, links)
    nearest = sorted((key for key in rows if key in depths), key=lambda key: (depths[key], rows[key].created_at))
    shown = [key for key in nearest if depths[key] <= how.max_depth][: how.max_assets]
    found = Lineage({key: (rows[key], depths[key]) for key in shown})
    found.links = {
        _ID(link): link for link in links[:_MAX_LINKS] if _FROM(link) in found.assets and _TO(link) in found.assets
    }
    found.truncated = len(shown) < len(rows) or len(links) > _MAX_LINKS
    return found


def _reachable(conn: Connection, actor: Actor, start_id: str, how: Walk) -> dict[str, Row[Any]]:
    """The visible assets that links lead to, nearest first: one more than wanted, one level more, if there are.

    Mostly all that is linked is visible. So the first walk looks at links alone, in two thirds of the time; what it
    found is thrown away when there is an asset among it that the caller may not see. The start they may see.
    """
    visible = or_(_a.id == start_id, sees(conn, reach_of(conn, actor), t.assets))
    met = _met(conn, start_id, how)
    rows = _rows(conn, met, visible)
    if len(rows) < len(met):
        rows = _rows(conn, _met(conn, start_id, how, visible), visible)
    return rows


def _met(conn: Connection, start_id: str, how: Walk, visible: ColumnElement[bool] | None = None) -> list[str]:
    """Where links lead to, through `visible` assets if that is given.

    `UNION` keeps what was met before from being walked from again.
    """
    shallow = how.max_depth <= _SHALLOW
    met = select(_a.id, literal(0).label("depth")).where(_a.id == start_id).cte("met", recursive=True)
    links, onward = _onward(conn, how.direction, met)
    if visible is not None:
        links = links.join(t.assets, _a.id == onward)
    beyond = select(onward, met.c.depth + (1 if shallow else 0)).select_from(links).where(met.c.depth <= how.max_depth)
    everything = met.union(beyond if visible is None else beyond.where(visible))
    most = (how.max_assets + 1) * (how.max_depth + 2 if shallow else 1)
    # Not sorted: so the database stops walking once it has enough. Ids alone: what it compares so often is short.
    ids = dict.fromkeys(conn.scalars(select(everything.c.id).limit(most)))
    return list(islice(ids, how.max_assets + 1))


def _rows(conn: Connection, ids: Sequence[str], visible: ColumnElement[bool]) -> dict[str, Row[Any]]:
    """What is shown of those assets that are visible, in their order."""
    shown: Sequence[Any] = conn.execute(select(*_ASSET).where(among(conn, _a.id, ids), visible)).all()
    rows: dict[str, Row[Any]] = {_ID(row): row for row in shown}
    return {key: rows[key] for key in ids if key in rows}


def _onward(conn: Connection, direction: Direction, met: FromClause) -> tuple[FromClause, ColumnElement[str]]:
    """The links that lead on from the assets met, joined to them, and where each leads."""
    if conn.dialect.name == "postgresql":
        both = [_ALONG["origins"], _ALONG["derived"]]
        ways = [_ALONG[direction]] if direction != "both" else both
        looks = [select(end.label("id")).where(begin == met.c.id) for begin, end in ways]
        # The OFFSET keeps the planner from looking inside: it then takes it that few assets are led to again and
        # again, which is so, and remembers them instead of looking each up once per link.
        links = (union_all(*looks).offset(0) if len(looks) > 1 else looks[0].offset(0)).lateral("links")
        return met.join(links, true()), links.c.id
    if direction != "both":
        begin, end = _ALONG[direction]
        return met.join(t.relationships, begin == met.c.id), end
    onward = case((_r.from_asset_id == met.c.id, _r.to_asset_id), else_=_r.from_asset_id)
    return met.join(t.relationships, or_(_r.from_asset_id == met.c.id, _r.to_asset_id == met.c.id)), onward


def _links_among(conn: Connection, direction: Direction, rows: dict[str, Row[Any]]) -> list[Row[Any]]:
    """The links between assets, oldest first: one more than can be shown, if there are."""
    begin, _ = _ALONG[direction]
    beginning = select(*_LINK).where(among(conn, begin, list(rows))).limit(_MAX_LINKS + 1)
    other = _FROM if direction == "derived" else _TO
    links: Sequence[Any] = conn.execute(beginning).all()
    return sorted((link for link in links if other(link) in rows), key=_AGE)


def _depths(start_id: str, direction: Direction, links: Sequence[Row[Any]]) -> dict[str, int]:
    """How many links away each asset is."""
    onward: dict[str, list[str]] = defaultdict(list)
    for source, origin in map(_ENDS, links):
        if direction != "derived":
            onward[source].append(origin)
        if direction != "origins":
            onward[origin].append(source)
    depths, level, depth = {start_id: 0}, [start_id], 0
    while level:
        depth += 1
        level = list(dict.fromkeys(to for each in level for to in onward[each] if to not in depths))
        depths |= dict.fromkeys(level, depth)
    return depths


def _in_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise invalid(name, f"{value} is not between 1 and {most}")


#: By which end links are looked up, and the other end.
_ALONG: Final = {
    "origins": (_r.from_asset_id, _r.to_asset_id),
    "derived": (_r.to_asset_id, _r.from_asset_id),
    "both": (_r.from_asset_id, _r.to_asset_id),
}
