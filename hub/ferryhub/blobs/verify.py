"""Re-reads what is stored and compares it with the catalogue's digests, part by part. For `ferryhub verify`.

Part of no upload step. One window of a file is in memory at a time. How far it got is kept in the catalogue: a check
that was cut short goes on there. It changes nothing else and may run beside serving hubs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import xxhash
from sqlalchemy import Row

from ferryhub.blobs.damage import WRONG, Damage, damage
from ferryhub.blobs.places import Place, Places
from ferryhub.blobs.store import BlobReader, SupportsReads, blob_size, is_packed
from ferryhub.catalogue import checks
from ferryhub.catalogue.database import Database
from ferrywire.digest import DIGEST_BYTES, BlockHasher, of_blocks
from ferrywire.ids import new_id
from ferrywire.parts import part_count, part_span
from ferrywire.reasons import FerryError

T = TypeVar("T")

#: What one read asks for: a request of its own at an S3 store.
_WINDOW_BYTES: Final = 4 << 20
_FILES_AT_ONCE: Final = 32
_SAVE_EVERY_S: Final = 2.0
#: Findings that are kept to be told at the end; more are told at once and counted.
_MOST_KEPT: Final = 1000
_ATTEMPTS: Final = 5
#: Not the bytes' fault.
_OUT_OF_REACH: Final = ("HUB_OVERLOADED", "UNIMPLEMENTED")


@dataclass(slots=True)
class Progress:
    """How far a check got, as it is kept in the catalogue."""

    #: The file that is next or under way comes after this one, and so many of its parts have been read.
    content_id: str = ""
    file_index: int = -1
    parts: int = 0
    files: int = 0
    size_bytes: int = 0
    damaged: int = 0
    #: The first findings.
    kept: list[Damage] = field(default_factory=list)

    def text(self) -> str:
        """As it is saved."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str) -> Progress:
        """What another run saved, for this run to go on with."""
        raw = json.loads(text)
        return cls(**raw | {"kept": [Damage(**each) for each in raw["kept"]]})


