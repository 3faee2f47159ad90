"""Brings a batch of hashed parts to the hub. Upload step 8: sign, send, report.

What goes wrong with one part (damaged on the way, URL expired, a hiccup of the network) costs that part again, a few
times; everything else, and too much of it, ends the attempt.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

from ferryd.core.model import Part, Phase, SourceFile, TransferFile
from ferryd.core.ports import FileLocation, Interrupted, Location
from ferryd.engine.batches import Key
from ferryd.engine.retry import backoff_s
from ferryd.engine.run import Run, Tools, span_of
from ferrywire.reasons import FerryError

#: Reasons that concern one part or one moment.
AGAIN: Final = frozenset(
    {"CHUNK_CORRUPT", "SIGNATURE_INVALID", "HUB_UNREACHABLE", "HUB_OVERLOADED", "DEADLINE_EXCEEDED"}
)
_OF_ONE_PART: Final = frozenset({"CHUNK_CORRUPT", "SIGNATURE_INVALID"})
TRIES: Final = 4
_PAUSE_CAP_S: Final = 4.0


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
        pending = list(parts)
        for tries in range(1, TRIES + 1):
            done, error = await self._attempt(pending, sources, files)
            if done:
                yield done
            if error is None:
                return
            if tries == TRIES:
                raise error
            finished = {(part.file_index, part.number) for part in done}
            pending = [part for part in pending if (part.file_index, part.number) not in finished]
            self._run.retried(len(pending))
            await self._tools.clock.sleep(pause_s(tries, error))
            self._run.check()

    async def _attempt(
        self, parts: list[Part], sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> tuple[list[Part], FerryError | None]:
        """What is durably at the hub now, and the last error that concerned the others."""
        locations = await self._run.hub.sign_parts(self._run.transfer.session_id, parts)
        self._run.answered.set()
        done: list[Part] = []
        copied: list[Part] = []
        last: FerryError | None = None
        for part, location in zip(parts, locations, strict=True):
            try:
                await self._send(part, location, sources[part.file_index], files[part.file_index])
            except FerryError as error:
                if error.reason not in AGAIN:
                    raise
                last = error
                if error.reason not in _OF_ONE_PART:
                    break  # the others would meet the same
            except Interrupted:
                if copied:  # they are there: a report now saves copying them again
                    await self._report(copied)
                raise
            else:
                (copied if isinstance(location, FileLocation) else done).append(part)
        if copied:
            damaged = await self._report(copied)
            done += [] if damaged else copied
            last = damaged or last
        return done, last

    async def _send(self, part: Part, location: Location, source: SourceFile, file: TransferFile) -> None:
        span = span_of(file, part.number)
        key = (part.file_index, part.number)
        if key in self._begun:
            self._run.resent(span.length)
        self._begun.add(key)
        self._run.show(Phase.SENDING, file)
        await self._tools.lanes.send(source, span, location, part.block_digests, self._run.meter)

    async def _report(self, copied: list[Part]) -> FerryError | None:
        """Tell the hub of parts that were copied into its files; CHUNK_CORRUPT is for the caller to send them again."""
        try:
            await self._run.hub.record_parts(self._run.transfer.session_id, copied)
        except FerryError as error:
            if error.reason != "CHUNK_CORRUPT":
                raise
            return error
        return None
