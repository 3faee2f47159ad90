"""Brings a batch of hashed parts to the hub. Upload step 8: sign, send, report.

What goes wrong with one part (damaged on the way, URL expired, a hiccup of the network) costs that part again, a few
times; everything else, and too much of it, ends the attempt.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from ferryd.core.model import HashedPack, Part, Phase, SourceFile, TransferFile
from ferryd.core.ports import Interrupted, Location, Outgoing, UrlLocation
from ferryd.engine.batches import Key
from ferryd.engine.retry import backoff_s
from ferryd.engine.run import Run, Tools, span_of
from ferrywire.reasons import FerryError

#: Reasons that concern one part or one moment.
AGAIN: Final = frozenset(
    {"CHUNK_CORRUPT", "SIGNATURE_INVALID", "HUB_UNREACHABLE", "HUB_OVERLOADED", "DEADLINE_EXCEEDED"}
)
_OF_ONE_PART: Final = frozenset({"CHUNK_CORRUPT"})  #: URLs that were signed together are too old together
TRIES: Final = 4
#: An expired URL is nobody's failure: it is only asked for again. But not for ever, should the store's clock be wrong.
SIGNATURES: Final = 40
_PAUSE_CAP_S: Final = 4.0


#: A part and how it is sent.
_OnItsWay = tuple[Part, Outgoing]


class Patience:
    """How often one thing was tried, and how often its URL was too old."""

    def __init__(self) -> None:
        self.tries = 1
        self._signatures = 0

    def moved(self) -> None:
        """Something went through: URLs are not always too old."""
        self._signatures = 0

    def wear(self, error: FerryError) -> float:
        """How long to wait before the next try, in seconds. Raises the error when that was the last one."""
        if error.reason == "SIGNATURE_INVALID":
            self._signatures += 1
            if self._signatures >= SIGNATURES:
                raise error
            return 0.0 if self._signatures == 1 else pause_s(1, error)
        if self.tries >= TRIES:
            raise error
        self.tries += 1
        return pause_s(self.tries - 1, error)


def pause_s(tries: int, error: FerryError) -> float:
    """How long to wait before the same part is tried again."""
    return backoff_s(tries - 1, chance=random.random(), cap_s=_PAUSE_CAP_S, at_least_s=error.retry_after_s)


class Delivery:
    """Delivers parts of one run. `begun` is shared: what was sent before."""

    def __init__(self, run: Run, tools: Tools, begun: set[Key]) -> None:
        self._run = run
        self._tools = tools
        self._begun = begun

    async def deliver(
        self, parts: Sequence[Part], sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> AsyncIterator[list[Part]]:
        """Yields parts as the hub has them durably. `sources` and `files` are by file index."""
        pending, patience = list(parts), Patience()
        while True:
            done, error = await self._attempt(pending, sources, files)
            if done:
                patience.moved()
                yield done
            if error is None:
                return
            wait_s = patience.wear(error)
            finished = {(part.file_index, part.number) for part in done}
            pending = [part for part in pending if (part.file_index, part.number) not in finished]
            self._run.retried(len(pending))
            await self._tools.clock.sleep(wait_s)
            self._run.check()

    async def deliver_pack(
        self,
        hash_pack: Callable[[], Awaitable[tuple[list[Part], HashedPack]]],
        sources: Sequence[SourceFile],
        files: Sequence[TransferFile],
    ) -> list[Part]:
        """The files of a pack, of one part each, once the hub has them. `hash_pack` gives them; it is asked again when
        other bytes arrived: perhaps they have changed."""
        patience = Patience()
        parts, found = await hash_pack()
        while (error := await self._attempt_pack(parts, found, sources, files)) is not None:
            wait_s = patience.wear(error)
            self._run.retried(len(parts))
            await self._tools.clock.sleep(wait_s)
            self._run.check()
            if error.reason == "CHUNK_CORRUPT":
                parts, found = await hash_pack()
        return parts

    async def _attempt_pack(
        self, parts: Sequence[Part], found: HashedPack, sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> FerryError | None:
        """What was wrong with the pack, when it may be sent again."""
        to = await self._run.hub.sign_pack(self._run.transfer.session_id, parts, found.crc64nvme)
        self._run.answered.set()
        self._run.show(Phase.SENDING, files[parts[0].file_index])
        began = True
        try:
            these = [sources[part.file_index] for part in parts]
            await self._tools.lanes.send_pack(these, to, self._run.meter, found.data)
        except FerryError as error:
            began = error.reason != "SIGNATURE_INVALID"  # refused before a byte moved
            self._run.part_failed(error)
            if error.reason not in AGAIN:
                raise
            return error
        finally:
            for part in parts if began else ():
                self._count_one((part.file_index, part.number), files[part.file_index].size_bytes)
        for _ in parts:
            self._run.part_moved()
        return await self._report(parts, found.crc64nvme)

    async def _attempt(
        self, parts: list[Part], sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> tuple[list[Part], FerryError | None]:
        """What is durably at the hub now, and the last error that concerned the others."""
        locations = await self._run.hub.sign_parts(self._run.transfer.session_id, parts)
        self._run.answered.set()
        self._run.show(Phase.SENDING, files[parts[0].file_index])
        pending = [
            (one, Outgoing(sources[one.file_index], span_of(files[one.file_index], one.number), to, one.block_digests))
            for one, to in zip(parts, locations, strict=True)
        ]
        arrived: list[_OnItsWay] = []
        last: FerryError | None = None
        while pending:
            before = len(arrived)
            try:
                error = await self._send(pending, arrived)
            except Interrupted:
                await self._report(_unseen(arrived))  # they are there: a report now saves sending them again
                raise
            if error is None:
                break
            self._run.part_failed(error)
            if error.reason not in AGAIN:
                await self._report(_unseen(arrived))
                raise error
            last = error
            if error.reason not in _OF_ONE_PART:
                break  # the others would meet the same
            pending = pending[len(arrived) - before + 1 :]
        unseen = _unseen(arrived)
        damaged = await self._report(unseen)
        done = [part for part, sending in arrived if damaged is None or _is_seen(sending.to)]
        return done, damaged or last

    async def _send(self, pending: Sequence[_OnItsWay], arrived: list[_OnItsWay]) -> FerryError | None:
        """Send until one fails; what arrives is added, also when this is stopped."""
        before, coming = len(arrived), iter(pending)
        parts = [sending for _, sending in pending]
        try:
            await self._tools.lanes.send_all(parts, self._run.meter, lambda: arrived.append(next(coming)))
        except FerryError as error:
            return error
        finally:
            self._count(pending, len(arrived) - before)
        return None

    def _count(self, pending: Sequence[_OnItsWay], arrived: int) -> None:
        """So many arrived, and the one after them was begun."""
        for part, sending in pending[: arrived + 1]:
            self._count_one((part.file_index, part.number), sending.span.length)
        for _ in range(arrived):
            self._run.part_moved()

    def _count_one(self, key: Key, length: int) -> None:
        """A part is on its way, perhaps once more."""
        if key in self._begun:
            self._run.resent(length)
        self._begun.add(key)

    async def _report(self, unseen: Sequence[Part], pack_crc64nvme: bytes | None = None) -> FerryError | None:
        """Tell the hub of parts that it did not see arrive; CHUNK_CORRUPT is for the caller to send them again."""
        if not unseen:
            return None
        try:
            await self._run.hub.record_parts(self._run.transfer.session_id, unseen, pack_crc64nvme)
        except FerryError as error:
            if error.reason != "CHUNK_CORRUPT":
                raise
            self._run.part_failed(error)
            return error
        return None


def _is_seen(to: Location) -> bool:
    """Whether the hub itself saw a part arrive there."""
    return isinstance(to, UrlLocation) and not to.report


def _unseen(arrived: Sequence[_OnItsWay]) -> list[Part]:
    return [part for part, sending in arrived if not _is_seen(sending.to)]
