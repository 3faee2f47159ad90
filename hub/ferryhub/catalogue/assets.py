"""Assets: made as drafts when an upload begins (step 7), shown by id or alias, listed when ready, described by people.

Contents are not touched here; making a draft ready is the commit's (step 10).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, tuple_, update

from ferryhub.catalogue import aliases, owners, validation
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import Resource, require
from ferryhub.catalogue.actor import Actor, require_scope
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.newest import newest_visible
from ferryhub.catalogue.paging import Key, Page, cut
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

#: The fields that `update` can change, and what each must be.
_CHECKS: Final[dict[str, Callable[[Any], str]]] = {
    "title": lambda value: validation.text("title", value, longest=validation.MAX_TITLE, required=True),
    "description": lambda value: validation.text("description", value, longest=validation.MAX_TEXT),
    "alias": validation.alias,
    "tags": lambda value: json.dumps(validation.tags(value), ensure_ascii=False),
    "metadata": lambda value: validation.json_object("metadata", value),
}


@dataclass(frozen=True, slots=True)
class NewAsset:
    """What a caller says about an asset to be. `collection_id` empty means the owner's root collection."""

    title: str
    owner_type: str
    owner_id: str
    description: str = ""
    alias: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    collection_id: str = ""


def create_draft_asset(conn: Connection, actor: Actor, new: NewAsset, *, quota_bytes: int) -> Row[Any]:
    """Check everything and add a draft asset with its alias reserved; returns its row of `assets`.

    `quota_bytes` is what a user's own allocation gets if it has to be made. Errors: `INVALID_ARGUMENT`,
    `OWNER_NOT_FOUND`, `COLLECTION_NOT_FOUND`, `PERMISSION_DENIED`, `SCOPE_DENIED`, `ALIAS_TAKEN`.
    """
    require_scope(actor, "write")
    described = {name: check(getattr(new, name)) for name, check in _CHECKS.items()}
    owner = owners.resolve(conn, actor, new.owner_type, new.owner_id, quota_bytes=quota_bytes)
    collection = _home(conn, actor, owner, new.collection_id)
    asset_id, now = new_id("ast"), now_us()
    aliases.claim(conn, described["alias"], asset_id)
    place = {
        "project_id": owner.project_id,
        "owner_type": owner.type,
        "owner_id": owner.id,
        "collection_id": collection,
    }
    made = {"created_at": now, "created_by": actor.principal_id, "updated_at": now, "updated_by": actor.principal_id}
    conn.execute(_INSERT, {"id": asset_id, **described, **place, "state": "draft", "etag": new_etag(), **made})
    return conn.execute(_BY_ID, {"key": asset_id}).one()


def delete_draft_asset(conn: Connection, asset_id: str) -> None:
    """Remove a draft with its alias, links and grants; an asset that is ready stays as it is."""
    if conn.execute(_LOCK_DRAFT, {"key": asset_id}).scalar() is None:
        return
    conn.execute(_DELETE_LINKS, {"key": asset_id})
    conn.execute(_DELETE_GRANTS, {"key": asset_id})
    aliases.release(conn, asset_id)
    conn.execute(_DELETE, {"key": asset_id})


def get(conn: Connection, actor: Actor, key: str) -> Row[Any]:
    """An asset by id or alias. Error: `ASSET_NOT_FOUND`."""
    return require(conn, actor, key, "read", noun="asset").row


def listing(
    conn: Connection, actor: Actor, page: Page, *, project_id: str = "", collection_id: str = ""
) -> tuple[Sequence[Row[Any]], Key | None]:
    """Ready assets that the caller can see, newest first, all or those of a project and of a collection."""
    require_scope(actor, "read")
    if not project_id and not collection_id:
        return cut(newest_visible(conn, actor, page), page, _key)
    query = select(t.assets).where(t.assets.c.state == "ready")
    if project_id:
        project = require(conn, actor, project_id, "read", noun="project")
        query = query.where(t.assets.c.project_id == project.id)
    if collection_id:
        collection = require(conn, actor, collection_id, "read", noun="collection")
        query = query.where(t.assets.c.collection_id == collection.id)
    if page.after is not None:
        query = query.where(tuple_(t.assets.c.created_at, t.assets.c.id) < tuple_(*page.after))
    newest_first = query.order_by(t.assets.c.created_at.desc(), t.assets.c.id.desc())
    rows = conn.execute(newest_first.limit(page.size + 1)).all()
    return cut(rows, page, _key)


