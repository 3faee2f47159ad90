"""Lineage: everything an asset came from or that was made from it, level by level. Cycles and diamonds are fine.

One statement a level finds the links, and one what is shown of the assets; where some may not be seen, both are asked
once more. One recursive statement for all levels takes PostgreSQL longer, for the links are looked at again afterwards
(docs/scale.md). Assets that the caller may not see are neither shown nor walked through. Drafts count as not visible.
That something is hidden can be told from the time that an answer takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Row,
    Select,
    bindparam,
    func,
    null,
    or_,
    select,
    union_all,
)

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.reach import among, among_later, as_parameter, reach_of, sees
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
_ID, _COUNT, _AGE, _FROM, _TO = (itemgetter(*places) for places in ((0,), (1,), (1, 0), (2,), (3,)))


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
    # The start they may see, though it may be a draft.
    visible = or_(_a.id == start.id, sees(conn, reach_of(conn, actor), t.assets))
    return _shown(*_seen(conn, start.id, how, visible))


@dataclass(slots=True)
class _Met:
    """What a walk came by."""

    #: How many links away each asset is, nearest first.
    depths: dict[str, int]
    #: Links from one end of each, also to where the walk did not go; one more than can be shown, if there are.
    links: list[Row[Any]] = field(default_factory=list)
    #: How many links were looked at from their other end, when both ways are followed. Where that is more than can be
    #: shown, so are the links of the assets at which they begin, which come with the next level.
    looked_back: int = 0
    #: Assets left out because of `Walk`'s limits: some, if there are any.
    beyond: list[str] = field(default_factory=list)

    @property
    def has_too_many_links(self) -> bool:
        return len(self.links) > _MAX_LINKS

    def take(self, rows: Sequence[Row[Any]], direction: Direction) -> list[str]:
        """Remember what `_links_of` found for a level; returns the assets that are new."""
        end = _FROM if direction == "derived" else _TO
        ends = []
        for row in rows:
            if _ID(row) is None:
                self.looked_back += _COUNT(row)
                ends.append(_FROM(row))
            else:
                self.links.append(row)
                ends.append(end(row))
        return [each for each in dict.fromkeys(ends) if each not in self.depths]

    def go_on(self, new: list[str], depth: int, how: Walk) -> list[str]:
        """The next level: as many of the assets as the limits allow."""
        room = how.max_assets - len(self.depths) if depth <= how.max_depth else 0
        self.beyond = self.beyond or new[room:]
        self.depths |= dict.fromkeys(new[:room], depth)
        return new[:room]


def _seen(conn: Connection, start_id: str, how: Walk, visible: ColumnElement[bool]) -> tuple[_Met, dict[str, Row[Any]]]:
    """What a walk through visible assets meets, and what is shown of them.

    Mostly all that is linked is visible. So the first walk looks at links alone; what it found is thrown away when
    there is an asset among it that the caller may not see.
    """
    dialect = conn.dialect.name
    met = _followed(conn, start_id, how, _made_once(dialect, how.direction))
    # One of those left out is looked at, too: whether there is more must not hang on what is hidden.
    looked_at = [*met.depths, *met.beyond[:1]]
    rows = _rows(conn, looked_at, visible)
    if len(rows) < len(looked_at):
        del met  # it may be large
        met = _followed(conn, start_id, how, _links_of(dialect, how.direction, visible))
        rows = _rows(conn, list(met.depths), visible)
    return met, rows


def _followed(conn: Connection, start_id: str, how: Walk, statement: Select[Any] | CompoundSelect[Any]) -> _Met:
    """Go from level to level. One further than wanted: its links are shown, and tell whether there is more."""
    met, level = _Met({start_id: 0}), [start_id]
    while level and not met.has_too_many_links:
        given = {
            "level": as_parameter(conn.dialect.name, level),
            "most": _MAX_LINKS + 1 - len(met.links),
            "most_back": _MAX_LINKS + 1 - met.looked_back,
        }
        new = met.take(conn.execute(statement, given).all(), how.direction)
        level = met.go_on(new, met.depths[level[0]] + 1, how)
    return met


def _links_of(
    dialect: str, direction: Direction, visible: ColumnElement[bool] | None = None
) -> Select[Any] | CompoundSelect[Any]:
    """So many links of a level, each from one of its ends only; where `visible` is given, those to such assets only.

    When both ways are followed, rows without an id say from which assets links lead here, and how many in the place of
    an age. The links themselves come with the level at whose assets they begin.
    """
    begin, end = (_r.to_asset_id, _r.from_asset_id) if direction == "derived" else (_r.from_asset_id, _r.to_asset_id)
    links = select(*_LINK).where(among_later(dialect, begin, "level"))
    back = select(_r.from_asset_id).where(among_later(dialect, _r.to_asset_id, "level"))
    if visible is not None:
        links = links.join(t.assets, _a.id == end).where(visible)
        back = back.join(t.assets, _a.id == _r.from_asset_id).where(visible)
    links = links.limit(bindparam("most", type_=Integer))
    if direction != "both":
        return links
    led_here = back.limit(bindparam("most_back", type_=Integer)).subquery().c.from_asset_id
    # Each once: PostgreSQL takes longer to send a row than to find it.
    once = select(led_here, func.count().label("times")).group_by(led_here).subquery().c
    told = {_r.from_asset_id: once.from_asset_id, _r.created_at: once.times}
    return union_all(select(links.subquery()), select(*(told.get(column, null()) for column in _LINK)))


#: SQLAlchemy takes eight times as long to make such a statement as to run it.
_made_once: Final = cache(_links_of)


def _rows(conn: Connection, ids: Sequence[str], visible: ColumnElement[bool]) -> dict[str, Row[Any]]:
    """What is shown of those assets that are visible, in their order."""
    shown: Sequence[Any] = conn.execute(select(*_ASSET).where(among(conn, _a.id, ids), visible)).all()
    rows: dict[str, Row[Any]] = {_ID(row): row for row in shown}
    return {key: rows[key] for key in ids if key in rows}


def _shown(met: _Met, rows: dict[str, Row[Any]]) -> Lineage:
    """Oldest first, assets within their level. Where links are too many, some of an asset's may be missing."""
    nearest = sorted(met.depths, key=lambda key: (met.depths[key], rows[key].created_at, key))
    assets = {key: (rows[key], met.depths[key]) for key in nearest}
    found = [link for link in met.links[:_MAX_LINKS] if _FROM(link) in assets and _TO(link) in assets]
    links = {_ID(link): link for link in sorted(found, key=_AGE)}
    return Lineage(assets, links, truncated=bool(met.beyond) or met.has_too_many_links)


def _in_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise invalid(name, f"{value} is not between 1 and {most}")
