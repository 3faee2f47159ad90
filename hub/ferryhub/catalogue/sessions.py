"""Upload sessions: what is announced before bytes come, and what is reserved for it (upload step 7).

Opening checks rights, alias and quota; aborting gives everything back. Parts are `parts.py`'s, the commit
`contents.py`'s, bytes the blob store's. Times are microseconds since the epoch and given by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from ferryhub.catalogue import assets, locations, manifest, owners
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import require
from ferryhub.catalogue.actor import Actor, require_scope
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.validation import MAX_REQUEST_ID, invalid, text
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

_MAX_MESSAGE: Final = 1000
#: A session's expiry is put off at most this often, to spare the writer.
_RENEW_EVERY_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a caller wants to upload. `target` is a new asset, or an existing one's id or alias."""

    target: assets.NewAsset | str
    files: Sequence[ManifestFile]
    total_size_bytes: int
    total_file_count: int
    message: str
    request_id: str
    #: A digest of the whole request but its id.
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """How the hub keeps sessions."""

    #: How long a session lives after its last use, in microseconds.
    ttl_us: int
    #: What a user's own allocation gets when it has to be made.
    quota_bytes: int


def open_session(conn: Connection, actor: Actor, new: NewUpload, terms: Terms, now_us: int) -> Row[Any]:
    """Open a session, or find the one that the same request opened. Returns its row, with `file_count`.

    Errors: `REQUEST_ID_REUSED`, `INVALID_ARGUMENT`, `QUOTA_EXCEEDED`, and those of finding or making the asset.
    """
    require_scope(actor, "write")
    text("request_id", new.request_id, longest=MAX_REQUEST_ID, required=True)
    text("message", new.message, longest=_MAX_MESSAGE)
    known = conn.execute(_BY_REQUEST, {"me": actor.principal_id, "request": new.request_id}).first()
    if known is not None:
        return _same_request(conn, known, new)
    manifest.check_totals(new.total_size_bytes, new.total_file_count)
    manifest.check_files(new.files, 0)
    asset = _target(conn, actor, new, terms)
    session_id = new_id("upl")
    allocation = _reserve(conn, asset, new.total_size_bytes)
    files = locations.find(conn, allocation.storage_location).rules.applied(new.files, 0)
    announced = {"total_size_bytes": new.total_size_bytes, "total_file_count": new.total_file_count}
    row = {
        "id": session_id,
        "asset_id": asset.id,
        "new_asset": not isinstance(new.target, str),
        "principal_id": actor.principal_id,
        "request_id": new.request_id,
        "request_fingerprint": new.fingerprint,
        "message": new.message,
        "state": "open",
        "allocation_id": allocation.id,
        "storage_location": allocation.storage_location,
        "expires_at": now_us + terms.ttl_us,
        "created_at": now_us,
    }
    conn.execute(insert(t.upload_sessions), row | announced)
    _insert_files(conn, session_id, 0, files)
    return _checked_totals(conn, session_id)


def add_files(
    conn: Connection, actor: Actor, session_id: str, first_index: int, files: Sequence[ManifestFile]
) -> Row[Any]:
    """Add files to an open session; files it knows already must be the same. Returns the session's row."""
    session = find_open(conn, actor, session_id)
    manifest.check_files(files, first_index)
    files = locations.find(conn, session.storage_location).rules.applied(files, first_index)
    if not 0 <= first_index <= session.file_count:
        raise invalid("first_index", f"{first_index} leaves a gap: the session knows {session.file_count} files")
    known = conn.execute(_FILES_FROM, {"session": session_id, "first": first_index, "count": len(files)}).all()
    for row, file in zip(known, files, strict=False):
        if (row.path, row.size_bytes, row.part_bytes) != (file.path, file.size_bytes, file.part_bytes):
            raise invalid(f"files[{row.file_index}]", f"is '{row.path}' already, with another size or part size")
    more = files[len(known) :]
    _check_new_paths(conn, session_id, more)
    _insert_files(conn, session_id, first_index + len(known), more)
    return _checked_totals(conn, session_id)


def find(conn: Connection, actor: Actor, session_id: str) -> Row[Any]:
    """The caller's session, open or committed, with `file_count`. Error: `SESSION_NOT_FOUND`."""
    require_scope(actor, "write")
    session = conn.execute(_BY_ID, {"session": session_id}).first()
    if session is None or session.principal_id != actor.principal_id or session.state == "aborted":
        raise not_found(session_id)
    return session


def find_open(conn: Connection, actor: Actor, session_id: str) -> Row[Any]:
    """The caller's open session. Errors: `SESSION_NOT_FOUND`, `SESSION_COMMITTED`."""
    session = find(conn, actor, session_id)
    if session.state == "committed":
        raise committed(session_id)
    return session


def require_open(conn: Connection, session_id: str) -> Row[Any]:
    """A session that was the caller's a moment ago, if it is open still. Error: `SESSION_NOT_FOUND`."""
    session = conn.execute(_IF_OPEN, {"session": session_id}).first()
    if session is None:
        raise not_found(session_id)
    return session


