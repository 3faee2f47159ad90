"""Takes the body of one part: window by window to the store, hashed on the way, verified, durable, then recorded.

Upload step 8, the hub's end. Two windows are in memory at most: one fills while the other is written. A small part is
in memory as a whole, and made durable together with others: `together.py`. A part that is recorded is never written
again, so that bytes the hub has vouched for cannot be spoiled by a bad repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from sqlalchemy import Connection

from ferryhub.blobs.gate import PartGate, PartKey, Turn
from ferryhub.blobs.signing import PackClaim, PartClaim
from ferryhub.blobs.store import WINDOW_BYTES, BlobStore, PartBytes, PartWriter, StagedFile, SupportsPartWrites
from ferryhub.blobs.threads import StoreThreads
from ferryhub.blobs.together import Together
from ferryhub.catalogue import parts, sessions
from ferryhub.catalogue.database import Database
from ferrywire.digest import BlockHasher, of_blocks
from ferrywire.reasons import FerryError

#: A part of up to so many bytes is small. As many as `PartGate` lets in are in memory at once.
SMALL_BYTES: Final = 256 << 10


class PartStore(BlobStore, SupportsPartWrites, Protocol):
    """A store that the hub itself receives parts for."""


class Body(Protocol):
    """The bytes that come."""

    async def read_into(self, window: memoryview) -> int:
        """Put some of the next bytes at the window's beginning, and say how many; 0 at the end."""


