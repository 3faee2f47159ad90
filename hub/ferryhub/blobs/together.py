"""Makes small parts durable and records them together: who comes while others are synced is of the next group.

Upload step 8, the hub's end. A sync costs the same for one part and for thirty. Nothing about requests here.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ferryhub.blobs.store import PartBytes, SupportsPartWrites
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue.parts import Part

#: Parts in one group at most: each has a file open.
_MOST: Final = 64

#: Writes rows of parts of a session.
Record = Callable[[str, Sequence[Part]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    data: PartBytes
    part: Part
    done: asyncio.Future[None]


class Together:
    """Keeps small parts for one store; rows are written by `record` once their bytes are durable."""

    def __init__(self, store: SupportsPartWrites, threads: StoreThreads, record: Record) -> None:
        self._store = store
        self._threads = threads
        self._record = record
        self._waiting: list[_Waiting] = []
        self._syncing: asyncio.Task[None] | None = None
        self._recording: set[asyncio.Task[None]] = set()

    async def keep(self, data: PartBytes, part: Part) -> None:
        """Returns when the part is durable and recorded. Errors: the store's, and those of `record`.

        When the caller is cancelled it is waited for all the same: nobody else may write the part meanwhile.
        """
        one = _Waiting(data, part, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        try:
            await asyncio.wait([one.done])
        except asyncio.CancelledError:
            await asyncio.wait([one.done])
            one.done.exception()
            raise
        one.done.result()

    async def _sync(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._sync_group(group)
        finally:
            self._syncing = None

    async def _sync_group(self, group: Sequence[_Waiting]) -> None:
        """Rows are written while the next group is synced."""
        kept: defaultdict[str, list[_Waiting]] = defaultdict(list)
        try:
            failures = await self._threads.run(self._store.keep, [one.data for one in group])
        except Exception as error:  # noqa: BLE001 - it is the callers'
            _fail(group, error)
            return
        for one, failure in zip(group, failures, strict=True):
            if failure is None:
                kept[one.data.file.session_id].append(one)
            else:
                one.done.set_exception(failure)
        for session_id, those in kept.items():
            task = asyncio.create_task(self._record_group(session_id, those))
            self._recording.add(task)
            task.add_done_callback(self._recording.discard)

    async def _record_group(self, session_id: str, group: Sequence[_Waiting]) -> None:
        try:
            await self._record(session_id, [one.part for one in group])
        except Exception as error:  # noqa: BLE001 - it is the callers'
            _fail(group, error)
            return
        for one in group:
            one.done.set_result(None)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for one in group:
        one.done.set_exception(error)
