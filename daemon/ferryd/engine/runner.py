"""Runs claimed transfers, one task each, and decides how a run ends. Upload step 7, download step D7.

The only place of the engine that may catch everything: whatever happens to a run, its transfer gets a next state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from ferryd.core.following import follow
from ferryd.core.model import Context, Kind, Phase, Transfer
from ferryd.core.ports import Interrupted
from ferryd.core.states import Event
from ferryd.engine.cleanup import Cleanup
from ferryd.engine.download import Download
from ferryd.engine.limits import Bandwidth, TransferMeter
from ferryd.engine.retry import Verdict, judge
from ferryd.engine.run import Run, Tools
from ferryd.engine.scheduler import Gates
from ferryd.engine.upload import Upload
from ferrywire import tracing
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError, Wait

log = logging.getLogger(__name__)
_GRACE_S: Final = 1.0  #: for lanes to end at a window, before the run is cancelled
_STORE_PAUSE_S: Final = 5.0
_GATED: Final = frozenset({Wait.NETWORK, Wait.HUB, Wait.RATE_LIMIT})


class Runner:
    """The running transfers. `tasks` is the engine's task group; `wake` is called when a slot is free again."""

    def __init__(
        self, tools: Tools, bandwidth: Bandwidth, gates: Gates, tasks: asyncio.TaskGroup, wake: Callable[[], None]
    ) -> None:
        self._tools = tools
        self._bandwidth = bandwidth
        self._gates = gates
        self._tasks = tasks
        self._wake = wake
        self._cleanup = Cleanup(tools)
        self._runs: dict[str, Run] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> Mapping[str, Context]:
        """The ids that hold a slot, those included that are just ending, each with its hub."""
        return {transfer_id: run.transfer.context for transfer_id, run in self._runs.items()}

    def start(self, transfer: Transfer) -> None:
        """Run a claimed transfer."""
        counters = self._tools.counters

        def count(size_bytes: int) -> None:
            if transfer.kind is Kind.UPLOAD:
                counters.add_sent(size_bytes)
            else:
                counters.add_received(size_bytes)

        run = Run(transfer, self._tools, TransferMeter(self._bandwidth, count))
        self._runs[transfer.id] = run
        task = self._tasks.create_task(self._perform(run), name=f"transfer {transfer.id}")
        self._running[transfer.id] = task
        task.add_done_callback(lambda _: self._forget(transfer.id))

    def interrupt(self, transfer_id: str) -> None:
        """Stop a run whose transfer has left RUNNING, or shall go back to the queue. Nothing when it does not run."""
        run = self._runs.get(transfer_id)
        if run is not None and not run.interrupted:
            run.interrupt()
            self._tasks.create_task(self._insist(run), name=f"interrupt of {transfer_id}")

    async def wait_for_commit(self, transfer_id: str, timeout_s: float) -> None:
        """When the run is just committing, wait for what becomes of it."""
        run, task = self._runs.get(transfer_id), self._running.get(transfer_id)
        if run is not None and task is not None and run.phase is Phase.COMMITTING:
            await asyncio.wait([task], timeout=timeout_s)

    async def interrupt_all(self, timeout_s: float) -> int:
        """Back to the queue with all that run; returns how many."""
        tasks = list(self._running.values())
        for transfer_id in list(self._runs):
            self.interrupt(transfer_id)
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return len(tasks)

    def clean(self, transfer: Transfer) -> None:
        """Remove what a cancelled transfer that does not run has left."""
        if transfer.debris and transfer.id not in self._runs:
            self._tasks.create_task(self._cleanup.clean(transfer), name=f"cleanup of {transfer.id}")

    def _forget(self, transfer_id: str) -> None:
        del self._runs[transfer_id], self._running[transfer_id]
        self._wake()

    async def _insist(self, run: Run) -> None:
        task = self._running[run.id]
        await asyncio.wait([task], timeout=_GRACE_S)
        if not run.ended:
            task.cancel()

    async def _perform(self, run: Run) -> None:
        follow(run.id)
        log.info("transfer started id=%s kind=%s attempt=%d", run.id, run.transfer.kind, run.transfer.attempts)
        try:
            with _traced(run):
                fields = await self._move(run)
        except asyncio.CancelledError:
            run.ended = True
            if not run.interrupted:
                raise  # the daemon ends; the next start recovers
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            await self._stopped(run)
        except BaseException as error:  # noqa: BLE001 - the boundary of a run: a bug must fail one transfer, not all
            run.ended = True
            await self._failed(run, error)
        else:
            run.ended = True
            self._answered(run)
            size = {"persisted_bytes": run.transfer.size_bytes, "chunk_index": run.transfer.chunk_count}
            await self._end(run, Event.COMPLETE, error=None, **size, **fields)

    async def _move(self, run: Run) -> dict[str, Any]:
        """The transfer itself, with its gauge beside it."""
        work = Upload(run, self._tools) if run.transfer.kind is Kind.UPLOAD else Download(run, self._tools)
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(run.gauge()), tasks.create_task(self._watch_answer(run))]
            fields = await work.perform()
            for task in beside:
                task.cancel()
        return fields

    async def _watch_answer(self, run: Run) -> None:
        await run.answered.wait()
        self._answered(run)

    def _answered(self, run: Run) -> None:
        if self._gates.open(run.transfer.context):
            self._wake()

    async def _failed(self, run: Run, failure: BaseException) -> None:
        error = _cause(run, failure)
        if error is None:
            await self._stopped(run)
            return
        if error.reason == "SESSION_NOT_FOUND":
            await self._keep_trying(run, lambda: self._tools.ledger.forget_session(run.id))
        attempts = 1 if run.progressed else run.transfer.attempts
        verdict = judge(error, attempts, chance=random.random())
        log.info("transfer attempt failed id=%s reason=%s then=%s", run.id, error.reason, verdict.event)
        await self._apply(run, verdict, error, attempts)

    async def _apply(self, run: Run, verdict: Verdict, error: FerryError, attempts: int) -> None:
        now = self._tools.clock.now()
        due = None if verdict.delay_s is None else now + verdict.delay_s
        if verdict.waiting_for in _GATED and due is not None:
            self._gates.close(run.transfer.context, now, due)
        hopeless = verdict.event is Event.GIVE_UP and not error.retryable
        debris = hopeless and bool(run.transfer.session_id or run.transfer.pinned_content_id)
        await self._end(
            run,
            verdict.event,
            error=error,
            attempts=attempts,
            waiting_for=verdict.waiting_for,
            next_attempt_at=due,
            debris=debris,
        )
        if verdict.waiting_for is Wait.AUTH and run.sign_ins != self._tools.hubs.sign_ins(run.transfer.context):
            await self._resume(run)  # whoever signed in meanwhile looked for paused transfers before this was one

    async def _resume(self, run: Run) -> None:
        with contextlib.suppress(FerryError):  # it has been resumed already, or cancelled
            await self._tools.ledger.change(run.id, Event.RESUME, waiting_for=Wait.SLOT, attempts=0, error=None)

    async def _stopped(self, run: Run) -> None:
        """Paused or cancelled: the state has changed already. Drained: back to the queue."""
        await self._end(run, Event.RECOVER, waiting_for=Wait.SLOT, attempts=max(0, run.transfer.attempts - 1))

    async def _end(self, run: Run, event: Event, **fields: Any) -> None:
        try:
            transfer = await self._keep_trying(run, lambda: self._tools.ledger.change(run.id, event, **fields))
        except FerryError as error:
            log.info("transfer had left its state id=%s event=%s reason=%s", run.id, event, error.reason)
            transfer = await self._tools.ledger.store.get(run.id)
        log.info("transfer ended its run id=%s state=%s", run.id, transfer.state)
        if transfer.debris:
            await self._cleanup.clean(transfer)

    async def _keep_trying(self, run: Run, write: Callable[[], Awaitable[Transfer]]) -> Transfer:
        """The end of a run must reach the disk, however long the disk refuses."""
        while True:
            try:
                return await write()
            except FerryError as error:
                if error.reason not in ("DISK_FULL", "READ_ONLY", "IO_ERROR"):
                    raise
                log.error("queue could not be written reason=%s message=%s", error.reason, error.message)
                self._tools.ledger.show_refusal(run.id, error, self._tools.clock.now() + _STORE_PAUSE_S)
                await self._tools.clock.sleep(_STORE_PAUSE_S)


