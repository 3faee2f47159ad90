"""Upload sessions as a whole: rows in the catalogue, bytes in the store, and the order between the two.

Upload steps 7, 8 and 10. The order: bytes durable → part row; blobs published → content row → staging discarded.
Whatever is left behind when that is cut short, a repeat completes or the sweep removes. No SQL, no protobuf here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row

from ferryhub.blobs.crc64 import joined
from ferryhub.blobs.gate import PartGate
from ferryhub.blobs.locations import Location
from ferryhub.blobs.places import Place, Places
from ferryhub.blobs.store import Gap, StagedFile
from ferryhub.catalogue import contents, parts, sessions
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import PartRules
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.packs import packed, size_of
from ferryhub.catalogue.paging import Page
from ferryhub.catalogue.parts import Part, Slot
from ferryhub.catalogue.sessions import NewUpload, Terms
from ferryhub.catalogue.summary import FileSummary, Summary, summarise
from ferryhub.catalogue.validation import invalid
from ferrywire.digest import DIGEST_BYTES
from ferrywire.parts import CRC_BYTES, part_count, part_span
from ferrywire.reasons import FerryError

MAX_PARTS_PER_CALL: Final = 1000
_log = logging.getLogger(__name__)


class Uploads:
    """What ContentService does with sessions. `now_us` is the clock."""

    def __init__(
        self, database: Database, places: Places, *, gate: PartGate, terms: Terms, now_us: Callable[[], int]
    ) -> None:
        self._database = database
        self._places = places
        self._gate = gate
        self._terms = terms
        self._now_us = now_us

    async def rules(self, session: Row[Any]) -> PartRules:
        """What the location of a session asks of parts."""
        return (await self._places.get(session.storage_location)).rules

    async def create(self, actor: Actor, new: NewUpload) -> Row[Any]:
        """Open a session or find the one this request opened; see `sessions.open_session`."""
        return await self._renewed(
            await self._database.write(sessions.open_session, actor, new, self._terms, self._now_us())
        )

    async def add_files(
        self, actor: Actor, session_id: str, first_index: int, files: Sequence[ManifestFile]
    ) -> Row[Any]:
        """Add files to the manifest; see `sessions.add_files`."""
        session = await self._database.write(sessions.add_files, actor, session_id, first_index, files)
        return await self._renewed(session)

    async def sign_parts(
        self, actor: Actor, session_id: str, wanted: Sequence[Part], *, accept_files: bool
    ) -> list[Location]:
        """Where to put parts, in order. Errors: `SESSION_NOT_FOUND`, `SESSION_COMMITTED`, `INVALID_ARGUMENT`."""
        place, slots = await self._to_sign(actor, session_id, wanted)
        return await place.sign(session_id, wanted, slots, accept_files=accept_files)

    async def sign_pack(
        self, actor: Actor, session_id: str, wanted: Sequence[Part], crc64nvme: bytes, *, accept_files: bool
    ) -> Location:
        """Where to put a pack of these parts; `crc64nvme` is of all its bytes. Errors: as `sign_parts`."""
        place, slots = await self._to_sign(actor, session_id, wanted)
        pack = packed(wanted, slots, crc64nvme, place.rules)
        return await place.sign_pack(session_id, pack, accept_files=accept_files)

    async def _to_sign(self, actor: Actor, session_id: str, wanted: Sequence[Part]) -> tuple[Place, list[Slot]]:
        """Where parts go, in an open session, which this renews."""
        _check_parts(wanted)
        session, slots = await self._database.read(_session_and_slots, actor, session_id, wanted)
        await self._renewed(session)
        return await self._places.get(session.storage_location), slots

    async def record_parts(
        self, actor: Actor, session_id: str, given: Sequence[Part], pack_crc64nvme: bytes | None = None
    ) -> None:
        """Record parts that the caller brought to where the hub does not see them arrive, and that are durable there;
        with the CRC of their pack, which may be empty, when they are one.

        Errors: `SESSION_NOT_FOUND`, `CHUNK_CORRUPT` when digests do not fit or the file is not there,
        `INVALID_ARGUMENT` where the hub sees parts arrive: then it believes only what it received itself.
        """
        _check_parts(given)
        session, slots = await self._database.read(_session_and_slots, actor, session_id, given)
        parts.check_digests(given, slots)
        place = await self._places.get(session.storage_location)

        async def write(stored: Sequence[Part]) -> None:
            now = self._now_us()
            await self._database.write(parts.record, session_id, stored, now, now + self._terms.ttl_us)

        if pack_crc64nvme is None:
            await place.record(session_id, given, slots, partial(write, given))
        else:
            pack = packed(given, slots, pack_crc64nvme, place.rules)
            await place.record_pack(session_id, pack, partial(write, pack.parts))

    async def list_parts(self, actor: Actor, session_id: str, page: Page) -> tuple[list[Row[Any]], Any]:
        """A page of the stored parts, and the key to go on after."""
        session = await self._database.read(sessions.find, actor, session_id)
        await self._renewed(session)
        if page.after is None and session.state == "open":
            await (await self._places.get(session.storage_location)).recheck(session_id)
        return await self._database.read(parts.page, session_id, page.size, page.after)

    async def commit(self, actor: Actor, session_id: str, file_digests: bytes) -> Row[Any]:
        """Make the content visible, or find that it is. Errors: `SESSION_NOT_FOUND`, `PARTS_MISSING`,
        `DIGEST_MISMATCH`, `PERMISSION_DENIED`, and the store's."""
        async with self._gate.whole(session_id):
            # One snapshot for all that is asked: in a small upload, to ask once more costs as much as the answer.
            found = await self._database.read(_to_commit, actor, session_id, file_digests)
            if not isinstance(found, _ToCommit):
                return found
            # Settled, it must still be known when a reply is lost and the commit repeated. One that is refused is as
            # old as it was; whoever goes on with it renews it.
            await self._renewed(found.session)
            done = await self._commit(actor, found)
            await self._discard(found.session, blobs=not done.is_new)
            return done.content

    async def _commit(self, actor: Actor, found: _ToCommit) -> contents.Committed:
        """Commit; the bytes are published first unless the asset has them as its newest content already."""
        session, summary = found.session, found.summary
        done = await self._write_commit(actor, session.id, summary, None) if found.is_newest else None
        if done is not None:
            return done
        keys = await self._publish(session, summary)
        done = await self._write_commit(actor, session.id, summary, keys)
        assert done is not None
        return done

    async def _write_commit(
        self, actor: Actor, session_id: str, summary: Summary, keys: Mapping[int, str] | None
    ) -> contents.Committed | None:
        """`keys` name the published blobs by file index; None before they are."""
        return await self._database.write(
            contents.commit,
            actor,
            session_id,
            summary,
            key_of=(keys or {}).__getitem__,
            published=keys is not None,
            now_us=self._now_us(),
        )

    async def _publish(self, session: Row[Any], summary: Summary) -> dict[int, str]:
        """Make blobs of what is staged; returns their keys by file index."""
        place = await self._places.get(session.storage_location)
        staged = {file.file_index: _staged(session.id, file) for file in summary.files if file.size_bytes}
        gaps = _wasted(session.id, summary)
        gaps = gaps or await place.threads.run(place.store.publish, list(dict.fromkeys(staged.values())))
        if gaps:
            missing = await self._database.write(_forget, session.id, gaps)
            message = f"{missing} parts are not there any more; send them again"
            raise FerryError("PARTS_MISSING", message, missingCount=missing)
        return {index: place.store.key_of(file) for index, file in staged.items()}

    async def abort(self, actor: Actor, session_id: str) -> None:
        """Throw a session away; see `sessions.abort`."""
        async with self._gate.whole(session_id):
            session = await self._database.write(sessions.abort, actor, session_id)
            await self._discard(session, blobs=True)

    async def _discard(self, session: Row[Any], *, blobs: bool) -> None:
        """Remove what the session staged; `blobs` too that no content has. The sweep does what fails here."""
        try:
            await discard(self._database, await self._places.get(session.storage_location), session.id, blobs=blobs)
        except FerryError as error:
            _log.warning("staging_not_discarded session=%s reason=%s", session.id, error.reason)

    async def _renewed(self, session: Row[Any]) -> Row[Any]:
        """The session, with its expiry put off when that is due."""
        now = self._now_us()
        if session.state == "open" and sessions.is_due(session, self._terms, now):
            await self._database.write(sessions.renew, session.id, now + self._terms.ttl_us)
        return session


