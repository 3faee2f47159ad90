"""Upload sessions as a whole: rows in the catalogue, bytes in the store, and the order between the two.

Upload steps 7, 8 and 10. The order: bytes durable → part row; blobs published → content row → staging discarded.
Whatever is left behind when that is cut short, a repeat completes or the sweep removes. No SQL, no protobuf here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from ferryhub.blobs.gate import PartGate
from ferryhub.blobs.locations import FileLocation, Location
from ferryhub.blobs.signing import PartClaim, UrlIssuer
from ferryhub.blobs.store import BlobStore, StagedFile, SupportsLocalFiles, blob_key
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import contents, parts, sessions
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.paging import Page
from ferryhub.catalogue.parts import Part, Slot
from ferryhub.catalogue.sessions import NewUpload, Terms
from ferryhub.catalogue.summary import Summary, summarise
from ferryhub.catalogue.validation import invalid
from ferrywire.digest import DIGEST_BYTES
from ferrywire.reasons import FerryError

MAX_PARTS_PER_CALL: Final = 1000
_log = logging.getLogger(__name__)


class Uploads:
    """What ContentService does with sessions. `local_files` is the store when callers may open its files themselves."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        *,
        threads: StoreThreads,
        gate: PartGate,
        urls: UrlIssuer,
        terms: Terms,
        local_files: SupportsLocalFiles | None,
    ) -> None:
        self._database = database
        self._store = store
        self._threads = threads
        self._gate = gate
        self._urls = urls
        self._terms = terms
        self._local_files = local_files

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
        _check_parts(wanted)
        session, slots = await self._database.read(_session_and_slots, actor, session_id, wanted)
        await self._renewed(session)
        if accept_files and self._local_files is not None:
            return await self._local_locations(self._local_files, session_id, slots)
        return [
            self._urls.put(PartClaim(session_id, part.file_index, part.part_number, slot.size_bytes, part.digest))
            for part, slot in zip(wanted, slots, strict=True)
        ]

    async def record_parts(self, actor: Actor, session_id: str, given: Sequence[Part]) -> None:
        """Record parts that the caller wrote to file locations and made durable.

        Errors: `SESSION_NOT_FOUND`, `CHUNK_CORRUPT` when digests do not fit or the file is not there,
        `INVALID_ARGUMENT` where no file locations are given out: then the hub believes only what it received itself.
        """
        _check_parts(given)
        if self._local_files is None:
            raise invalid("parts", "this hub takes parts at signed URLs, and records them itself")
        session, slots = await self._database.read(_session_and_slots, actor, session_id, given)
        parts.check_digests(given, slots)
        async with self._gate.whole(session.id):
            for file in _staged(session.id, slots):
                if not await self._threads.run(self._store.holds, file):
                    message = f"file {file.file_index} has no staging file of {file.size_bytes} bytes"
                    raise FerryError("CHUNK_CORRUPT", message, partNumber=given[0].part_number)
            now = self._now_us()
            await self._database.write(parts.record, session_id, given, now, now + self._terms.ttl_us)

    async def list_parts(self, actor: Actor, session_id: str, page: Page) -> tuple[list[Row[Any]], Any]:
        """A page of the stored parts, and the key to go on after."""
        session = await self._database.read(sessions.find, actor, session_id)
        await self._renewed(session)
        return await self._database.read(parts.page, session_id, page.size, page.after)

    async def commit(self, actor: Actor, session_id: str, file_digests: bytes) -> Row[Any]:
        """Make the content visible, or find that it is. Errors: `SESSION_NOT_FOUND`, `PARTS_MISSING`,
        `DIGEST_MISMATCH`, `PERMISSION_DENIED`, and the store's."""
        async with self._gate.whole(session_id):
            session = await self._database.read(sessions.find, actor, session_id)
            if session.state == "committed":
                return await self._database.read(contents.get, actor, session.content_id)
            # Settled, it must still be known when a reply is lost and the commit repeated.
            await self._renewed(session)
            summary = await self._database.read(summarise, session, file_digests)
            done = await self._commit(actor, session, summary)
            await self._discard(session_id, surplus=() if done.is_new else summary.files)
            return done.content

    async def _commit(self, actor: Actor, session: Row[Any], summary: Summary) -> contents.Committed:
        """Commit; the bytes are published first unless the asset has them as its newest content already."""
        known = await self._database.read(contents.is_newest, session.asset_id, summary.digest)
        done = await self._write_commit(actor, session.id, summary, published=False) if known else None
        if done is not None:
            return done
        await self._publish(session.id, summary)
        done = await self._write_commit(actor, session.id, summary, published=True)
        assert done is not None
        return done

    async def _write_commit(
        self, actor: Actor, session_id: str, summary: Summary, *, published: bool
    ) -> contents.Committed | None:
        return await self._database.write(
            contents.commit,
            actor,
            session_id,
            summary,
            key_of=lambda index: blob_key(session_id, index),
            published=published,
            now_us=self._now_us(),
        )

    async def _publish(self, session_id: str, summary: Summary) -> None:
        files = [StagedFile(session_id, file.file_index, file.size_bytes) for file in summary.files if file.size_bytes]
        missing = await self._threads.run(self._store.publish, files)
        if missing:
            await self._database.write(parts.forget_files, session_id, [file.file_index for file in missing])
            message = f"the bytes of {len(missing)} files are not there any more; send them again"
            raise FerryError("PARTS_MISSING", message, missingCount=len(missing))

    async def abort(self, actor: Actor, session_id: str) -> None:
        """Throw a session away; see `sessions.abort`."""
        async with self._gate.whole(session_id):
            await self._database.write(sessions.abort, actor, session_id)
            await self._discard(session_id)

    async def _discard(self, session_id: str, surplus: Sequence[Any] = ()) -> None:
        """Remove what the session staged, and blobs that were published for nothing. The sweep does what fails here."""
        try:
            await self._threads.run(self._store.discard, session_id)
            keys = [blob_key(session_id, file.file_index) for file in surplus if file.size_bytes]
            for key in set(keys) - await self._database.read(contents.referenced, keys):
                await self._threads.run(self._store.delete, key)
        except FerryError as error:
            _log.warning("staging_not_discarded session=%s reason=%s", session_id, error.reason)

    async def _local_locations(
        self, store: SupportsLocalFiles, session_id: str, slots: Sequence[Slot]
    ) -> list[Location]:
        """Staging files to write into. No row vouches any longer for the parts that will be overwritten."""
        files = _staged(session_id, slots)
        begun = {slot.file_index for slot in slots if slot.file_begun}
        async with self._gate.whole(session_id):
            await self._forget([slot for slot in slots if slot.recorded is not None], session_id)
            for file in files:
                if file.file_index in begun and not await self._threads.run(self._store.holds, file):
                    await self._database.write(parts.forget_files, session_id, [file.file_index])
            paths = {file.file_index: await self._threads.run(store.staging_path, file) for file in files}
        return [FileLocation(paths[slot.file_index], slot.offset) for slot in slots]

    async def _forget(self, slots: Sequence[Slot], session_id: str) -> None:
        if slots:
            await self._database.write(parts.forget, session_id, slots)

    async def _renewed(self, session: Row[Any]) -> Row[Any]:
        """The session, with its expiry put off when that is due."""
        now = self._now_us()
        if session.state == "open" and sessions.is_due(session, self._terms, now):
            await self._database.write(sessions.renew, session.id, now + self._terms.ttl_us)
        return session

    def _now_us(self) -> int:
        return self._urls.now_us()


def _session_and_slots(
    conn: Connection, actor: Actor, session_id: str, wanted: Sequence[Part]
) -> tuple[Row[Any], list[Slot]]:
    return sessions.find_open(conn, actor, session_id), parts.slots(conn, session_id, wanted)


def _staged(session_id: str, slots: Sequence[Slot]) -> list[StagedFile]:
    sizes = {slot.file_index: slot.file_size_bytes for slot in slots}
    return [StagedFile(session_id, file_index, size) for file_index, size in sorted(sizes.items())]


def _check_parts(given: Sequence[Part]) -> None:
    if not 1 <= len(given) <= MAX_PARTS_PER_CALL:
        raise invalid("parts", f"{len(given)} parts; a call takes 1 to {MAX_PARTS_PER_CALL}")
    for part in given:
        if len(part.digest) != DIGEST_BYTES:
            raise invalid("parts.digest", f"{len(part.digest)} bytes; a digest has {DIGEST_BYTES}")
    if len({(part.file_index, part.part_number) for part in given}) != len(given):
        raise invalid("parts", "a part comes twice")
