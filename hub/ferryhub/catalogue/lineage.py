"""Lineage: everything an asset came from or that was made from it, level by level. Cycles and diamonds are fine.

One statement finds the assets, two more fetch them and the links between them, however deep they lie. Assets that the
caller may not see are neither shown nor walked through. Drafts count as not visible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, literal, or_, select

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.columns import Text
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


@dataclass(frozen=True, slots=True)
class Walk:
    """How far to go."""

    direction: Direction = "origins"
    max_depth: int = MAX_DEPTH
    max_assets: int = DEFAULT_ASSETS


@dataclass(slots=True)
class Lineage:
    """What a walk found: asset rows with their depth, nearest first, and the links between them."""

    assets: dict[str, tuple[Row[Any], int]] = field(default_factory=dict)
    links: dict[str, Row[Any]] = field(default_factory=dict)
    truncated: bool = False


def walk(conn: Connection, actor: Actor, asset_key: str, how: Walk) -> Lineage:
    """Follow the links of an asset. Errors: `ASSET_NOT_FOUND`, `INVALID_ARGUMENT`."""
    _in_range("max_depth", how.max_depth, MAX_DEPTH)
    _in_range("max_assets", how.max_assets, MAX_ASSETS)
    start = require(conn, actor, asset_key, "read", noun="asset")
    ids = _reachable(conn, actor, start.id, how)
    found_rows = conn.execute(select(t.assets).where(among(conn, _a.id, ids)))
    rows = {row.id: row for row in found_rows} | {start.id: start.row}
    links = _links_among(conn, how.direction, rows)
    depths = _depths(start.id, how.direction, links)
    nearest = sorted((key for key in rows if key in depths), key=lambda key: (depths[key], rows[key].created_at))
    shown = [key for key in nearest if depths[key] <= how.max_depth][: how.max_assets]
    found = Lineage({key: (rows[key], depths[key]) for key in shown})
    found.links = {link.id: link for link in links[:_MAX_LINKS] if _between(link, found)}
    found.truncated = len(shown) < len(rows) or len(links) > _MAX_LINKS
    return found


def _reachable(conn: Connection, actor: Actor, start_id: str, how: Walk) -> list[str]:
    """The ids of visible assets that links lead to, nearest first: one more than wanted, one level more, if there are.

    `UNION` keeps what was met before from being walked from again.
    """
    shallow = how.max_depth <= _SHALLOW
    met = select(literal(start_id, Text()).label("id"), literal(0).label("depth")).cte("met", recursive=True)
    follow, other = _step(how.direction, met.c.id)
    onward = (
        select(_a.id, met.c.depth + (1 if shallow else 0))
        .select_from(met.join(t.relationships, follow).join(t.assets, _a.id == other))
        .where(sees(conn, reach_of(conn, actor), t.assets))
        .where(met.c.depth <= how.max_depth)
    )
    everything = met.union(onward)
    most = (how.max_assets + 1) * (how.max_depth + 2 if shallow else 1)
    # Not sorted: so the database stops walking once it has enough.
    ids = conn.execute(select(everything.c.id).limit(most)).scalars()
    return list(islice(dict.fromkeys(ids), how.max_assets + 1))


def _step(direction: Direction, at: ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[str]]:
    """Which links lead on from an asset, and where to."""
    if direction == "origins":
        return _r.from_asset_id == at, _r.to_asset_id
    if direction == "derived":
        return _r.to_asset_id == at, _r.from_asset_id
    onward = case((_r.from_asset_id == at, _r.to_asset_id), else_=_r.from_asset_id)
    return or_(_r.from_asset_id == at, _r.to_asset_id == at), onward


def _links_among(conn: Connection, direction: Direction, rows: dict[str, Row[Any]]) -> list[Row[Any]]:
    """The links between assets, oldest first: one more than can be shown, if there are."""
    begin, end = _ALONG[direction]
    beginning = select(t.relationships).where(among(conn, begin, list(rows))).limit(_MAX_LINKS + 1)
    other = attrgetter(end.name)
    links = [link for link in conn.execute(beginning).all() if other(link) in rows]
    return sorted(links, key=lambda link: (link.created_at, link.id))


def _depths(start_id: str, direction: Direction, links: Sequence[Row[Any]]) -> dict[str, int]:
    """How many links away each asset is."""
    onward: dict[str, list[str]] = defaultdict(list)
    for link in links:
        if direction != "derived":
            onward[link.from_asset_id].append(link.to_asset_id)
        if direction != "origins":
            onward[link.to_asset_id].append(link.from_asset_id)
    depths, level = {start_id: 0}, [start_id]
    while level:
        level = list(dict.fromkeys(to for each in level for to in onward[each] if to not in depths))
        depths |= dict.fromkeys(level, max(depths.values()) + 1)
    return depths


def _between(link: Row[Any], found: Lineage) -> bool:
    return link.from_asset_id in found.assets and link.to_asset_id in found.assets


def _in_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise invalid(name, f"{value} is not between 1 and {most}")


#: By which end links are looked up, and the other end.
_ALONG: Final = {
    "origins": (_r.from_asset_id, _r.to_asset_id),
    "derived": (_r.to_asset_id, _r.from_asset_id),
    "both": (_r.from_asset_id, _r.to_asset_id),
}
