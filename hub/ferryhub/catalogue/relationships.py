"""Relationships: directed links from a dependent asset to its origin. Walking along them is in `lineage.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, insert, select, tuple_

from ferryhub.catalogue import tables as t
from ferryhub.catalogue import validation
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor, require_scope
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.idempotency import Request, once
from ferryhub.catalogue.paging import Key, Page, cut
from ferryhub.catalogue.reach import Reach, reach_of, sees
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

#: Links that start at the asset (to its origins), that point at it (what was made from it), or both.
Direction = Literal["origins", "derived", "both"]
#: A link's row with `other_*` columns of the other asset, None where the caller may not see it.
LinkRow = Row[Any]

_r = t.relationships.c
_ENDS: Final = {"origins": (_r.from_asset_id, _r.to_asset_id), "derived": (_r.to_asset_id, _r.from_asset_id)}


@dataclass(frozen=True, slots=True)
class NewRelationship:
    """What a caller says about a link to be; assets by id or alias."""

    from_asset_id: str
    to_asset_id: str
    type: str
    analysis_mode: str = ""
    qualifier_note: str = ""
    qualifier_time: str = ""
    qualifiers: Mapping[str, Any] = field(default_factory=dict)


def create(conn: Connection, actor: Actor, new: NewRelationship, *, request_id: str = "") -> LinkRow:
    """Link an asset to its origin; an exact duplicate gives the link that is there. Seen from the dependent asset.

    Needs write on the source and read on the target. Errors: `INVALID_ARGUMENT` (also for a link of an asset to
    itself), `ASSET_NOT_FOUND`, `PERMISSION_DENIED`, `REQUEST_ID_REUSED`, and `RELATIONSHIP_NOT_FOUND` for a repeat
    whose link was deleted since.
    """
    values = _checked(new)
    source = require(conn, actor, new.from_asset_id, "write", noun="asset")
    target = require(conn, actor, new.to_asset_id, "read", noun="asset")
    if source.id == target.id:
        raise validation.invalid("to_asset_id", f"'{new.to_asset_id}' is the same asset; a link needs two")
    values |= {"from_asset_id": source.id, "to_asset_id": target.id}
    request = Request(request_id, "CreateRelationship", values)
    link_id = once(conn, actor, request, lambda: _create(conn, actor, values))
    seen = _seen_from(conn, reach_of(conn, actor), "origins")
    made = conn.execute(seen.where(_r.id == link_id)).first()
    if made is None:
        raise _link_not_found(link_id)
    return made


def listing(
    conn: Connection, actor: Actor, asset_key: str, direction: Direction, page: Page
) -> tuple[Sequence[LinkRow], Key | None]:
    """The links of an asset, oldest first. Error: `ASSET_NOT_FOUND`."""
    asset = require(conn, actor, asset_key, "read", noun="asset")
    ways: tuple[Literal["origins", "derived"], ...] = ("origins", "derived") if direction == "both" else (direction,)
    reach = reach_of(conn, actor)
    # One query per direction, each along its own index; the pages are merged here.
    pages = [conn.execute(_page_of(_seen_from(conn, reach, way), way, asset.id, page)).all() for way in ways]
    rows = list(islice(merge(*pages, key=_key), page.size + 1))
    return cut(rows, page, _key)


def remove(conn: Connection, actor: Actor, relationship_id: str) -> None:
    """Delete a link. Needs write on its source. Errors: `RELATIONSHIP_NOT_FOUND`, `PERMISSION_DENIED`."""
    require_scope(actor, "write")
    source_id = conn.execute(_SOURCE, {"key": relationship_id}).scalar()
    if source_id is None:
        raise _link_not_found(relationship_id)
    try:
        require(conn, actor, source_id, "write", noun="asset")
    except FerryError as error:
        if error.reason != "ASSET_NOT_FOUND":
            raise
        raise _link_not_found(relationship_id) from error
    conn.execute(_DELETE, {"key": relationship_id})


def _checked(new: NewRelationship) -> dict[str, str]:
    return {
        "type": validation.text("type", new.type, longest=validation.MAX_NAME, required=True),
        "analysis_mode": validation.analysis_mode(new.analysis_mode),
        "qualifier_note": validation.text("qualifier_note", new.qualifier_note, longest=validation.MAX_TEXT),
        "qualifier_time": validation.iso_time("qualifier_time", new.qualifier_time),
        "qualifiers": validation.json_object("qualifiers", new.qualifiers),
    }


def _create(conn: Connection, actor: Actor, values: dict[str, str]) -> str:
    fingerprint = hashlib.sha256(json.dumps(_canonical(values), sort_keys=True).encode()).digest()
    same: str | None = conn.execute(_SAME, {"fingerprint": fingerprint}).scalar()
    if same is not None:
        return same
    link_id, made = new_id("rel"), {"created_at": now_us(), "created_by": actor.principal_id}
    conn.execute(_INSERT, {"id": link_id, "fingerprint": fingerprint, **values, **made})
    return link_id


def _canonical(values: dict[str, str]) -> dict[str, object]:
    return {**values, "qualifiers": json.loads(values["qualifiers"])}


def _seen_from(conn: Connection, reach: Reach, way: Literal["origins", "derived"]) -> Select[Any]:
    """Links with the asset at their far end, which shows only when the caller may see it."""
    far, other = _ENDS[way][1], t.assets.alias("other")
    shown = and_(other.c.id == far, sees(conn, reach, other))
    columns = [other.c[name].label(f"other_{name}") for name in ("id", "title", "alias", "latest_content_id")]
    return select(t.relationships, *columns).join_from(t.relationships, other, shown, isouter=True)


def _page_of(seen: Select[Any], way: Literal["origins", "derived"], asset_id: str, page: Page) -> Select[Any]:
    query = seen.where(_ENDS[way][0] == asset_id)
    if page.after is not None:
        query = query.where(tuple_(_r.created_at, _r.id) > tuple_(*page.after))
    return query.order_by(_r.created_at, _r.id).limit(page.size + 1)


def _key(row: LinkRow) -> Key:
    return row.created_at, row.id


def _link_not_found(relationship_id: str) -> FerryError:
    return FerryError(
        "RELATIONSHIP_NOT_FOUND",
        f"there is no relationship '{relationship_id}' that you can see",
        relationshipId=relationship_id,
    )


_INSERT = insert(t.relationships)
_SAME = select(_r.id).where(_r.fingerprint == bindparam("fingerprint"))
_SOURCE = select(_r.from_asset_id).where(_r.id == bindparam("key"))
_DELETE = delete(t.relationships).where(_r.id == bindparam("key"))
