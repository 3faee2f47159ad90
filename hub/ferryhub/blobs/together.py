"""Makes small parts durable and records them together: who comes while others are synced is of the next group.

Upload step 8, the hub's end. A sync costs the same for one part and for thirty. Nothing about requests here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ferryhub.blobs.store import PartBytes, SupportsPartWrites
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue.parts import Part
from ferrywire.reasons import FerryError

#: Parts in one group at most: each has a file open, and all wait for the last.
_MOST: Final = 64
_log = logging.getLogger(__name__)

#: Writes rows of parts of a session.
Record = Callable[[str, Sequence[Part]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    data: PartBytes
    part: Part
    #: An error is of the caller alone, and without a traceback: one would keep the bytes of the whole group.
    done: asyncio.Future[FerryError | None]

    def fail(self, error: FerryError) -> None:
        if not self.done.done():
            self.done.set_result(copy(error))


@asynccontextmanager
async def waited_for() -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks that have ended when the block is left, however it is left. What the block raises stays what it is: a task
    group would wrap it."""
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        except BaseException as error:  # noqa: BLE001 - raised below
            failure = error
    if failure is not None:
        raise failure


class Together:
    """Keeps small parts for one store; rows are written by `record` once their bytes are durable.

    What is under way is of `tasks`, whose owner waits for it before threads and database are closed.
    """

    def __init__(
        self, store: SupportsPartWrites, threads: StoreThreads, record: Record, tasks: asyncio.TaskGroup
    ) -> None:
        self._store = store
        self._threads = threads
        self._record = record
        self._tasks = tasks
        self._waiting: list[_Waiting] = []
        self._syncing = False

    async def keep(self, data: PartBytes, part: Part) -> None:
        """Returns when the part is durable and recorded. Errors: the store's, those of `record`, and `HUB_OVERLOADED`
        when the hub stops.

        A caller who is cancelled waits all the same: nobody else may write the part meanwhile.
        """
        one = _Waiting(data, part, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if not self._syncing:
            self._syncing = True
            self._begin(self._sync(), self._stopped)
        error = await _ended(one.done)
        try:
            if error is not None:
                raise error
        finally:
            # An error leads to this frame, and this to the error: the bytes would stay until the garbage is collected.
            del data, one, error

    async def _sync(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            with _telling(group):
                await self._sync_group(group)
        self._syncing = False

    def _stopped(self) -> None:
        self._syncing = False
        waiting, self._waiting = self._waiting, []
        _fail(waiting, _stopping())

    async def _sync_group(self, group: Sequence[_Waiting]) -> None:
        """Rows are written while the next group is synced."""
        failures = await self._threads.run(self._store.keep, [one.data for one in group])
        kept: defaultdict[str, list[_Waiting]] = defaultdict(list)
        for one, failure in zip(group, failures, strict=True):
            if failure is None:
                kept[one.data.file.session_id].append(one)
            else:
                one.fail(failure)
        for session_id, those in kept.items():
            self._begin(self._record_group(session_id, those), partial(_fail, those, _stopping()))

    async def _record_group(self, session_id: str, group: Sequence[_Waiting]) -> None:
        with _telling(group):
            await self._record(session_id, [one.part for one in group])
            for one in group:
                one.done.set_result(None)

    def _begin(self, work: Coroutine[Any, Any, None], stopped: Callable[[], None]) -> None:
        """What is done for many belongs to nobody's request. Work that is cancelled may never have begun: those who
        wait for it are told by `stopped`."""
        task = self._tasks.create_task(work, context=Context())
        task.add_done_callback(lambda task: stopped() if task.cancelled() else None)


async def _ended(done: asyncio.Future[FerryError | None]) -> FerryError | None:
    """What came of it, however often the caller is cancelled meanwhile; then that is raised."""
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return done.result()


@contextmanager
def _telling(group: Sequence[_Waiting]) -> Iterator[None]:
    """Whatever ends the work for a group, each of it hears."""
    try:
        yield
    except FerryError as error:
        _fail(group, error)
    except Exception as error:  # noqa: BLE001 - many wait; each is told where to look
        error_id = secrets.token_hex(8)
        _log.error("parts_not_kept error_id=%s", error_id, exc_info=error)
        _fail(group, FerryError("INTERNAL", f"the hub made a mistake ({error_id})", errorId=error_id))
    except BaseException:  # the work was cancelled: the hub stops
        _fail(group, _stopping())
        raise


def _fail(group: Sequence[_Waiting], error: FerryError) -> None:
    for one in group:
        one.fail(error)


def _stopping() -> FerryError:
    return FerryError("HUB_OVERLOADED", "the hub stops; try again", retry_after_s=1.0)