class Pace:
    """Keeps to so many bytes per second; 0 is as fast as it goes. Nothing is saved up while it was slower."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._next_at_s = 0.0

    async def take(self, count: int) -> None:
        """Wait until so many bytes may be read."""
        if not self._bytes_per_s:
            return
        now_s = time.monotonic()
        at_s = max(self._next_at_s, now_s)
        self._next_at_s = at_s + count / self._bytes_per_s
        await asyncio.sleep(at_s - now_s)


class Verifier:
    """One check of everything. `found` is told of each finding as it is made, `moved` of progress."""

    def __init__(
        self,
        database: Database,
        places: Places,
        *,
        bytes_per_s: int,
        found: Callable[[Damage], None],
        moved: Callable[[Progress], None],
    ) -> None:
        self._database = database
        self._places = places
        self._pace = Pace(bytes_per_s)
        self._found = found
        self._moved = moved
        self._progress = Progress()
        self._run_id = new_id("req")
        self._saved_at_s = 0.0

    async def run(self, *, restart: bool) -> Progress:
        """Check to the end, from where the last check was cut short unless `restart`; returns what was found.

        Errors: a store that cannot be reached, or another check that has begun, end it; the next run goes on here.
        """
        before = None if restart else await self._database.read(checks.load_state)
        if before is not None:
            self._progress = Progress.of(before)
        await self._database.write(checks.replace_state, self._run_id, self._progress.text())
        try:
            await self._check_all()
        except BaseException:
            await self._save(self._progress.text())
            raise
        await self._save(None)
        return self._progress

    async def _check_all(self) -> None:
        at = self._progress
        while files := await self._database.read(checks.files_after, at.content_id, at.file_index, _FILES_AT_ONCE):
            for file in files:
                if file.size_bytes:
                    await self._check(file)
                at.content_id, at.file_index, at.parts = file.content_id, file.file_index, 0
                at.files += 1
                await self._keep_up()

    async def _check(self, file: Row[Any]) -> None:
        """Compare one file. What cannot be read is a finding; a store that cannot be reached is an error."""
        count = part_count(file.size_bytes, file.part_bytes)
        if len(file.part_digests) != count * DIGEST_BYTES:
            await self._report(damage(file, "the catalogue's digests are incomplete"))
            return
        place = await self._places.get(file.storage_location)
        try:
            reader = await _patiently(partial(_open, place, file.blob_key))
        except (FerryError, OSError) as error:
            await self._report(damage(file, _unreadable(error)))
            return
        if reader is None:
            await self._report(damage(file, "is missing"))
            return
        try:
            size_bytes = blob_size(file.blob_key, file.size_bytes)
            if reader.size_bytes != size_bytes:
                what = "is in a pack that has" if is_packed(file.blob_key) else "has"
                await self._report(damage(file, f"{what} {reader.size_bytes} bytes and should have {size_bytes}"))
            await self._check_parts(file, place, reader)
        finally:
            await place.threads.run(reader.close)

    async def _check_parts(self, file: Row[Any], place: Place, reader: BlobReader) -> None:
        first, damaged = self._progress.parts + 1, self._progress.damaged
        # The digest of the whole says no more of the bytes than the parts' do, but that these are the right ones.
        whole = xxhash.xxh3_128()
        for number in range(first, part_count(file.size_bytes, file.part_bytes) + 1):
            offset, length = part_span(file.size_bytes, file.part_bytes, number)
            wanted = file.part_digests[(number - 1) * DIGEST_BYTES : number * DIGEST_BYTES]
            try:
                blocks = await self._read(place, reader, file.blob_offset + offset, length)
                whole.update(blocks)
                problem = "" if of_blocks(blocks) == wanted else WRONG
            except (FerryError, OSError) as error:
                problem = _unreadable(error)
            if problem:
                await self._report(damage(file, problem, offset, length))
            self._progress.parts = number
            self._progress.size_bytes += length
            await self._keep_up()
        if first == 1 and self._progress.damaged == damaged and whole.digest() != file.digest:
            await self._report(damage(file, "the catalogue's digests contradict each other"))

    async def _read(self, place: Place, reader: BlobReader, offset: int, length: int) -> bytes:
        """The block digests of so many bytes."""
        hasher, end = BlockHasher(), offset + length
        while offset < end:
            count = min(_WINDOW_BYTES, end - offset)
            await self._pace.take(count)
            got = await _patiently(partial(place.threads.run, _hash, reader, hasher, offset, count))
            if not got:
                break  # too short: its digest will tell
            offset += got
        return hasher.block_digests()

    async def _report(self, found: Damage) -> None:
        if not await self._database.read(checks.exists, found.content_id):
            return
        at = self._progress
        if at.kept and at.kept[-1].goes_on(found):
            at.kept[-1] = Damage(**asdict(at.kept[-1]) | {"last_block": found.last_block})
        else:
            at.damaged += 1
            if len(at.kept) < _MOST_KEPT:
                at.kept.append(found)
        self._found(found)

    async def _keep_up(self) -> None:
        self._moved(self._progress)
        if time.monotonic() - self._saved_at_s >= _SAVE_EVERY_S:
            await self._save(self._progress.text())

    async def _save(self, text: str | None) -> None:
        if not await self._database.write(checks.save_state, self._run_id, text):
            raise RuntimeError("another 'ferryhub verify' has begun and goes on from here; this one ends")
        self._saved_at_s = time.monotonic()


async def _open(place: Place, key: str) -> BlobReader | None:
    store = place.store
    if not isinstance(store, SupportsReads):
        raise FerryError("UNIMPLEMENTED", "its store cannot be read by the hub")
    return await place.threads.run(store.open_blob, key)


def _hash(reader: BlobReader, hasher: BlockHasher, offset: int, count: int) -> int:
    window = reader.read(offset, count)
    hasher.update(memoryview(window))
    return len(window)


def _unreadable(error: FerryError | OSError) -> str:
    """What to say of bytes that cannot be read. Raises the error again when the store itself is out of reach."""
    if isinstance(error, FerryError):
        if error.reason in _OUT_OF_REACH:
            raise error
        return f"cannot be read: {error.message}"
    return f"cannot be read: {error.strerror or error}"


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Try a call a few times while its store is busy."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return await call()
        except FerryError as error:
            if error.reason != "HUB_OVERLOADED":
                raise
        await asyncio.sleep(2.0**attempt / 2)
    return await call()
