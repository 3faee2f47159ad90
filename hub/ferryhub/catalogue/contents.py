"""Contents: immutable versions of an asset's bytes, made by a commit (upload step 10) and read by downloads (D7).

One transaction makes a content visible: version, files, asset, quota and session together or not at all. Whether the
bytes are in place is the caller's to see to before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from ferryhub.catalogue import sessions
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.assets import new_etag
from ferryhub.catalogue.paging import Key, Page, cut
from ferryhub.catalogue.summary import Summary
from ferryhub.catalogue.validation import invalid
from ferrywire.digest import to_text
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

#: A page of a manifest ends early once it holds this many bytes of part digests.
_PAGE_BYTES: Final = 2 << 20
_KEYS_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class Committed:
    """The content that a commit gave. `is_new` is False when it was there before: then staged bytes are surplus."""

    content: Row[Any]
    is_new: bool


def commit(
    conn: Connection,
    actor: Actor,
    session_id: str,
    summary: Summary,
    *,
    key_of: Callable[[int], str],
    published: bool,
    now_us: int,
) -> Committed | None:
    """Make the content of a session visible, or find the same bytes as the asset's newest content.

    `key_of` names the blob of a file index. None when new bytes are to become visible and were not `published` yet.
    A repeat gives the same content. Errors: `SESSION_NOT_FOUND`, `PERMISSION_DENIED`, `ASSET_NOT_FOUND`.
    """
    session = sessions.find(conn, actor, session_id)
    if session.state == "committed":
        return Committed(_content(conn, session.content_id), False)
    asset = require(conn, actor, session.asset_id, "write", noun="asset")
    # Takes the asset's row lock where there is one, so that versions are counted one after the other.
    conn.execute(_LOCK_ASSET, {"asset": asset.id})
    latest = conn.execute(_LATEST, {"asset": asset.id}).first()
    if latest is not None and latest.digest == to_text(summary.digest):
        _settle(conn, session, latest.id)
        return Committed(latest, False)
    if not published:
        return None
    content_id, version = new_id("cnt"), 1 if latest is None else latest.version + 1
    row = _row(session, summary, version) | {"id": content_id, "created_at": now_us, "created_by": actor.principal_id}
    conn.execute(insert(t.contents), row)
    conn.execute(insert(t.content_files), _file_rows(content_id, summary, key_of))
    _show(conn, actor, session, summary, content_id, now_us)
    _settle(conn, session, content_id)
    conn.execute(_USE, {"allocation": session.allocation_id, "size": summary.size_bytes})
    return Committed(_content(conn, content_id), True)


def get(conn: Connection, actor: Actor, content_id: str) -> Row[Any]:
    """A content by id. Error: `CONTENT_NOT_FOUND`, also when the caller may not see its asset."""
    found = conn.execute(_BY_ID, {"content": content_id}).first()
    if found is None:
        raise _not_found(content_id)
    try:
        require(conn, actor, found.asset_id, "read", noun="asset")
    except FerryError as error:
        if error.reason != "ASSET_NOT_FOUND":
            raise
        raise _not_found(content_id) from error
    return found


def is_newest(conn: Connection, asset_id: str, digest: bytes) -> bool:
    """Whether the asset's newest content has this digest: then a commit needs no bytes published."""
    latest = conn.execute(_LATEST, {"asset": asset_id}).first()
    return latest is not None and latest.digest == to_text(digest)


def find(conn: Connection, content_id: str) -> Row[Any] | None:
    """A content by id, for those who have been let in already; None for an empty id."""
    return conn.execute(_BY_ID, {"content": content_id}).first() if content_id else None


def listing(conn: Connection, actor: Actor, asset_key: str, page: Page) -> tuple[Sequence[Row[Any]], Key | None]:
    """The contents of an asset, newest first. Error: `ASSET_NOT_FOUND`."""
    asset = require(conn, actor, asset_key, "read", noun="asset")
    query = select(t.contents).where(_c.asset_id == asset.id)
    if page.after is not None:
        query = query.where(_c.version < page.after[0])
    rows = conn.execute(query.order_by(_c.version.desc()).limit(page.size + 1)).all()
    return cut(rows, page, lambda row: (row.version,))


def to_download(conn: Connection, actor: Actor, asset_key: str, content_id: str) -> tuple[Row[Any], str]:
    """The content to give out, the asset's newest unless one is named, and the asset's title.

    Errors: `INVALID_ARGUMENT` when neither is named, `ASSET_NOT_FOUND`, `CONTENT_NOT_FOUND` (also when it belongs to
    another asset), `ASSET_NOT_READY`.
    """
    if not asset_key and not content_id:
        raise invalid("asset_id", "give asset_id or content_id")
    content = get(conn, actor, content_id) if content_id else None
    asset = require(conn, actor, asset_key or (content.asset_id if content else ""), "read", noun="asset")
    if content is None:
        if asset.row.state != "ready":
            message = f"the asset '{asset_key}' has no content yet: its first upload is not finished"
            raise FerryError("ASSET_NOT_READY", message, assetId=asset.id)
        content = _content(conn, asset.row.latest_content_id)
    if content.asset_id != asset.id:
        raise _not_found(content_id)
    return content, asset.row.title


