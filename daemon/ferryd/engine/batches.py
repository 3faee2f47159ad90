"""How the parts of a transfer are worked off: in batches, one batch per slot. Upload step 8, download step D8.

A large part is a batch of its own; small ones go together, so that signing, recording and committing cost one call for
many files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from ferryd.core.model import TransferFile
from ferryd.engine.limits import Slots
from ferryd.engine.run import Run, span_of
from ferrywire import tracing
from ferrywire.traceparent import muted

#: A part: (index of its file, its number).
Key = tuple[int, int]
#: A batch is what an interruption may cost and what progress goes on by: about so long, and at most so much. A part of
#: the least size or more is a batch of its own.
_BATCH_S: Final = 2.0
_LOOK_S: Final = 0.5  #: over which the pace is measured at least
_LEAST_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 8 << 20
_BATCH_PARTS: Final = 256
#: From here on more parts at a time gain nothing, but cost the receiver.
_LARGE_BYTES: Final = 16 << 20
#: Where packs are made a batch has at least so many parts, if it can: then a few requests do, and one slot is enough.
_PACK_PARTS: Final = 32
#: Batches a transfer is cut into at least, when it can be, so that all slots have work.
_SPREAD: Final = 16
#: A trace of a huge transfer shows its first batches, and then its end.
_TRACED_BATCHES: Final = 200


def batches(
    keys: Sequence[Key],
    files: Sequence[TransferFile],
    most_bytes: Callable[[], int] = lambda: _LEAST_BYTES,
    *,
    least_parts: int = 1,
) -> Iterator[list[Key]]:
    """Cut the parts, in order, into batches of at most 256 small ones and so many bytes, asked for each; of fewer where
    that gives all slots work, but not below `least_parts`. One of 1 MiB or more is alone."""
    most = max(least_parts, min(_BATCH_PARTS, len(keys) // _SPREAD))
    batch: list[Key] = []
    size_bytes, room_bytes = 0, most_bytes()
    for key in keys:
        length = span_of(files[key[0]], key[1]).length
        alone = max(length, size_bytes if len(batch) == 1 else 0) >= _LEAST_BYTES
        if batch and (alone or len(batch) >= most or size_bytes + length > room_bytes):
            yield batch
            batch, size_bytes, room_bytes = [], 0, most_bytes()
        batch.append(key)
        size_bytes += length
    if batch:
        yield batch


def packed(batch: Sequence[Key], files: Sequence[TransferFile], pack_bytes: int) -> tuple[list[Key], list[Key]]:
    """The parts of a batch that go as one pack, if it may be so long, and those that do not. Whole files do, if there
    are several."""
    whole = [key for key in batch if span_of(files[key[0]], key[1]).length == files[key[0]].size_bytes]
    size_bytes = sum(files[index].size_bytes for index, _ in whole)
    if len(whole) < 2 or size_bytes > pack_bytes:
        return [], list(batch)
    chosen = set(whole)
    return whole, [key for key in batch if key not in chosen]


class Pace:
    """How fast the parts of a run move now, and so how much a batch may hold. `now` is in seconds."""

    def __init__(self, run: Run, slots: Slots, now: Callable[[], float]) -> None:
        self._run = run
        self._slots = slots
        self._now = now
        self._at = now()
        self._moved_bytes = run.meter.moved_bytes
        self._rate_bps = 0.0

    def batch_bytes(self) -> int:
        """For about two seconds of a slot: on a slow line what is there is known soon, on a fast one few calls do."""
        self._look()
        share_bytes = self._rate_bps / max(1, self._slots.held_by(self._run.id)) * _BATCH_S
        return max(_LEAST_BYTES, min(_MOST_BYTES, int(share_bytes)))

    def _look(self) -> None:
        """The rate since the last look, unless that was a moment ago."""
        now, moved_bytes = self._now(), self._run.meter.moved_bytes
        if (elapsed_s := now - self._at) >= _LOOK_S:
            self._rate_bps = (moved_bytes - self._moved_bytes) / elapsed_s
            self._at, self._moved_bytes = now, moved_bytes


async def work_off(
    run: Run,
    slots: Slots,
    keys: Sequence[Key],
    files: Sequence[TransferFile],
    do: Callable[[list[Key]], Awaitable[None]],
    pack_bytes: int = 0,
) -> None:
    """Do these parts, each batch under a slot; where they make packs, of at most so many bytes. The first failure stops
    the others: their lanes end at the next window."""
    try:
        async with asyncio.TaskGroup() as tasks:
            pace = Pace(run, slots, asyncio.get_running_loop().time)
            most, least_parts = pack_bytes or _MOST_BYTES, _PACK_PARTS if pack_bytes else 1
            cut = batches(keys, files, lambda: min(most, pace.batch_bytes()), least_parts=least_parts)
            for number, batch in enumerate(cut):
                index, part_number = batch[0]  # a large part is alone
                await slots.acquire(run.id, large=span_of(files[index], part_number).length >= _LARGE_BYTES)
                traced = number < _TRACED_BATCHES
                task = tasks.create_task(_do(run, do, batch, traced=traced), name=f"parts of {run.id}")
                # Not in the task's own `finally`: a task that is cancelled before it starts never gets there.
                task.add_done_callback(lambda _: slots.release(run.id))
    except BaseException:
        run.meter.stop()
        raise


async def _do(run: Run, do: Callable[[list[Key]], Awaitable[None]], batch: list[Key], *, traced: bool) -> None:
    run.check()
    with tracing.span("parts", parts=len(batch), first_part=batch[0][1]) if traced else muted():
        await do(batch)
