"""The place of bytes that callers bring to a store themselves, such as S3: they never pass through the hub.

Upload step 8 (URLs of the store, and what callers report), step 10 (what the store says is there), D7. The hub believes
a report only until the commit, which asks the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import Row

from ferryhub.blobs.locations import Location
from ferryhub.blobs.store import BlobStore, PartPut, StagedFile, SupportsReads, SupportsUrls
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import parts
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import PartRules
from ferryhub.catalogue.packs import Pack
from ferryhub.catalogue.parts import Part, Slot
from ferryhub.catalogue.validation import invalid
from ferrywire.parts import CRC_BYTES, part_count
from ferrywire.reasons import FerryError


class DirectStore(BlobStore, SupportsUrls, SupportsReads, Protocol):
    """A store that callers can go to themselves."""


class DirectPlace:
    """Implements `Place`."""

    def __init__(self, database: Database, store: DirectStore, *, threads: StoreThreads, rules: PartRules) -> None:
        self.store = store
        self.threads = threads
        self.rules = rules
        self._database = database
        #: One beginning at a time for each session in this process; the catalogue decides between replicas.
        self._beginning: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def sign(
        self, session_id: str, wanted: Sequence[Part], slots: Sequence[Slot], *, accept_files: bool
    ) -> list[Location]:
        """See `Place`. A part that is stored with the same digest keeps its row: its bytes can only be the same."""
        self._check_checksums(wanted)
        changed = [slot for part, slot in zip(wanted, slots, strict=True) if slot.recorded not in (None, part.digest)]
        if changed:
            await self._database.write(parts.forget, session_id, changed)
        upload_ids = await self._upload_ids(session_id, slots)
        puts = [
            PartPut(
                replace(_staged(session_id, slot), upload_id=upload_ids.get(slot.file_index, "")),
                slot.part_number,
                slot.size_bytes,
                part.crc64nvme,
            )
            for part, slot in zip(wanted, slots, strict=True)
        ]
        return [*await self.threads.run(self.store.put_urls, puts)]

    async def sign_pack(self, session_id: str, pack: Pack, *, accept_files: bool) -> Location:
        """See `Place`. A pack is never written again, so what rows say stays true."""
        file = StagedFile.of_pack(session_id, pack.name)
        (url,) = await self.threads.run(self.store.put_urls, [PartPut(file, 1, file.size_bytes, pack.crc64nvme)])
        return url

    async def record(
        self, session_id: str, given: Sequence[Part], slots: Sequence[Slot], write: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Place`. Whether the parts are really there is asked at the commit, for all of them at once."""
        self._check_checksums(given)
        await write()

    async def record_pack(self, session_id: str, pack: Pack, write: Callable[[], Awaitable[None]]) -> None:
        """See `Place`. As for parts, the commit asks whether it is there."""
        await write()

    async def recheck(self, session_id: str) -> None:
        """See `Place`. A file that is whole at the store while parts of it are not recorded begins anew, too: a commit
        was cut short, and then something of it was sent again."""
        rows, packed = await self._database.read(
            lambda conn: (parts.begun(conn, session_id), parts.packs_of(conn, session_id))
        )
        files = [_known(session_id, row) for row in rows] + [StagedFile.of_pack(session_id, pack) for pack in packed]
        lost = await self.threads.run(self.store.missing, files)
        if alone := [file.file_index for file in lost if not file.pack]:
            await self._database.write(parts.forget_files, session_id, alone)
        if packs := [file.pack for file in lost if file.pack]:
            await self._database.write(parts.forget_packs, session_id, packs)

    async def reads(self, keys: Sequence[str], *, accept_files: bool) -> list[Location]:
        """See `Place`."""
        return [*await self.threads.run(self.store.get_urls, keys)]

    async def _upload_ids(self, session_id: str, slots: Sequence[Slot]) -> dict[int, str]:
        """What the store calls the uploads of the files of several parts; begun where there is none."""
        several = {slot.file_index: slot for slot in slots if part_count(slot.file_size_bytes, slot.part_bytes) > 1}
        known = {index: slot.store_upload_id for index, slot in several.items() if slot.store_upload_id}
        new = [slot for index, slot in several.items() if index not in known]
        if new:
            lock = self._beginning.setdefault(session_id, asyncio.Lock())
            async with lock:
                for slot in new:
                    known[slot.file_index] = await self._begin(_staged(session_id, slot))
        return known

    async def _begin(self, file: StagedFile) -> str:
        begun = await self._database.read(parts.upload_of, file.session_id, file.file_index)
        if begun:
            return begun
        mine = await self.threads.run(self.store.begin, file)
        kept = ""
        try:
            kept = await self._database.write(parts.adopt_upload, file.session_id, file.file_index, mine)
        finally:
            if kept != mine:  # another replica was first, or the session is settled
                await self._abandon(replace(file, upload_id=mine))
        return kept

    async def _abandon(self, file: StagedFile) -> None:
        with contextlib.suppress(FerryError):  # it goes with the session, or with a sweep
            await self.threads.run(self.store.abandon, file)

    def _check_checksums(self, given: Sequence[Part]) -> None:
        for part in given:
            if self.rules.checksum and len(part.crc64nvme) != CRC_BYTES:
                raise invalid("parts.crc64nvme", f"{len(part.crc64nvme)} bytes; this storage needs {CRC_BYTES}")


def _staged(session_id: str, slot: Slot) -> StagedFile:
    return StagedFile(session_id, slot.file_index, slot.file_size_bytes, slot.part_bytes)


def _known(session_id: str, row: Row[Any]) -> StagedFile:
    """A file as the store should know it. One that is not whole by its rows is looked for as an upload only."""
    whole = row.stored == part_count(row.size_bytes, row.part_bytes)
    size_bytes = row.size_bytes if whole else -1
    return StagedFile(session_id, row.file_index, size_bytes, row.part_bytes, row.store_upload_id)
