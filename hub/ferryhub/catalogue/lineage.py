"""Lineage: everything an asset came from or that was made from it, level by level. Cycles and diamonds are fine.

One statement a level, two where both ways are followed, finds the links, and one what is shown of the assets; where
some may not be seen, all is asked twice. One recursive statement for all levels takes PostgreSQL longer, for the links
are looked at again afterwards (docs/scale.md). Assets that the caller may not see are neither shown nor walked
through. Drafts count as not visible. That something is hidden can be told from the time that an answer takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, bindparam, or_, select

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.reach import among, among_later, reach_of, sees, together
from ferryhub.catalogue.relationships import Direction
from ferryhub.catalogue.validation import invalid

MAX_DEPTH: Final = 100
MAX_ASSETS: Final = 10_000
DEFAULT_ASSETS: Final = 1000
#: Links in one reply at most: some 200 bytes each.
_MAX_LINKS: Final = 50_000

_a, _r = t.assets.c, t.relationships.c
#: What is shown of an asset, and when it was made.
_ASSET: Final = (_a.id, _a.created_at, _a.title, _a.alias, _a.latest_content_id)
#: All of a link but its fingerprint. The first columns are looked at by place: by name takes three times as long.
_LINK: Final = (
    *(_r.id, _r.created_at, _r.from_asset_id, _r.to_asset_id),
    *(_r.type, _r.analysis_mode, _r.qualifier_note, _r.qualifier_time, _r.qualifiers, _r.created_by),
)
_ID, _FROM, _TO = itemgetter(0), itemgetter(2), itemgetter(3)


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
    """Follow the links of an asset. Errors: `ASSET_NOT_FOUND`, `INVALID_ARGUMENT`.

    Mostly all that is linked is visible. So the first walk looks at links alone; what it found is thrown away when
    there is an asset among it that the caller may not see. The start they may see.
    """
    _in_range("max_depth", how.max_depth, MAX_DEPTH)
    _in_range("max_assets", how.max_assets, MAX_ASSETS)
    start = require(conn, actor, asset_key, "read", noun="asset")
    visible = or_(_a.id == start.id, sees(conn, reach_of(conn, actor), t.assets))
    met = _followed(conn, start.id, how)
    # One of those left out is looked at, too: whether there is more must not hang on what is hidden.
    looked_at = [*met.depths, *met.beyond[:1]]
    rows = _rows(conn, looked_at, visible)
    if len(rows) < len(looked_at):
        met = _followed(conn, start.id, how, visible)
        rows = _rows(conn, list(met.depths), visible)
    return _shown(met, rows)


@dataclass(slots=True)
class _Met:
    """What a walk came by."""

    #: How many links away each asset is, nearest first.
    depths: dict[str, int]
    #: All links that lead on from them, also to where the walk did not go.
    links: list[Row[Any]] = field(default_factory=list)
    #: Assets left out because of a limit: some, if there are any.
    beyond: list[str] = field(default_factory=list)


def _followed(conn: Connection, start_id: str, how: Walk, visible: ColumnElement[bool] | None = None) -> _Met:
    """Go from level to level, only to `visible` assets if that is given.

    One level further than wanted: its links are shown, and tell whether there is more.
    """
    looks, met, level = _looks(conn.dialect.name, how.direction), _Met({start_id: 0}), [start_id]
    while level and len(met.links) <= _MAX_LINKS:
        links, ends = looks.onward(conn, level, _MAX_LINKS + 1 - len(met.links))
        met.links += links
        new = list(dict.fromkeys(end for end in ends if end not in met.depths))
        if visible is not None:
            new = list(_rows(conn, new, visible))
        depth = met.depths[level[0]] + 1
        room = how.max_assets - len(met.depths) if depth <= how.max_depth else 0
        level, left_out = new[:room], new[room:]
        met.beyond = met.beyond or left_out
        met.depths |= dict.fromkeys(level, depth)
    return met


@dataclass(frozen=True, slots=True)
class _Looks:
    """What is asked for each level."""

    #: Its links, each from one of its ends only, and the place of the other end.
    links: Select[Any]
    end: Callable[[Row[Any]], str]
    #: What links lead here, when both ways are followed: those links come with the assets at which they begin.
    back: Select[Any] | None

    def onward(self, conn: Connection, level: Sequence[str], most: int) -> tuple[Sequence[Row[Any]], Sequence[str]]:
        """So many links of a level, and where they lead, which may name an asset often."""
        given = {"level": together(conn.dialect.name, level), "most": most}
        links: Sequence[Row[Any]] = conn.execute(self.links, given).all()
        ends = [self.end(link) for link in links]
        if self.back is not None:
            ends += conn.scalars(self.back, given).all()
        return links, ends


@cache
def _looks(dialect: str, direction: Direction) -> _Looks:
    """Made once: SQLAlchemy takes eight times as long to make such a statement as to run it."""
    begin, end = (_r.to_asset_id, _FROM) if direction == "derived" else (_r.from_asset_id, _TO)
    most = bindparam("most", type_=Integer)
    links = select(*_LINK).where(among_later(dialect, begin, "level")).limit(most)
    # Where more than that lead here, their links are too many as well, when it is their turn.
    led_here = select(_r.from_asset_id).where(among_later(dialect, _r.to_asset_id, "level")).limit(_MAX_LINKS + 1)
    # Each once: PostgreSQL takes longer to send a row than to find it.
    back = select(led_here.subquery().c.from_asset_id).distinct()
    return _Looks(links, end, back if direction == "both" else None)


def _rows(conn: Connection, ids: Sequence[str], visible: ColumnElement[bool]) -> dict[str, Row[Any]]:
    """What is shown of those assets that are visible, in their order."""
    shown: Sequence[Any] = conn.execute(select(*_ASSET).where(among(conn, _a.id, ids), visible)).all()
    rows: dict[str, Row[Any]] = {_ID(row): row for row in shown}
    return {key: rows[key] for key in ids if key in rows}


def _shown(met: _Met, rows: dict[str, Row[Any]]) -> Lineage:
    nearest = sorted(met.depths, key=lambda key: (met.depths[key], rows[key].created_at))
    assets = {key: (rows[key], met.depths[key]) for key in nearest}
    links = {_ID(link): link for link in met.links[:_MAX_LINKS] if _FROM(link) in assets and _TO(link) in assets}
    return Lineage(assets, links, truncated=bool(met.beyond) or len(met.links) > _MAX_LINKS)


def _in_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise invalid(name, f"{value} is not between 1 and {most}")