def not_found(session_id: str) -> FerryError:
    """The error for a session that is not there, not the caller's, aborted or expired."""
    return FerryError("SESSION_NOT_FOUND", f"there is no open session '{session_id}' of yours", sessionId=session_id)


def committed(session_id: str) -> FerryError:
    """The error for a change to a session that is committed."""
    return FerryError("SESSION_COMMITTED", f"the session '{session_id}' is committed already", sessionId=session_id)


def is_due(session: Row[Any], terms: Terms, now_us: int) -> bool:
    """Whether using the session should put off its expiry: `renew` it then."""
    return bool(session.expires_at < now_us + terms.ttl_us - _RENEW_EVERY_US)


def renew(conn: Connection, session_id: str, expires_at: int) -> None:
    """Put off the expiry of a session."""
    conn.execute(_RENEW, {"session": session_id, "later": expires_at})


def abort(conn: Connection, actor: Actor, session_id: str) -> Row[Any]:
    """Close the caller's session and give back what it held: quota, rows, and the draft asset it made. Returns its row.

    A repeat is fine. Its staged bytes are the caller's to discard afterwards. Errors: `SESSION_NOT_FOUND`,
    `SESSION_COMMITTED`.
    """
    require_scope(actor, "write")
    session = conn.execute(_BY_ID, {"session": session_id}).first()
    if session is None or session.principal_id != actor.principal_id:
        raise not_found(session_id)
    if session.state == "committed":
        raise committed(session_id)
    _abort(conn, session)
    return session


def abort_expired(conn: Connection, session_id: str, now_us: int) -> bool:
    """Close a session that nobody has used for too long. False when it was used meanwhile and is still of use."""
    session = conn.execute(_BY_ID, {"session": session_id}).first()
    if session is None:
        return True
    if session.expires_at >= now_us:
        return False
    _abort(conn, session)
    return True


def _abort(conn: Connection, session: Row[Any]) -> None:
    if conn.execute(_ABORT, {"session": session.id}).rowcount != 1:
        return
    release(conn, session)
    forget_manifest(conn, session.id)
    if session.new_asset:
        _drop_draft(conn, session)


def release(conn: Connection, session: Row[Any]) -> None:
    """Give back the space that a session reserved."""
    conn.execute(_RELEASE, {"allocation": session.allocation_id, "size": session.total_size_bytes})


def forget_manifest(conn: Connection, session_id: str) -> None:
    """Remove the rows of a session's parts and files."""
    conn.execute(_DELETE_PARTS, {"session": session_id})
    conn.execute(_DELETE_FILES, {"session": session_id})


def staged_files(conn: Connection, session_id: str) -> Sequence[tuple[int, int]]:
    """(file index, size in bytes) of the session's files that have bytes."""
    return [(row.file_index, row.size_bytes) for row in conn.execute(_NOT_EMPTY, {"session": session_id})]


def expired(conn: Connection, now_us: int, limit: int, but: Sequence[str] = ()) -> Sequence[Row[Any]]:
    """Sessions past their expiry, whatever their state, `but` for these; the longest past first."""
    return conn.execute(_EXPIRED, {"now": now_us, "limit": limit, "but": list(but)}).all()


def forget(conn: Connection, session_id: str) -> None:
    """Remove a committed or aborted session's rows: from now on a repeat of its request opens a new one."""
    forget_manifest(conn, session_id)
    conn.execute(_DELETE_SETTLED, {"session": session_id})


def open_among(conn: Connection, session_ids: Sequence[str]) -> set[str]:
    """Those of the sessions that are open."""
    return set(conn.execute(_OPEN_AMONG, {"ids": list(session_ids)}).scalars())


def _same_request(conn: Connection, known: Row[Any], new: NewUpload) -> Row[Any]:
    if known.request_fingerprint != new.fingerprint:
        message = f"the request id '{new.request_id}' was used for another upload already"
        raise FerryError("REQUEST_ID_REUSED", message, requestId=new.request_id)
    return conn.execute(_BY_ID, {"session": known.id}).one()


def _target(conn: Connection, actor: Actor, new: NewUpload, terms: Terms) -> Row[Any]:
    if isinstance(new.target, str):
        return require(conn, actor, new.target, "write", noun="asset").row
    return assets.create_draft_asset(conn, actor, new.target, quota_bytes=terms.quota_bytes)


def _reserve(conn: Connection, asset: Row[Any], size_bytes: int) -> Row[Any]:
    """Reserve space in one guarded statement, so that two uploads cannot both take the last of it. Returns the
    allocation."""
    allocation = owners.allocation_of(conn, asset.owner_type, asset.owner_id)
    if conn.execute(_RESERVE, {"allocation": allocation.id, "size": size_bytes}).rowcount != 1:
        free = max(0, allocation.quota_bytes - allocation.used_bytes - allocation.reserved_bytes)
        raise FerryError(
            "QUOTA_EXCEEDED",
            f"the upload needs {size_bytes} bytes and the {asset.owner_type} '{asset.owner_id}' has {free} left",
            freeBytes=free,
            neededBytes=size_bytes,
        )
    return allocation


