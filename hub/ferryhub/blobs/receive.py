"""Takes the body of one part: window by window to the store, hashed on the way, verified, durable, then recorded.

Upload step 8, the hub's end. Two windows are in memory at most: one fills while the other is written. A part that is
recorded is never written again, so that bytes the hub has vouched for cannot be spoiled by a bad repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ferryhub.blobs.gate import PartGate, PartKey, Turn
from ferryhub.blobs.signing import PartClaim
from ferryhub.blobs.store import WINDOW_BYTES, BlobStore, PartWriter, StagedFile, SupportsPartWrites
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import parts
from ferryhub.catalogue.database import Database
from ferrywire.digest import BlockHasher, of_blocks
from ferrywire.reasons import FerryError


class PartStore(BlobStore, SupportsPartWrites, Protocol):
    """A store that the hub itself receives parts for."""


class Body(Protocol):
    """The bytes that come."""

    async def read_into(self, window: memoryview) -> int:
        """Put some of the next bytes at the window's beginning, and say how many; 0 at the end."""


class PartReceiver:
    """Receives parts for one store. `now_us` is the clock, `ttl_us` how long a part's arrival keeps its session."""

    def __init__(
        self,
        database: Database,
        store: PartStore,
        *,
        threads: StoreThreads,
        gate: PartGate,
        now_us: Callable[[], int],
        ttl_us: int,
    ) -> None:
        self._database = database
        self._store = store
        self._threads = threads
        self._gate = gate
        self._now_us = now_us
        self._ttl_us = ttl_us

    async def receive(self, claim: PartClaim, body: Body) -> None:
        """Take a part; when this returns it is durable and recorded. A repeat is verified and changes nothing.

        Errors: `SESSION_NOT_FOUND`, `CHUNK_CORRUPT`, `DISK_FULL`, `HUB_OVERLOADED` (too many, too slow, or another
        sender of the same part came). After any error nothing is recorded.
        """
        async with self._gate.part(PartKey(claim.session_id, claim.file_index, claim.part_number)) as turn:
            slot = await self._database.read(parts.slot, claim.session_id, claim.file_index, claim.part_number)
            if slot.size_bytes != claim.size_bytes:
                raise _corrupt(claim, f"has {slot.size_bytes} bytes, not {claim.size_bytes}")
            if slot.recorded == claim.digest:
                await self._take(turn, claim, body, None)
                return
            writer = await self._open(claim, slot)
            try:
                block_digests = await self._take(turn, claim, body, writer)
                await self._threads.run(writer.sync)
            finally:
                await self._threads.run_to_end(writer.close)
            part = parts.Part(claim.file_index, claim.part_number, claim.digest, block_digests)
            now = self._now_us()
            await self._database.write(parts.record, claim.session_id, [part], now, now + self._ttl_us)

    async def _open(self, claim: PartClaim, slot: parts.Slot) -> PartWriter:
        """A writer for the part, once no row vouches any longer for bytes that it will overwrite or that are gone."""
        file = StagedFile(claim.session_id, claim.file_index, slot.file_size_bytes)
        if slot.recorded is not None:
            await self._database.write(parts.forget, claim.session_id, [slot])
        if slot.file_begun and not await self._threads.run(self._store.holds, file):
            await self._database.write(parts.forget_files, claim.session_id, [claim.file_index])
        return self._store.open_part(file, slot.offset)

    async def _take(self, turn: Turn, claim: PartClaim, body: Body, writer: PartWriter | None) -> bytes:
        """Receive and check the whole body; returns its block digests. Without a writer it is only checked."""
        intake = _Intake(self._threads, writer, min(WINDOW_BYTES, claim.size_bytes))
        try:
            async with turn.receiving():
                while count := await body.read_into(await intake.room()):
                    turn.moved()
                    if intake.received_bytes + count > claim.size_bytes:
                        raise _corrupt(claim, f"must have {claim.size_bytes} bytes and more came")
                    intake.took(count)
            block_digests = await intake.finish()
        except TimeoutError as error:
            message = f"part {claim.part_number} stopped coming, or another sender of it came"
            raise FerryError("HUB_OVERLOADED", message, retry_after_s=1.0) from error
        finally:
            await intake.settle()
        if intake.received_bytes != claim.size_bytes:
            raise _corrupt(claim, f"must have {claim.size_bytes} bytes and {intake.received_bytes} came")
        if of_blocks(block_digests) != claim.digest:
            raise _corrupt(claim, "arrived with another digest than was signed")
        return block_digests


class _Intake:
    """Gathers a body into windows and has each written and hashed in a thread while the next one fills."""

    def __init__(self, threads: StoreThreads, writer: PartWriter | None, window_bytes: int) -> None:
        self._threads = threads
        self._writer = writer
        self._hasher = BlockHasher()
        self._filling, self._spare = bytearray(window_bytes), bytearray(window_bytes)
        self._filled = 0
        self._pending: asyncio.Future[None] | None = None
        self.received_bytes = 0

    async def room(self) -> memoryview:
        """Where the next bytes go. Waits for the disk when it is a window behind."""
        if self._filled == len(self._filling):
            await self._flush()
        return memoryview(self._filling)[self._filled :]

    def took(self, count: int) -> None:
        """So many bytes are there."""
        self._filled += count
        self.received_bytes += count

    async def finish(self) -> bytes:
        """Write what is left; returns the block digests of everything."""
        if self._filled:
            await self._flush()
        await self._written()
        return self._hasher.block_digests()

    async def settle(self) -> None:
        """Wait until no thread works on a window, whatever came of it."""
        if self._pending is not None:
            await asyncio.wait([self._pending])
            _ = self._pending.cancelled() or self._pending.exception()

    async def _flush(self) -> None:
        await self._written()
        self._pending = self._threads.start(self._store, memoryview(self._filling)[: self._filled])
        self._filling, self._spare = self._spare, self._filling
        self._filled = 0

    async def _written(self) -> None:
        if self._pending is not None:
            await self._pending

    def _store(self, window: memoryview) -> None:
        self._hasher.update(window)
        if self._writer is not None:
            self._writer.write(window)


def _corrupt(claim: PartClaim, what: str) -> FerryError:
    message = f"part {claim.part_number} of file {claim.file_index} {what}"
    return FerryError("CHUNK_CORRUPT", message, partNumber=claim.part_number, fileIndex=claim.file_index)