def update_asset(conn: Connection, actor: Actor, key: str, changes: Mapping[str, Any], *, etag: str = "") -> Row[Any]:
    """Change the named fields and no others; an empty value clears its field (a title must not be empty).

    Errors: `UNKNOWN_FIELD`, `INVALID_ARGUMENT`, `ASSET_NOT_FOUND`, `PERMISSION_DENIED`, `ALIAS_TAKEN`, and
    `ETAG_MISMATCH` when `etag` is given and the asset has changed since.
    """
    checks = {name: _check(name) for name in changes}  # an unknown field is said before a bad value
    values: dict[str, Any] = {name: checks[name](value) for name, value in changes.items()}
    if not values:
        raise validation.invalid("update_mask", f"names no field; the fields are {', '.join(_CHECKS)}")
    asset = require(conn, actor, key, "write", noun="asset")
    if etag and etag != asset.row.etag:
        raise _changed_since(asset)
    _move_alias(conn, asset, values.get("alias"))
    values |= {"etag": new_etag(), "updated_at": now_us(), "updated_by": actor.principal_id}
    unchanged = (t.assets.c.id == asset.id, t.assets.c.etag == asset.row.etag)
    if conn.execute(update(t.assets).where(*unchanged).values(values)).rowcount != 1:
        raise _changed_since(asset)
    return conn.execute(_BY_ID, {"key": asset.id}).one()


def new_etag() -> str:
    """A new value for `assets.etag`; every change of the row takes one."""
    return secrets.token_hex(8)


def _key(row: Row[Any]) -> Key:
    return row.created_at, row.id


def _home(conn: Connection, actor: Actor, owner: owners.Owner, collection_id: str) -> str:
    collection = require(conn, actor, collection_id or owner.root_collection_id, "write", noun="collection")
    if (collection.row.owner_type, collection.row.owner_id) != (owner.type, owner.id):
        raise validation.invalid(
            "collection_id",
            f"'{collection_id}' does not belong to the {owner.type} '{owner.id}', which shall own the asset",
        )
    return collection.id


def _check(name: str) -> Callable[[Any], str]:
    if name not in _CHECKS:
        known = ", ".join(_CHECKS)
        raise FerryError(
            "UNKNOWN_FIELD", f"an asset has no field '{name}' to change; the fields are {known}", field=name
        )
    return _CHECKS[name]


def _move_alias(conn: Connection, asset: Resource, alias: str | None) -> None:
    if alias is None or alias == asset.row.alias:
        return
    aliases.release(conn, asset.id)
    aliases.claim(conn, alias, asset.id)


def _changed_since(asset: Resource) -> FerryError:
    return FerryError("ETAG_MISMATCH", f"the asset '{asset.id}' has changed since you read it", assetId=asset.id)


_INSERT = insert(t.assets)
_BY_ID = select(t.assets).where(t.assets.c.id == bindparam("key"))
_LOCK_DRAFT = (
    select(t.assets.c.id).where(t.assets.c.id == bindparam("key"), t.assets.c.state == "draft").with_for_update()
)
_DELETE_LINKS = delete(t.relationships).where(
    or_(t.relationships.c.from_asset_id == bindparam("key"), t.relationships.c.to_asset_id == bindparam("key"))
)
_DELETE_GRANTS = delete(t.grants).where(t.grants.c.resource_id == bindparam("key"))
_DELETE = delete(t.assets).where(t.assets.c.id == bindparam("key"), t.assets.c.state == "draft")
