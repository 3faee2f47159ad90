"""The loop that claims transfers, from recovery at the start to drain at the end. Upload step 6.

Decides nothing: `scheduler.plan` says who runs, `Runner` runs them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ferryd.core.model import Context, Limits, Transfer
from ferryd.core.states import State
from ferryd.engine.limits import Bandwidth
from ferryd.engine.run import Tools
from ferryd.engine.runner import Runner
from ferryd.engine.scheduler import Gates, Turns, plan
from ferryd.engine.waiting import wait_for_event
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)
_STORE_PAUSE_S: Final = 5.0


class Dispatcher:
    """Starts what may run."""

    def __init__(self, tools: Tools, bandwidth: Bandwidth) -> None:
        self._tools = tools
        self._bandwidth = bandwidth
        self._limit = Limits().running_transfers
        self._gates = Gates()
        self._turns = Turns()
        self._runner: Runner | None = None
        self._woken = asyncio.Event()
        self._claiming = asyncio.Lock()  #: between a claim and the start of its run
        self._draining = False

    def wake(self) -> None:
        """Something may be ready."""
        self._woken.set()

    def set_limit(self, running_transfers: int) -> None:
        self._limit = running_transfers
        self.wake()

    def open_gates(self) -> None:
        """Somebody knows better than the backoff."""
        self._gates.open_all()
        self.wake()

    async def signed_in(self, context: Context) -> int:
        """Go on with what waits for a sign-in to this hub; returns how many."""
        count = await self._tools.ledger.release_signed_out(context)
        self._gates.open(context)
        self.wake()
        return count

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            runner = Runner(self._tools, self._bandwidth, self._gates, tasks, self.wake)
            self._runner = runner
            await self._start(runner)
            while True:
                self._woken.clear()
                wait_s = await self._turn(runner)
                await wait_for_event(self._woken, self._tools.clock, wait_s)

    async def interrupt(self, transfer: Transfer) -> None:
        """A transfer was paused or cancelled: stop its run, or clean up after it when it has none."""
        if self._runner is None:
            return  # cleaned up at the start
        async with self._claiming:
            self._runner.interrupt(transfer.id)
        if transfer.state is State.CANCELLED:
            self._runner.clean(transfer)

    async def wait_for_commit(self, transfer_id: str, timeout_s: float) -> None:
        if self._runner is not None:
            await self._runner.wait_for_commit(transfer_id, timeout_s)

    async def drain(self, timeout_s: float) -> int:
        """Claim nothing any more and send the running ones back to the queue; returns how many."""
        self._draining = True
        async with self._claiming:
            if self._runner is None:
                return 0
            return await self._runner.interrupt_all(timeout_s)

    async def _start(self, runner: Runner) -> None:
        """What the last daemon left: interrupted transfers go back to the queue, leftovers are removed."""
        ledger = self._tools.ledger
        while True:
            try:
                if count := await ledger.recover():
                    log.info("transfers recovered count=%d", count)
                debris = await ledger.store.debris()
                break
            except FerryError as error:
                await self._tools.clock.sleep(_refused(error))
        for transfer in debris:
            runner.clean(transfer)

    async def _turn(self, runner: Runner) -> float | None:
        """Start what may run now; returns how long nothing will change by itself."""
        now = self._tools.clock.now()  # one now for all: what becomes due meanwhile must not fall between two looks
        try:
            due = await self._release_due(now)  # whoever changes it later wakes us
            await self._claim(runner, now)
        except FerryError as error:
            return _refused(error)
        return min((at - now for at in (due, self._gates.due(now)) if at is not None and at > now), default=None)

    async def _release_due(self, now: float) -> float | None:
        """Let go of what waited until now; returns when the next is due."""
        ledger = self._tools.ledger
        due = await ledger.store.next_due()
        if due is None or due > now or self._draining:
            return due
        await ledger.release_due(now)
        return await ledger.store.next_due()

    async def _claim(self, runner: Runner, now: float) -> None:
        ledger = self._tools.ledger
        async with self._claiming:
            running, limit = runner.running, self._limit
            if self._draining or len(running) >= limit:
                return
            candidates = self._gates.passing(await ledger.store.candidates(limit), running, now)
            chosen = plan(candidates, running=running.keys(), limit=limit, served=self._turns.served)
            if chosen:
                self._turns.note(chosen)
                for transfer in await ledger.claim([candidate.id for candidate in chosen]):
                    runner.start(transfer)


def _refused(error: FerryError) -> float:
    """The disk of the queue: the transfers wait with it. Returns for how long."""
    log.error("queue could not be used reason=%s message=%s", error.reason, error.message)
    return _STORE_PAUSE_S
