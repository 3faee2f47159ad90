"""The parts that the hub has durably stored, one row each: the truth that an upload resumes from (step 8).

A row is written after its bytes are durable, and removed before they are overwritten. Bytes are the blob store's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from ferryhub.catalogue import packs, sessions
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.paging import Key
from ferryhub.catalogue.validation import invalid
from ferrywire.digest import BLOCK_BYTES, DIGEST_BYTES, of_blocks
from ferrywire.parts import part_count, part_span
from ferrywire.reasons import FerryError

#: A page ends early once it holds this many bytes of block digests.
_PAGE_BYTES: Final = 2 << 20
#: Rows are fetched so many at a time. Given per statement: on a connection it would stay for the ones that follow.
_FEW: Final = {"yield_per": 100}


@dataclass(frozen=True, slots=True)
class Part:
    """A part as a caller names it. Digests are raw."""

    file_index: int
    part_number: int
    digest: bytes
    block_digests: bytes = b""
    #: 8 bytes, where the store checks it; else empty.
    crc64nvme: bytes = b""
    #: The pack that it came in, and where in it; empty when it came by itself.
    pack: str = ""
    pack_offset: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a part goes, and what is known of it."""

    file_index: int
    part_number: int
    file_size_bytes: int
    offset: int
    size_bytes: int
    #: What the recorded part's digest is; None when it is not stored.
    recorded: bytes | None
    #: Some part of the file is stored.
    file_begun: bool
    part_bytes: int
    #: The store's own name for the file's upload; empty when it has none yet.
    store_upload_id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Names a part of a session."""

    file_index: int
    part_number: int


def slot(conn: Connection, session_id: str, file_index: int, part_number: int) -> Slot:
    """Where a part of an open session goes. Errors: `SESSION_NOT_FOUND`, `INVALID_ARGUMENT`."""
    found = conn.execute(_SLOT, {"session": session_id, "file": file_index, "part": part_number}).first()
    if found is None:
        raise sessions.not_found(session_id)
    return _slot(found, file_index, part_number)


def slots(conn: Connection, session_id: str, wanted: Sequence[Part]) -> list[Slot]:
    """Where parts go, in the order asked for. Error: `INVALID_ARGUMENT` for a part that no file has."""
    files = {row.file_index: row for row in conn.execute(_FILES_AMONG, _among(session_id, wanted))}
    stored = {
        (row.file_index, row.part_number): row.digest for row in conn.execute(_PARTS_AMONG, _among(session_id, wanted))
    }
    begun = {file_index for file_index, _ in stored}
    found = []
    for part in wanted:
        if part.file_index not in files:
            raise invalid("parts", f"the session has no file {part.file_index}")
        file = files[part.file_index]
        span = _span(file, part.file_index, part.part_number)
        recorded = stored.get((part.file_index, part.part_number))
        found.append(
            Slot(
                part.file_index,
                part.part_number,
                file.size_bytes,
                *span,
                recorded,
                part.file_index in begun,
                file.part_bytes,
                file.store_upload_id,
            )
        )
    return found


def check_digests(parts: Sequence[Part], places: Sequence[Slot]) -> None:
    """Check that each part's block digests are as many as its bytes need and give its digest. `CHUNK_CORRUPT`."""
    for part, place in zip(parts, places, strict=True):
        wanted = part_count(place.size_bytes, BLOCK_BYTES) * DIGEST_BYTES
        if len(part.block_digests) != wanted or of_blocks(part.block_digests) != part.digest:
            raise FerryError(
                "CHUNK_CORRUPT",
                f"the block digests of part {part.part_number} of file {part.file_index} do not give its digest",
                partNumber=part.part_number,
                fileIndex=part.file_index,
            )


def record(conn: Connection, session_id: str, parts: Sequence[Part], now_us: int, expires_at: int) -> None:
    """Write that parts are stored, in place of what was known of them, and put off the session's expiry.

    Error: `SESSION_NOT_FOUND` when the session was settled meanwhile.
    """
    if conn.execute(_OPEN, {"session": session_id, "later": expires_at}).rowcount != 1:
        raise sessions.not_found(session_id)
    forget(conn, session_id, parts)
    rows = [
        {
            "session_id": session_id,
            "file_index": part.file_index,
            "part_number": part.part_number,
            "digest": part.digest,
            "block_digests": part.block_digests,
            "stored_at": now_us,
            "crc64nvme": part.crc64nvme or None,
            "pack": part.pack,
            "pack_offset": part.pack_offset,
        }
        for part in parts
    ]
    conn.execute(insert(t.upload_parts), rows)


