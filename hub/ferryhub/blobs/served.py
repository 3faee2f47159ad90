"""The place of bytes that pass through the hub: its own files, at URLs of its own or opened by the caller itself.

Upload step 8 (where parts go), D7. What arrives at the URLs is `endpoint.py`'s and `receive.py`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from ferryhub.blobs.gate import PartGate
from ferryhub.blobs.locations import FileLocation, Location
from ferryhub.blobs.receive import PartStore, is_recorded, pack_turn
from ferryhub.blobs.signing import PackClaim, PartClaim, UrlIssuer
from ferryhub.blobs.store import BlobReader, StagedFile, SupportsLocalFiles
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import parts, sessions
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import OWN
from ferryhub.catalogue.packs import Pack, size_of
from ferryhub.catalogue.parts import Part, Slot
from ferryhub.catalogue.validation import invalid
from ferrywire.digest import of_bytes
from ferrywire.reasons import FerryError

#: Of packs that are under way and will be told of.
_SPARE_BYTES: Final = 256 << 20


class ServedPlace:
    """Implements `Place`. `local_files` is the store when callers may open its files themselves."""

    def __init__(
        self,
        database: Database,
        store: PartStore,
        *,
        threads: StoreThreads,
        gate: PartGate,
        urls: UrlIssuer,
        local_files: SupportsLocalFiles | None,
    ) -> None:
        self.store = store
        self.threads = threads
        self.rules = OWN.rules
        self._database = database
        self._gate = gate
        self._urls = urls
        self._local_files = local_files

    async def sign(
        self, session_id: str, wanted: Sequence[Part], slots: Sequence[Slot], *, accept_files: bool
    ) -> list[Location]:
        """See `Place`. What arrives at a URL is recorded by the hub, which also sees to rows of what it overwrites."""
        if accept_files and self._local_files is not None:
            return await self._staging_files(self._local_files, session_id, wanted)
        return [
            self._urls.put(PartClaim(session_id, part.file_index, part.part_number, slot.size_bytes, part.digest))
            for part, slot in zip(wanted, slots, strict=True)
        ]

    async def sign_pack(self, session_id: str, pack: Pack, *, accept_files: bool) -> Location:
        """See `Place`. No row vouches any longer for what may be overwritten."""
        file = StagedFile.of_pack(session_id, pack.name)
        await self._make_room(session_id, pack)
        async with self._gate.part(pack_turn(file), receives=False):
            if await self._database.read(is_recorded, session_id, pack.name):
                await self._database.write(parts.forget_packs, session_id, [pack.name])
            if accept_files and self._local_files is not None:
                (path,) = await self.threads.run(self._local_files.staging_paths, [file])
                return FileLocation(path)
        return self._urls.pack(PackClaim(session_id, pack.name, file.size_bytes))

    async def record_pack(self, session_id: str, pack: Pack, write: Callable[[], Awaitable[None]]) -> None:
        """See `Place`. What was received, or written by the caller, is read once more and compared file by file."""
        file = StagedFile.of_pack(session_id, pack.name)
        async with self._gate.part(pack_turn(file), receives=False):
            reader = await self.threads.run(self.store.open_staged, file)
            if reader is None:
                raise FerryError("CHUNK_CORRUPT", f"the pack {pack.name} is not there", partNumber="")
            try:
                await self.threads.run(_compare, reader, pack)
            except OSError as error:
                what = f"the hub's storage failed: {error.strerror or error}"
                raise FerryError("IO_ERROR", what, path="the hub's storage") from error
            finally:
                await self.threads.run_to_end(reader.close)
            await write()

    async def record(
        self, session_id: str, given: Sequence[Part], slots: Sequence[Slot], write: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Place`. Only of file locations: the hub believes no other part but those it received itself."""
        if self._local_files is None:
            raise invalid("parts", "this hub takes parts at signed URLs, and records them itself")
        async with self._gate.whole(session_id):
            for file in await self._lost(_staged(session_id, slots)):
                message = f"file {file.file_index} has no staging file of {file.size_bytes} bytes"
                raise FerryError("CHUNK_CORRUPT", message, partNumber=given[0].part_number)
            await write()

    async def recheck(self, session_id: str) -> None:
        """See `Place`. Nothing is lost behind the hub's back; the commit looks once more."""

    async def reads(self, keys: Sequence[str], *, accept_files: bool) -> list[Location]:
        """See `Place`."""
        if accept_files and self._local_files is not None:
            return [FileLocation(self._local_files.blob_path(key)) for key in keys]
        return [self._urls.get(key) for key in keys]

    async def _make_room(self, session_id: str, pack: Pack) -> None:
        """Packs that nobody tells of, as a daemon leaves them that was killed, may take as much as the upload itself,
        and a little; then they go."""
        if not await self._left_over(session_id, pack):
            return
        async with self._gate.whole(session_id):
            if left := await self._left_over(session_id, pack):  # nobody was quicker
                recorded = await self._database.read(parts.packs_of, session_id)
                await self.threads.run(self.store.drop_packs, session_id, sorted(left - set(recorded)))

    async def _left_over(self, session_id: str, pack: Pack) -> set[str]:
        """The packs that are staged, when they are too many."""
        staged = set(await self.threads.run(self.store.staged_packs, session_id)) - {pack.name}
        session = await self._database.read(sessions.require_open, session_id)
        return staged if sum(map(size_of, staged)) > 2 * session.total_size_bytes + _SPARE_BYTES else set()

    async def _staging_files(
        self, store: SupportsLocalFiles, session_id: str, wanted: Sequence[Part]
    ) -> list[Location]:
        """Staging files to write into. No row vouches any longer for the parts that will be overwritten: those that
        are there now, not when somebody asked, for a part may have arrived at a URL meanwhile."""
        async with self._gate.whole(session_id):
            slots = await self._database.read(_open_slots, session_id, wanted)
            files = _staged(session_id, slots)
            begun = {slot.file_index for slot in slots if slot.file_begun}
            recorded = [slot for slot in slots if slot.recorded is not None]
            if recorded:
                await self._database.write(parts.forget, session_id, recorded)
            if lost := await self._lost([file for file in files if file.file_index in begun]):
                await self._database.write(parts.forget_files, session_id, [file.file_index for file in lost])
            paths = await self.threads.run(store.staging_paths, files)
        path_of = {file.file_index: path for file, path in zip(files, paths, strict=True)}
        return [FileLocation(path_of[slot.file_index], slot.offset) for slot in slots]

    async def _lost(self, files: Sequence[StagedFile]) -> list[StagedFile]:
        """Those of which nothing is there."""
        if not files:
            return []
        return await self.threads.run(lambda: [file for file in files if not self.store.holds(file)])


def _open_slots(conn: Connection, session_id: str, wanted: Sequence[Part]) -> list[Slot]:
    sessions.require_open(conn, session_id)
    return parts.slots(conn, session_id, wanted)


def _compare(reader: BlobReader, pack: Pack) -> None:
    """Whether every file of a pack is there. Error: `CHUNK_CORRUPT`."""
    for part, size_bytes in zip(pack.parts, pack.sizes, strict=True):
        if of_bytes(reader.read(part.pack_offset, size_bytes)) != part.digest:
            message = f"file {part.file_index} arrived with other bytes in the pack {pack.name}"
            raise FerryError("CHUNK_CORRUPT", message, partNumber=1, fileIndex=part.file_index)


def _staged(session_id: str, slots: Sequence[Slot]) -> list[StagedFile]:
    sizes = {slot.file_index: slot.file_size_bytes for slot in slots}
    return [StagedFile(session_id, file_index, size) for file_index, size in sorted(sizes.items())]