@contextlib.contextmanager
def _traced(run: Run) -> Iterator[None]:
    transfer = run.transfer
    with tracing.span(str(transfer.kind), kind="consumer", transfer_id=run.id, request_id=run.id) as span:
        span.note(attempt=transfer.attempts, files=transfer.file_count)
        try:
            yield
        except BaseException as error:
            known = [leaf for leaf in _leaves(error) if isinstance(leaf, FerryError)]
            span.fail("stopped" if run.interrupted else known[0].reason if known else type(error).__name__)
            raise
        finally:
            span.note(moved_bytes=run.meter.moved_bytes, size_bytes=run.transfer.size_bytes, phase=str(run.phase))


def _cause(run: Run, failure: BaseException) -> FerryError | None:
    """The one error that decides: a final one before one that can be retried, a bug before both. None for a stop."""
    leaves = _leaves(failure)
    if run.interrupted:
        return None
    known = [leaf for leaf in leaves if isinstance(leaf, FerryError)]
    unknown = [leaf for leaf in leaves if not isinstance(leaf, FerryError | Interrupted | asyncio.CancelledError)]
    if unknown:
        error_id = new_id("err")
        log.error("transfer met a bug id=%s error_id=%s", run.id, error_id, exc_info=unknown[0])
        return FerryError("INTERNAL", f"an unexpected error stopped it; the log has it as {error_id}", errorId=error_id)
    return min(known, key=lambda error: error.retryable, default=None)


def _leaves(failure: BaseException) -> list[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        return [leaf for inner in failure.exceptions for leaf in _leaves(inner)]
    return [failure]
