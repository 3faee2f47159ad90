"""The engine: what rpc/ and app.py see of the daemon's brain. Upload steps 4 to 10 start here.

It puts the parts together and keeps the loop that claims transfers; decisions live in commands, scheduler, runner and
retry. No SQL, no network, no protobuf.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ferryd.core.model import EMBEDDED, Context, DownloadSpec, Kind, Limits, Transfer, TransferFile, UploadSpec
from ferryd.core.ports import Clock, Files, Hubs, Lanes, Store
from ferryd.core.states import State
from ferryd.engine import validate
from ferryd.engine.commands import Commands, Request
from ferryd.engine.dispatcher import Dispatcher
from ferryd.engine.ledger import Ledger
from ferryd.engine.limits import Bandwidth, Slots
from ferryd.engine.progress import Fanout
from ferryd.engine.queries import Page, Queries
from ferryd.engine.run import Counters, Tools
from ferrywire.reasons import FerryError

__all__ = ["Engine", "EngineStatistics", "Page"]

log = logging.getLogger(__name__)
_DRAIN_S: Final = 1.8
_COMMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Counters since the start of the process. `transfers` is by state, now."""

    transfers: dict[State, int]
    sent_bytes: int
    received_bytes: int
    retried_parts: int
    watchers: int


class Engine:
    """The transfers of this daemon. All methods are for the event loop; errors are `FerryError`."""

    def __init__(
        self, *, store: Store, hubs: Hubs, lanes: Lanes, files: Files, clock: Clock, limits: Limits | None = None
    ) -> None:
        self._store = store
        self._limits = limits or Limits()  # until the store says what was set at run time
        self._limits_loaded = False
        self._limits_lock = asyncio.Lock()
        self._bandwidth = Bandwidth(self._limits.bandwidth_bps, clock.monotonic)
        self._fanout = Fanout(clock)
        self._counters = Counters()
        self._draining = False
        self._ledger = ledger = Ledger(store, self._fanout, clock)
        tools = Tools(ledger, hubs, lanes, files, clock, Slots(self._limits.parts_in_flight), self._counters)
        self._slots = tools.slots
        self._dispatcher = Dispatcher(tools, self._bandwidth)
        self._commands = Commands(ledger, files, clock, self._dispatcher.wake)
        self._queries = Queries(ledger, self._fanout)
        self._apply(self._limits)

    async def run(self) -> None:
        """Recover, then claim and run transfers until cancelled. Commands work before it has begun, too."""
        await self._load_limits()
        await self._dispatcher.run()

    async def drain(self) -> int:
        """Refuse new transfers, interrupt the running ones (back to QUEUED, progress kept) and end all watches with
        SHUTTING_DOWN. Returns within about 2 s how many were running. Idempotent."""
        self._draining = True
        count = await self._dispatcher.drain(_DRAIN_S)
        self._fanout.end()
        return count

    @property
    def draining(self) -> bool:
        """True while new transfers are refused."""
        return self._draining

    async def active(self) -> bool:
        """Whether any transfer has not settled and is not paused by its user: then the daemon must not exit idly."""
        return await self._store.active()

    async def statistics(self) -> EngineStatistics:
        """Counters, cheap enough to ask every second."""
        counts = await self._store.counts()
        return EngineStatistics(
            transfers={state: counts.get(state, 0) for state in State},
            sent_bytes=self._counters.sent_bytes,
            received_bytes=self._counters.received_bytes,
            retried_parts=self._counters.retried_parts,
            watchers=self._fanout.watchers,
        )

    @property
    def counters(self) -> Counters:
        """What was moved since the start of the process. To be read."""
        return self._counters

    @property
    def settled(self) -> Mapping[tuple[Kind, State], int]:
        """How many transfers have settled since then."""
        return self._ledger.settled

    async def unsettled(self) -> Mapping[tuple[State, str], int]:
        """How many have not, by state and what they wait for; cheap, however many there were."""
        return await self._store.unsettled()

    async def create_upload(
        self,
        spec: UploadSpec,
        *,
        client: str = "",
        priority: int = 0,
        request_id: str = "",
        context: Context = EMBEDDED,
    ) -> Transfer:
        """Queue an upload to a hub; returns after it is durable. INVALID_ARGUMENT, SOURCE_*, REQUEST_ID_REUSED,
        DISK_FULL, SHUTTING_DOWN."""
        self._refuse_while_draining()
        ask = Request(client, priority, request_id, context)
        return await self._commands.create_upload(spec, ask)

    async def create_download(
        self,
        spec: DownloadSpec,
        *,
        client: str = "",
        priority: int = 0,
        request_id: str = "",
        context: Context = EMBEDDED,
    ) -> Transfer:
        """Queue a download from a hub; returns after it is durable. INVALID_ARGUMENT, DESTINATION_UNWRITABLE,
        REQUEST_ID_REUSED, DISK_FULL, SHUTTING_DOWN."""
        self._refuse_while_draining()
        ask = Request(client, priority, request_id, context)
        return await self._commands.create_download(spec, ask)

    async def signed_in(self, context: Context) -> int:
        """Somebody has signed in to this hub: what waits for that goes on. Returns how many."""
        return await self._dispatcher.signed_in(context)

    async def get(self, transfer_id: str) -> Transfer:
        """The transfer as it is now. TRANSFER_NOT_FOUND."""
        return await self._queries.get(transfer_id)

    async def list(self, *, page_size: int = 0, page_token: str = "", states: Sequence[State] = ()) -> Page[Transfer]:
        """Newest first. PAGE_TOKEN_INVALID, INVALID_ARGUMENT (page_size below 0; above 1,000 is capped; 0 means 50)."""
        return await self._queries.list(page_size=page_size, page_token=page_token, states=states)

    async def list_files(self, transfer_id: str, *, page_size: int = 0, page_token: str = "") -> Page[TransferFile]:
        """The files in manifest order. TRANSFER_NOT_FOUND, PAGE_TOKEN_INVALID."""
        return await self._queries.list_files(transfer_id, page_size=page_size, page_token=page_token)

    async def pause(self, transfer_id: str) -> Transfer:
        """Durable when it returns. A PAUSED one stays so. ILLEGAL_TRANSITION."""
        transfer = await self._commands.pause(transfer_id)
        await self._dispatcher.interrupt(transfer)
        return transfer

    async def resume(self, transfer_id: str) -> Transfer:
        """PAUSED or FAILED to QUEUED, with a fresh retry budget. ILLEGAL_TRANSITION."""
        return await self._commands.resume(transfer_id)

    async def cancel(self, transfer_id: str) -> Transfer:
        """Durable when it returns; leftovers are removed after it. A CANCELLED one stays so. While a commit is under
        way, waits up to 5 s for it: what is committed cannot be cancelled. ILLEGAL_TRANSITION."""
        await self._dispatcher.wait_for_commit(transfer_id, _COMMIT_S)
        transfer = await self._commands.cancel(transfer_id)
        await self._dispatcher.interrupt(transfer)
        return transfer

    async def retry(self, transfer_id: str) -> Transfer:
        """FAILED or waiting to QUEUED and due at once, with a fresh retry budget. ILLEGAL_TRANSITION."""
        self._dispatcher.open_gates()
        return await self._commands.retry(transfer_id)

    async def set_priority(self, transfer_id: str, priority: int) -> Transfer:
        """-100 to 100. ILLEGAL_TRANSITION when settled."""
        return await self._commands.set_priority(transfer_id, priority)

    async def limits(self) -> Limits:
        """The limits in force."""
        await self._load_limits()
        return self._limits

    async def set_limits(
        self,
        *,
        bandwidth_bps: int | None = None,
        running_transfers: int | None = None,
        parts_in_flight: int | None = None,
    ) -> Limits:
        """Change the limits named, at once and for later starts. INVALID_ARGUMENT."""
        await self._load_limits()
        named = {
            "bandwidth_bps": bandwidth_bps,
            "running_transfers": running_transfers,
            "parts_in_flight": parts_in_flight,
        }
        async with self._limits_lock:
            limits = replace(self._limits, **{name: value for name, value in named.items() if value is not None})
            validate.check_limits(limits)
            await self._store.save_limits(limits)
            self._apply(limits)
        return limits

    async def subscribe(
        self, transfer_ids: Sequence[str] = (), min_interval_s: float = 0.2
    ) -> AsyncIterator[tuple[Transfer, bool]]:
        """(transfer, initial): first the snapshot of each, then changes. Ends when all named ones have settled; never
        for all. TRANSFER_NOT_FOUND, SHUTTING_DOWN. An async generator: `aclose` it when done."""
        async for event in self._queries.subscribe(transfer_ids, min_interval_s):
            yield event

    async def _load_limits(self) -> None:
        async with self._limits_lock:
            if not self._limits_loaded:
                self._apply(await self._store.load_limits() or self._limits)
                self._limits_loaded = True

    def _apply(self, limits: Limits) -> None:
        self._limits = limits
        self._bandwidth.set_rate(limits.bandwidth_bps)
        self._slots.set_limit(limits.parts_in_flight)
        self._dispatcher.set_limit(limits.running_transfers)

    def _refuse_while_draining(self) -> None:
        if self._draining:
            raise FerryError("SHUTTING_DOWN", "the daemon stops and takes no new transfer; call again")
