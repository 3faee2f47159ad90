"""Lineage: everything an asset came from or that was made from it, level by level. Cycles and diamonds are fine.

Assets that the caller may not see are neither shown nor walked through. Drafts count as not visible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require, visible_asset
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.relationships import Direction
from ferryhub.catalogue.validation import invalid

MAX_DEPTH: Final = 100
MAX_ASSETS: Final = 10_000
DEFAULT_ASSETS: Final = 1000
#: Links in one reply at most: some 200 bytes each.
_MAX_LINKS: Final = 50_000
_BATCH: Final = 500

_r = t.relationships.c


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
    found = Lineage({start.id: (start.row, 0)})
    frontier: Collection[str] = [start.id]
    for depth in range(1, how.max_depth + 2):
        links = _links_of(conn, how.direction, frontier, found)
        frontier = _next_level(conn, actor, links, found, depth=depth, how=how)
        found.links |= {link.id: link for link in links if _between(link, found)}
        if not frontier or found.truncated:
            break
    return found


def _links_of(conn: Connection, direction: Direction, frontier: Collection[str], found: Lineage) -> list[Row[Any]]:
    links: dict[str, Row[Any]] = {}
    for ids in _batches(sorted(frontier)):
        for query in _ALONG[direction]:
            room = max(0, _MAX_LINKS - len(found.links) - len(links)) + 1
            links |= {row.id: row for row in conn.execute(query.limit(room), {"ids": ids})}
    if len(links) + len(found.links) > _MAX_LINKS:
        found.truncated = True
    return list(links.values())


def _next_level(
    conn: Connection, actor: Actor, links: Sequence[Row[Any]], found: Lineage, *, depth: int, how: Walk
) -> Collection[str]:
    """Take in the assets one link further on, as far as the limits allow; returns the new ones."""
    ends = dict.fromkeys(end for link in links for end in (link.from_asset_id, link.to_asset_id))
    rows = _visible(conn, actor, [end for end in ends if end not in found.assets])
    if depth > how.max_depth:
        found.truncated = found.truncated or bool(rows)
        return ()
    room = how.max_assets - len(found.assets)
    found.truncated = found.truncated or len(rows) > room
    found.assets |= {row.id: (row, depth) for row in rows[:room]}
    return [row.id for row in rows[:room]]


def _visible(conn: Connection, actor: Actor, asset_ids: Sequence[str]) -> list[Row[Any]]:
    query = select(t.assets).where(t.assets.c.state == "ready", visible_asset(t.assets, actor))
    query = query.where(t.assets.c.id.in_(bindparam("ids", expanding=True))).order_by(t.assets.c.created_at)
    return [row for ids in _batches(asset_ids) for row in conn.execute(query, {"ids": ids})]


def _between(link: Row[Any], found: Lineage) -> bool:
    return link.from_asset_id in found.assets and link.to_asset_id in found.assets


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _in_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise invalid(name, f"{value} is not between 1 and {most}")


def _touching(column: Any) -> Any:
    in_frontier = column.in_(bindparam("ids", expanding=True))
    return select(t.relationships).where(in_frontier).order_by(_r.created_at, _r.id)


_ALONG: Final = {
    "origins": (_touching(_r.from_asset_id),),
    "derived": (_touching(_r.to_asset_id),),
    "both": (_touching(_r.from_asset_id), _touching(_r.to_asset_id)),
}