def forget(conn: Connection, session_id: str, parts: Sequence[Part] | Sequence[Slot] | Sequence[Place]) -> None:
    """Remove the rows of parts that are about to be overwritten, or that turned out not to be there."""
    keys = [{"session": session_id, "file": part.file_index, "part": part.part_number} for part in parts]
    conn.execute(_FORGET, keys)


def forget_files(conn: Connection, session_id: str, file_indexes: Sequence[int]) -> None:
    """Remove all part rows of files whose bytes turned out not to be there; their upload at the store begins anew."""
    keys = [{"session": session_id, "file": index} for index in file_indexes]
    conn.execute(_FORGET_FILE, keys)
    conn.execute(_FORGET_UPLOAD, [{"the_session": key["session"], "the_file": key["file"]} for key in keys])


def forget_packs(conn: Connection, session_id: str, names: Sequence[str]) -> int:
    """Remove the rows of parts in packs that are about to be overwritten or turned out not to be there; returns how
    many."""
    return sum(conn.execute(_FORGET_PACK, _in_pack(session_id, name)).rowcount for name in names)


def has_pack(conn: Connection, session_id: str, pack: str) -> bool:
    """Whether a row says that a part is in this pack."""
    return conn.execute(_HAS_PACK, _in_pack(session_id, pack)).first() is not None


def begun(conn: Connection, session_id: str) -> Sequence[Row[Any]]:
    """The files of which the store has something of their own, or should have, each with the number of its `stored`
    parts."""
    return conn.execute(_BEGUN_FILES, {"session": session_id}).all()


def packs_of(conn: Connection, session_id: str) -> list[str]:
    """The packs that parts are stored in."""
    return list(conn.execute(_PACKS, {"session": session_id}).scalars())


def upload_of(conn: Connection, session_id: str, file_index: int) -> str:
    """The store's name for the upload of a file; empty when there is none."""
    found: str | None = conn.execute(_UPLOAD, {"session": session_id, "file": file_index}).scalar()
    return found or ""


def adopt_upload(conn: Connection, session_id: str, file_index: int, upload_id: str) -> str:
    """Remember the store's name for the upload of a file, unless there is one; returns the one that counts.

    Error: `SESSION_NOT_FOUND` when the session was settled meanwhile.
    """
    conn.execute(_ADOPT, {"the_session": session_id, "the_file": file_index, "upload": upload_id})
    found = upload_of(conn, session_id, file_index)
    if not found:
        raise sessions.not_found(session_id)
    return found


def page(conn: Connection, session_id: str, size: int, after: Key | None) -> tuple[list[Row[Any]], Key | None]:
    """The stored parts after a (file index, part number), in order; fewer than `size` when they carry much."""
    after = (-1, 0) if after is None else after
    rows: list[Row[Any]] = []
    carried = 0
    this = {"session": session_id, "after_file": after[0], "after_part": after[1], "limit": size + 1}
    with conn.execute(_PAGE, this, execution_options=_FEW) as found:
        for row in found:
            if len(rows) == size or carried > _PAGE_BYTES:
                return rows, (rows[-1].file_index, rows[-1].part_number)
            rows.append(row)
            carried += len(row.block_digests)
    return rows, None


def stream(conn: Connection, session_id: str) -> Iterator[Row[Any]]:
    """Every stored part in order, a few at a time: block digests of a large content do not fit in memory."""
    return iter(conn.execute(_ALL, {"session": session_id}, execution_options=_FEW))


def _in_pack(session_id: str, pack: str) -> dict[str, object]:
    first, last = packs.indexes_of(pack)
    return {"session": session_id, "pack": pack, "first": first, "last": last}


def _slot(found: Row[Any], file_index: int, part_number: int) -> Slot:
    if found.size_bytes is None:
        raise invalid("file_index", f"the session has no file {file_index}")
    span = _span(found, file_index, part_number)
    return Slot(
        file_index,
        part_number,
        found.size_bytes,
        *span,
        found.digest,
        found.begun,
        found.part_bytes,
        found.store_upload_id,
    )