def _check_new_paths(conn: Connection, session_id: str, files: Sequence[ManifestFile]) -> None:
    path = conn.execute(_KNOWN_PATH, {"session": session_id, "paths": [file.path for file in files]}).scalar()
    if path is not None:
        raise invalid("files", f"the path '{path}' comes twice")


def _insert_files(conn: Connection, session_id: str, first_index: int, files: Sequence[ManifestFile]) -> None:
    if not files:
        return
    rows = [
        {
            "session_id": session_id,
            "file_index": index,
            "path": file.path,
            "size_bytes": file.size_bytes,
            "part_bytes": file.part_bytes,
            "media_type": file.known_media_type(),
        }
        for index, file in enumerate(files, first_index)
    ]
    conn.execute(insert(t.upload_files), rows)


def _checked_totals(conn: Connection, session_id: str) -> Row[Any]:
    """The session's row, once its files so far fit what it announced; a complete manifest is checked as a whole."""
    session = conn.execute(_BY_ID, {"session": session_id}).one()
    size_bytes = conn.execute(_TOTAL_SIZE, {"session": session_id}).scalar_one()
    complete = session.file_count == session.total_file_count
    if session.file_count > session.total_file_count:
        raise invalid("files", f"{session.file_count} files; total_file_count says {session.total_file_count}")
    if size_bytes > session.total_size_bytes or (complete and size_bytes != session.total_size_bytes):
        raise invalid("files", f"hold {size_bytes} bytes; total_size_bytes says {session.total_size_bytes}")
    if complete:
        manifest.check_tree(conn.execute(_PATHS, {"session": session_id}).scalars())
    return session


def _drop_draft(conn: Connection, session: Row[Any]) -> None:
    """Delete the draft the session made, unless another open session fills it: then that one has it."""
    heir = conn.execute(_HEIR, {"asset": session.asset_id}).scalar()
    if heir is None:
        assets.delete_draft_asset(conn, session.asset_id)
    else:
        conn.execute(_HAND_OVER, {"session": heir})


_s, _f, _a = t.upload_sessions.c, t.upload_files.c, t.allocations.c
_FILE_COUNT = select(func.count()).where(_f.session_id == _s.id).scalar_subquery().label("file_count")
_BY_ID = select(t.upload_sessions, _FILE_COUNT).where(_s.id == bindparam("session"))
_IF_OPEN = select(t.upload_sessions).where(_s.id == bindparam("session"), _s.state == "open")
_BY_REQUEST = select(t.upload_sessions).where(
    _s.principal_id == bindparam("me"), _s.request_id == bindparam("request"), _s.state != "aborted"
)
_RENEW = (
    update(t.upload_sessions)
    .where(_s.id == bindparam("session"), _s.state == "open")
    .values(expires_at=bindparam("later"))
)
_ABORT = update(t.upload_sessions).where(_s.id == bindparam("session"), _s.state == "open").values(state="aborted")
_RESERVE = (
    update(t.allocations)
    .where(_a.id == bindparam("allocation"), _a.used_bytes + _a.reserved_bytes + bindparam("size") <= _a.quota_bytes)
    .values(reserved_bytes=_a.reserved_bytes + bindparam("size"))
)
_RELEASE = (
    update(t.allocations)
    .where(_a.id == bindparam("allocation"))
    .values(reserved_bytes=_a.reserved_bytes - bindparam("size"))
)
_FILES_FROM = (
    select(t.upload_files)
    .where(_f.session_id == bindparam("session"), _f.file_index >= bindparam("first"))
    .order_by(_f.file_index)
    .limit(bindparam("count"))
)
_PATHS = select(_f.path).where(_f.session_id == bindparam("session"))
_KNOWN_PATH = (
    select(_f.path)
    .where(_f.session_id == bindparam("session"), _f.path.in_(bindparam("paths", expanding=True)))
    .limit(1)
)
_TOTAL_SIZE = select(func.coalesce(func.sum(_f.size_bytes), 0)).where(_f.session_id == bindparam("session"))
_NOT_EMPTY = (
    select(_f.file_index, _f.size_bytes)
    .where(_f.session_id == bindparam("session"), _f.size_bytes > 0)
    .order_by(_f.file_index)
)
_DELETE_PARTS = delete(t.upload_parts).where(t.upload_parts.c.session_id == bindparam("session"))
_DELETE_FILES = delete(t.upload_files).where(_f.session_id == bindparam("session"))
_DELETE_SETTLED = delete(t.upload_sessions).where(_s.id == bindparam("session"), _s.state != "open")
_EXPIRED = (
    select(t.upload_sessions)
    .where(_s.expires_at < bindparam("now"), _s.id.not_in(bindparam("but", expanding=True)))
    .order_by(_s.expires_at)
    .limit(bindparam("limit"))
)
_OPEN_AMONG = select(_s.id).where(_s.id.in_(bindparam("ids", expanding=True)), _s.state == "open")
_HEIR = select(_s.id).where(_s.asset_id == bindparam("asset"), _s.state == "open").order_by(_s.created_at).limit(1)
_HAND_OVER = update(t.upload_sessions).where(_s.id == bindparam("session")).values(new_asset=True)