def files_page(
    conn: Connection, content_id: str, size: int, after_index: int = -1
) -> tuple[list[Row[Any]], int | None]:
    """The files of a content after an index; fewer than `size` when they carry many part digests.

    Returns the index to go on after, too; None at the end.
    """
    rows: list[Row[Any]] = []
    carried = 0
    this = {"content": content_id, "after": after_index, "limit": size + 1}
    with conn.execute(_FILES, this, execution_options={"yield_per": 100}) as found:
        for row in found:
            if len(rows) == size or carried > _PAGE_BYTES:
                return rows, rows[-1].file_index
            rows.append(row)
            carried += len(row.part_digests) + len(row.path)
    return rows, None


def referenced(conn: Connection, blob_keys: Sequence[str]) -> set[str]:
    """Those of the blobs that some content has."""
    found: set[str] = set()
    # A statement takes some 30,000 values at most.
    for at in range(0, len(blob_keys), _KEYS_AT_ONCE):
        found.update(conn.execute(_REFERENCED, {"keys": list(blob_keys[at : at + _KEYS_AT_ONCE])}).scalars())
    return found


def _row(session: Row[Any], summary: Summary, version: int) -> dict[str, object]:
    return {
        "asset_id": session.asset_id,
        "version": version,
        "digest": to_text(summary.digest),
        "size_bytes": summary.size_bytes,
        "file_count": len(summary.files),
        "message": session.message,
        "storage_location": session.storage_location,
    }


def _file_rows(content_id: str, summary: Summary, key_of: Callable[[int], str]) -> list[dict[str, object]]:
    return [
        {
            "content_id": content_id,
            "file_index": file.file_index,
            "path": file.path,
            "size_bytes": file.size_bytes,
            "digest": file.digest,
            "part_bytes": file.part_bytes,
            "part_digests": file.part_digests,
            "media_type": file.media_type,
            "blob_key": key_of(file.file_index) if file.size_bytes else "",
            "blob_offset": file.pack_offset,
        }
        for file in summary.files
    ]


def _show(conn: Connection, actor: Actor, session: Row[Any], summary: Summary, content_id: str, now_us: int) -> None:
    """Let the asset show the content as its newest."""
    values = {
        "content": content_id,
        "size": summary.size_bytes,
        "count": len(summary.files),
        "tag": new_etag(),
        "now": now_us,
        "me": actor.principal_id,
    }
    conn.execute(_SHOW, {"asset": session.asset_id, **values})


def _settle(conn: Connection, session: Row[Any], content_id: str) -> None:
    if conn.execute(_COMMIT, {"session": session.id, "content": content_id}).rowcount != 1:
        raise sessions.not_found(session.id)
    sessions.release(conn, session)


def _content(conn: Connection, content_id: str) -> Row[Any]:
    return conn.execute(_BY_ID, {"content": content_id}).one()


def _not_found(content_id: str) -> FerryError:
    message = f"there is no content '{content_id}' there that you can see"
    return FerryError("CONTENT_NOT_FOUND", message, contentId=content_id)


_c, _a, _cf = t.contents.c, t.assets.c, t.content_files.c
_BY_ID = select(t.contents).where(_c.id == bindparam("content"))
_LATEST = select(t.contents).where(_c.asset_id == bindparam("asset")).order_by(_c.version.desc()).limit(1)
_LOCK_ASSET = select(_a.id).where(_a.id == bindparam("asset")).with_for_update()
_SHOW = (
    update(t.assets)
    .where(_a.id == bindparam("asset"))
    .values(
        state="ready",
        latest_content_id=bindparam("content"),
        size_bytes=bindparam("size"),
        file_count=bindparam("count"),
        etag=bindparam("tag"),
        updated_at=bindparam("now"),
        updated_by=bindparam("me"),
    )
)
_COMMIT = (
    update(t.upload_sessions)
    .where(t.upload_sessions.c.id == bindparam("session"), t.upload_sessions.c.state == "open")
    .values(state="committed", content_id=bindparam("content"))
)
_USE = (
    update(t.allocations)
    .where(t.allocations.c.id == bindparam("allocation"))
    .values(used_bytes=t.allocations.c.used_bytes + bindparam("size"))
)
_FILES = (
    select(t.content_files)
    .where(_cf.content_id == bindparam("content"), _cf.file_index > bindparam("after"))
    .order_by(_cf.file_index)
    .limit(bindparam("limit"))
)
_REFERENCED = select(_cf.blob_key).where(_cf.blob_key.in_(bindparam("keys", expanding=True))).distinct()