@dataclass(frozen=True, slots=True)
class _ToCommit:
    """An open session that is whole. `is_newest`: the asset has these bytes as its newest content already."""

    session: Row[Any]
    summary: Summary
    is_newest: bool


def _to_commit(conn: Connection, actor: Actor, session_id: str, file_digests: bytes) -> _ToCommit | Row[Any]:
    """What there is to commit, or the content of a session that was committed."""
    session = sessions.find(conn, actor, session_id)
    if session.state == "committed":
        return contents.get(conn, actor, session.content_id)
    summary = summarise(conn, session, file_digests)
    return _ToCommit(session, summary, contents.is_newest(conn, session.asset_id, summary.digest))


async def discard(database: Database, place: Place, session_id: str, *, blobs: bool) -> None:
    """Remove what a settled session staged; with `blobs` also its blobs that no content has."""
    await place.threads.run(place.store.discard, session_id)
    if blobs:
        keys = await place.threads.run(place.store.blobs_of, session_id)
        for key in set(keys) - await database.read(contents.referenced, keys):
            await place.threads.run(place.store.delete, key)


def _session_and_slots(
    conn: Connection, actor: Actor, session_id: str, wanted: Sequence[Part]
) -> tuple[Row[Any], list[Slot]]:
    return sessions.find_open(conn, actor, session_id), parts.slots(conn, session_id, wanted)