def _span(file: Row[Any], file_index: int, part_number: int) -> tuple[int, int]:
    count = part_count(file.size_bytes, file.part_bytes)
    if not 1 <= part_number <= count:
        raise invalid("part_number", f"{part_number} is not between 1 and {count}, the parts of file {file_index}")
    return part_span(file.size_bytes, file.part_bytes, part_number)


def _among(session_id: str, wanted: Sequence[Part]) -> dict[str, object]:
    return {"session": session_id, "files": sorted({part.file_index for part in wanted})}


_s, _f, _p = t.upload_sessions.c, t.upload_files.c, t.upload_parts.c
_BEGUN = select(literal(1)).where(_p.session_id == bindparam("session"), _p.file_index == bindparam("file")).exists()
_SLOT = (
    select(_f.size_bytes, _f.part_bytes, _f.store_upload_id, _p.digest, _BEGUN.label("begun"))
    .select_from(
        t.upload_sessions.outerjoin(
            t.upload_files, and_(_f.session_id == _s.id, _f.file_index == bindparam("file"))
        ).outerjoin(
            t.upload_parts,
            and_(_p.session_id == _s.id, _p.file_index == _f.file_index, _p.part_number == bindparam("part")),
        )
    )
    .where(_s.id == bindparam("session"), _s.state == "open")
)
_FILES_AMONG = select(t.upload_files).where(
    _f.session_id == bindparam("session"), _f.file_index.in_(bindparam("files", expanding=True))
)
_PARTS_AMONG = select(_p.file_index, _p.part_number, _p.digest).where(
    _p.session_id == bindparam("session"), _p.file_index.in_(bindparam("files", expanding=True))
)
_OPEN = (
    t.upload_sessions.update()
    .where(_s.id == bindparam("session"), _s.state == "open")
    .values(expires_at=bindparam("later"))
)
_FORGET = delete(t.upload_parts).where(
    _p.session_id == bindparam("session"), _p.file_index == bindparam("file"), _p.part_number == bindparam("part")
)
_FORGET_FILE = delete(t.upload_parts).where(_p.session_id == bindparam("session"), _p.file_index == bindparam("file"))
#: Of the index the rows between two files are read, and no others of the session.
_IN_PACK = and_(
    _p.session_id == bindparam("session"),
    _p.file_index.between(bindparam("first"), bindparam("last")),
    _p.pack == bindparam("pack"),
)
_FORGET_PACK = delete(t.upload_parts).where(_IN_PACK)
_HAS_PACK = select(literal(1)).where(_IN_PACK).limit(1)
_PACKS = select(_p.pack).where(_p.session_id == bindparam("session"), _p.pack != "").distinct()
_FORGET_UPLOAD = (
    update(t.upload_files)
    .where(_f.session_id == bindparam("the_session"), _f.file_index == bindparam("the_file"))
    .values(store_upload_id="")
)
_STORED = (
    select(func.count())
    .where(_p.session_id == _f.session_id, _p.file_index == _f.file_index)
    .scalar_subquery()
    .label("stored")
)
_BEGUN_FILES: Select[Any] = (
    select(_f.file_index, _f.size_bytes, _f.part_bytes, _f.store_upload_id, _STORED)
    .where(
        _f.session_id == bindparam("session"),
        or_(
            _f.store_upload_id != "",
            select(literal(1))
            .where(_p.session_id == _f.session_id, _p.file_index == _f.file_index, _p.pack == "")
            .exists(),
        ),
    )
    .order_by(_f.file_index)
)
_OPEN_SESSION = select(literal(1)).where(_s.id == bindparam("the_session"), _s.state == "open").exists()
_ADOPT = (
    update(t.upload_files)
    .where(
        _f.session_id == bindparam("the_session"),
        _f.file_index == bindparam("the_file"),
        _f.store_upload_id == "",
        _OPEN_SESSION,
    )
    .values(store_upload_id=bindparam("upload"))
)
_UPLOAD = select(_f.store_upload_id).where(_f.session_id == bindparam("session"), _f.file_index == bindparam("file"))
_IN_ORDER = select(t.upload_parts).where(_p.session_id == bindparam("session")).order_by(_p.file_index, _p.part_number)
_PAGE = _IN_ORDER.where(
    tuple_(_p.file_index, _p.part_number) > tuple_(bindparam("after_file"), bindparam("after_part"))
).limit(bindparam("limit"))
_ALL = _IN_ORDER
