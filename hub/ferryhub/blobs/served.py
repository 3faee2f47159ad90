"""The place of bytes that pass through the hub: its own files, at URLs of its own or opened by the caller itself.

Upload step 8 (where parts go), D7. What arrives at the URLs is `endpoint.py`'s and `receive.py`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ferryhub.blobs.gate import PartGate
from ferryhub.blobs.locations import FileLocation, Location
from ferryhub.blobs.signing import PartClaim, UrlIssuer
from ferryhub.blobs.store import BlobStore, StagedFile, SupportsLocalFiles
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import parts
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import PartRules
from ferryhub.catalogue.parts import Part, Slot
from ferryhub.catalogue.validation import invalid
from ferrywire.reasons import FerryError


class ServedPlace:
    """Implements `Place`. `local_files` is the store when callers may open its files themselves."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        *,
        threads: StoreThreads,
        gate: PartGate,
        urls: UrlIssuer,
        local_files: SupportsLocalFiles | None,
    ) -> None:
        self.store = store
        self.threads = threads
        self.rules = PartRules()
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

    async def _staging_files(
        self, store: SupportsLocalFiles, session_id: str, wanted: Sequence[Part]
    ) -> list[Location]:
        """Staging files to write into. No row vouches any longer for the parts that will be overwritten: those that
        are there now, not when somebody asked, for a part may have arrived at a URL meanwhile."""
        async with self._gate.whole(session_id):
            slots = await self._database.read(parts.slots, session_id, wanted)
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


def _staged(session_id: str, slots: Sequence[Slot]) -> list[StagedFile]:
    sizes = {slot.file_index: slot.file_size_bytes for slot in slots}
    return [StagedFile(session_id, file_index, size) for file_index, size in sorted(sizes.items())]