class PartReceiver:
    """Receives parts for one store. `now_us` is the clock, `ttl_us` how long a part's arrival keeps its session.
    What is done for several parts together is of `tasks`."""

    def __init__(
        self,
        database: Database,
        store: PartStore,
        *,
        threads: StoreThreads,
        gate: PartGate,
        now_us: Callable[[], int],
        ttl_us: int,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._database = database
        self._store = store
        self._threads = threads
        self._gate = gate
        self._now_us = now_us
        self._ttl_us = ttl_us
        self._together = Together(store, threads, self._record, tasks)

    async def receive(self, claim: PartClaim, body: Body) -> None:
        """Take a part; when this returns it is durable and recorded. A repeat is verified and changes nothing.

        Errors: `SESSION_NOT_FOUND`, `CHUNK_CORRUPT`, `DISK_FULL`, `HUB_OVERLOADED` (too many, too slow, or another
        sender of the same part came). After any error nothing is recorded; who is cancelled may have been too late.
        """
        async with self._gate.part(PartKey(claim.session_id, claim.file_index, claim.part_number)) as turn:
            slot = await self._database.read(parts.slot, claim.session_id, claim.file_index, claim.part_number)
            if slot.size_bytes != claim.size_bytes:
                raise corrupt(claim, f"has {slot.size_bytes} bytes, not {claim.size_bytes}")
            if slot.recorded == claim.digest:
                await self._take(turn, claim, body, self._intake(claim, None))
            elif claim.size_bytes <= SMALL_BYTES:
                await self._receive_small(turn, claim, slot, body)
            else:
                await self._receive_large(turn, claim, slot, body)

    async def _receive_small(self, turn: Turn, claim: PartClaim, slot: parts.Slot, body: Body) -> None:
        """It is in memory until it is whole, and synced together with others."""
        intake = _SmallIntake(claim.size_bytes)
        block_digests = await self._take(turn, claim, body, intake)
        data = PartBytes(await self._cleared(claim, slot), slot.offset, intake.data)
        await self._together.keep(data, _part(claim, block_digests))

    async def _receive_large(self, turn: Turn, claim: PartClaim, slot: parts.Slot, body: Body) -> None:
        writer = self._store.open_part(await self._cleared(claim, slot), slot.offset)
        try:
            block_digests = await self._take(turn, claim, body, self._intake(claim, writer))
            await self._threads.run(writer.sync)
        finally:
            await self._threads.run_to_end(writer.close)
        await self._record(claim.session_id, [_part(claim, block_digests)])

    async def receive_pack(self, claim: PackClaim, body: Body) -> None:
        """Take a pack; when this returns it is durable. Its bytes are looked at when it is recorded; one that is has
        its bytes already, and keeps them.

        Errors: `SESSION_NOT_FOUND`, `CHUNK_CORRUPT` for another size, and otherwise as `receive`.
        """
        file = StagedFile.of_pack(claim.session_id, claim.name)
        async with self._gate.part(pack_turn(file)) as turn:
            if await self._database.read(is_recorded, claim.session_id, claim.name):
                await self._fill(turn, claim, body, self._intake(claim, None))
            else:
                await self._keep_pack(turn, claim, body, self._store.open_part(file, 0))

    async def _keep_pack(self, turn: Turn, claim: PackClaim, body: Body, writer: PartWriter) -> None:
        try:
            try:
                await self._fill(turn, claim, body, self._intake(claim, writer))
                await self._threads.run(writer.sync)
            finally:
                await self._threads.run_to_end(writer.close)
        except BaseException:
            # What could not be made durable is not to be found, and believed, when somebody tells of it.
            with suppress(FerryError):  # the first error says more
                await self._threads.run_to_end(lambda: self._store.drop_packs(claim.session_id, [claim.name]))
            raise

    async def _record(self, session_id: str, stored: Sequence[parts.Part]) -> None:
        now = self._now_us()
        await self._database.write(parts.record, session_id, stored, now, now + self._ttl_us)

    async def _cleared(self, claim: PartClaim, slot: parts.Slot) -> StagedFile:
        """The part's file, once no row vouches any longer for bytes that will be overwritten or that are gone."""
        file = StagedFile(claim.session_id, claim.file_index, slot.file_size_bytes)
        if slot.recorded is not None:
            await self._database.write(parts.forget, claim.session_id, [slot])
        if slot.file_begun and not await self._threads.run(self._store.holds, file):
            await self._database.write(parts.forget_files, claim.session_id, [claim.file_index])
        return file

    def _intake(self, claim: PartClaim | PackClaim, writer: PartWriter | None) -> _Intake:
        """Without a writer the body is only checked."""
        return _Intake(self._threads, writer, min(WINDOW_BYTES, claim.size_bytes))

    async def _take(self, turn: Turn, claim: PartClaim, body: Body, intake: _Intake | _SmallIntake) -> bytes:
        """Receive and check the whole body; returns its block digests."""
        block_digests = await self._fill(turn, claim, body, intake)
        if of_blocks(block_digests) != claim.digest:
            raise corrupt(claim, "arrived with another digest than was signed")
        return block_digests

    async def _fill(
        self, turn: Turn, claim: PartClaim | PackClaim, body: Body, intake: _Intake | _SmallIntake
    ) -> bytes:
        """Receive a body of the right length; returns its block digests."""
        try:
            async with turn.receiving():
                while count := await body.read_into(await intake.room()):
                    turn.moved()
                    if intake.received_bytes + count > claim.size_bytes:
                        raise corrupt(claim, f"must have {claim.size_bytes} bytes and more came")
                    intake.took(count)
            block_digests = await intake.finish()
        except TimeoutError as error:
            message = f"{_name(claim)} stopped coming, or another sender of it came"
            raise FerryError("HUB_OVERLOADED", message, retry_after_s=1.0) from error
        finally:
            await intake.settle()
        if intake.received_bytes != claim.size_bytes:
            raise corrupt(claim, f"must have {claim.size_bytes} bytes and {intake.received_bytes} came")
        return block_digests


class _SmallIntake:
    """A body that is kept in memory and hashed at once: a thread would cost more than that."""

    def __init__(self, size_bytes: int) -> None:
        self._memory = memoryview(bytearray(size_bytes + 1))  # one more than may come
        self.received_bytes = 0

    @property
    def data(self) -> memoryview:
        """What came."""
        return self._memory[: self.received_bytes]

    async def room(self) -> memoryview:
        """Where the next bytes go."""
        return self._memory[self.received_bytes :]

    def took(self, count: int) -> None:
        """So many bytes are there."""
        self.received_bytes += count

    async def finish(self) -> bytes:
        """The block digests of everything."""
        hasher = BlockHasher()
        hasher.update(self.data)
        return hasher.block_digests()

    async def settle(self) -> None:
        """Nothing is under way."""


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


def _part(claim: PartClaim, block_digests: bytes) -> parts.Part:
    return parts.Part(claim.file_index, claim.part_number, claim.digest, block_digests)


def pack_turn(file: StagedFile) -> PartKey:
    """Who writes a pack, or looks at it, has this turn."""
    return PartKey(file.session_id, file.file_index, 0, file.pack)


def is_recorded(conn: Connection, session_id: str, pack: str) -> bool:
    """Whether rows vouch for a pack of an open session. Error: `SESSION_NOT_FOUND`."""
    sessions.require_open(conn, session_id)  # or what is committed would be taken back
    return parts.has_pack(conn, session_id, pack)


def corrupt(claim: PartClaim | PackClaim, what: str) -> FerryError:
    """The error for bytes that are not what was signed."""
    if isinstance(claim, PackClaim):
        return FerryError("CHUNK_CORRUPT", f"{_name(claim)} {what}", partNumber="")
    number, index = claim.part_number, claim.file_index
    return FerryError("CHUNK_CORRUPT", f"{_name(claim)} {what}", partNumber=number, fileIndex=index)


def _name(claim: PartClaim | PackClaim) -> str:
    if isinstance(claim, PackClaim):
        return f"the pack {claim.name}"
    return f"part {claim.part_number} of file {claim.file_index}"
