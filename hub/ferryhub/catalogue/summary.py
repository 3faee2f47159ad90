"""What a session holds, file by file, from the digests of its stored blocks: the check before a commit (step 10).

Reads rows in order, a few at a time. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from ferryhub.catalogue import parts
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.validation import invalid
from ferrywire.digest import DIGEST_BYTES, of_blocks, of_manifest, to_text
from ferrywire.parts import CRC_BYTES, part_count
from ferrywire.reasons import FerryError

_FILES = (
    select(t.upload_files)
    .where(t.upload_files.c.session_id == bindparam("session"))
    .order_by(t.upload_files.c.file_index)
)


@dataclass(frozen=True, slots=True)
class FileSummary:
    """A file whose parts are all stored. Digests are raw."""

    file_index: int
    path: str
    size_bytes: int
    part_bytes: int
    media_type: str
    digest: bytes
    part_digests: bytes
    #: CRC-64/NVME of each part, 8 bytes each; empty when not all are known.
    part_crcs: bytes
    #: The store's own name for the upload of the file; empty when it needs none.
    store_upload_id: str
    #: The pack that its only part came in, and where in it; empty when it came by itself.
    pack: str = ""
    pack_offset: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """All files of a session, and the digest of the content they make."""

    files: tuple[FileSummary, ...]
    size_bytes: int
    digest: bytes


def summarise(conn: Connection, session: Row[Any], file_digests: bytes) -> Summary:
    """Check that a session is complete and holds what its sender says. `file_digests` are in manifest order.

    Errors: `INVALID_ARGUMENT` when the manifest is not whole, `PARTS_MISSING`, `DIGEST_MISMATCH`.
    """
    if session.file_count != session.total_file_count:
        raise invalid("session_id", f"{session.file_count} of {session.total_file_count} files were announced")
    if len(file_digests) != session.file_count * DIGEST_BYTES:
        raise invalid("file_digests", f"{len(file_digests)} bytes are not {DIGEST_BYTES} for each of the files")
    files, missing = [], 0
    for file, stored in _with_parts(conn, session.id):
        summary, lacking = _summarise_file(file, stored)
        files.append(summary)
        missing += lacking
    if missing:
        raise FerryError("PARTS_MISSING", f"{missing} parts have not arrived", missingCount=missing)
    _compare(files, file_digests)
    whole = of_manifest((file.path, file.size_bytes, file.digest) for file in files)
    return Summary(tuple(files), sum(file.size_bytes for file in files), whole)


def _with_parts(conn: Connection, session_id: str) -> Iterator[tuple[Row[Any], Iterator[Row[Any]]]]:
    """Each file with its stored parts, which must be read before the next file: both come in one order."""
    groups = groupby(parts.stream(conn, session_id), key=lambda part: part.file_index)
    index, stored = next(groups, (-1, iter(())))
    for file in conn.execute(_FILES, {"session": session_id}).all():
        if file.file_index != index:
            yield file, iter(())
            continue
        yield file, stored
        index, stored = next(groups, (-1, iter(())))


def _summarise_file(file: Row[Any], stored: Iterator[Row[Any]]) -> tuple[FileSummary, int]:
    """The summary of a file, and how many of its parts are missing. Block digests are not kept."""
    part_digests, part_crcs = bytearray(), bytearray()
    pack, pack_offset = "", 0

    def blocks() -> Iterator[bytes]:
        nonlocal pack, pack_offset
        for part in stored:
            pack, pack_offset = part.pack, part.pack_offset
            part_digests.extend(part.digest)
            part_crcs.extend(part.crc64nvme or b"")
            yield part.block_digests

    digest = of_blocks(blocks())
    stored_count = len(part_digests) // DIGEST_BYTES
    kept = FileSummary(
        file_index=file.file_index,
        path=file.path,
        size_bytes=file.size_bytes,
        part_bytes=file.part_bytes,
        media_type=file.media_type,
        digest=digest,
        part_digests=bytes(part_digests),
        part_crcs=bytes(part_crcs) if len(part_crcs) == stored_count * CRC_BYTES else b"",
        store_upload_id=file.store_upload_id,
        pack=pack,
        pack_offset=pack_offset,
    )
    return kept, part_count(file.size_bytes, file.part_bytes) - stored_count


def _compare(files: list[FileSummary], file_digests: bytes) -> None:
    for at, file in enumerate(files):
        given = file_digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
        if given != file.digest:
            raise FerryError(
                "DIGEST_MISMATCH",
                f"what arrived of '{file.path}' has another digest than the sender says",
                path=file.path,
                expected=to_text(given),
                actual=to_text(file.digest),
            )