def _staged(session_id: str, file: FileSummary) -> StagedFile:
    """A file whose parts are all recorded, with the checksum of the whole where those of all parts are known; or the
    pack that it came in."""
    if file.pack:
        return StagedFile.of_pack(session_id, file.pack)
    numbers = range(part_count(file.size_bytes, file.part_bytes))
    crcs = [
        (
            file.part_crcs[number * CRC_BYTES : (number + 1) * CRC_BYTES],
            part_span(file.size_bytes, file.part_bytes, number + 1)[1],
        )
        for number in numbers
        if file.part_crcs
    ]
    return StagedFile(
        session_id,
        file.file_index,
        file.size_bytes,
        file.part_bytes,
        file.store_upload_id,
        joined(crcs) if crcs else b"",
    )


def _wasted(session_id: str, summary: Summary) -> list[Gap]:
    """Packs of which less than half is used, for their files were sent again otherwise: nobody would count what the
    rest takes, so those files come once more."""
    used: Counter[str] = Counter()
    for file in summary.files:
        used[file.pack] += file.size_bytes
    del used[""]
    return [Gap(StagedFile.of_pack(session_id, name)) for name, size in used.items() if 2 * size < size_of(name)]


def _forget(conn: Connection, session_id: str, gaps: Sequence[Gap]) -> int:
    """Remove the rows of what is not there; returns how many parts that are."""
    packs = [gap.file.pack for gap in gaps if gap.file.pack]
    whole = [gap.file for gap in gaps if not (gap.part_numbers or gap.file.pack)]
    some = [parts.Place(gap.file.file_index, number) for gap in gaps for number in gap.part_numbers]
    if whole:
        parts.forget_files(conn, session_id, [file.file_index for file in whole])
    if some:
        parts.forget(conn, session_id, some)
    packed_count = parts.forget_packs(conn, session_id, packs)
    return len(some) + packed_count + sum(part_count(file.size_bytes, file.part_bytes) for file in whole)


def _check_parts(given: Sequence[Part]) -> None:
    if not 1 <= len(given) <= MAX_PARTS_PER_CALL:
        raise invalid("parts", f"{len(given)} parts; a call takes 1 to {MAX_PARTS_PER_CALL}")
    for part in given:
        if len(part.digest) != DIGEST_BYTES:
            raise invalid("parts.digest", f"{len(part.digest)} bytes; a digest has {DIGEST_BYTES}")
    if len({(part.file_index, part.part_number) for part in given}) != len(given):
        raise invalid("parts", "a part comes twice")
