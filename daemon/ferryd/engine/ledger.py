"""Writes that watchers hear of: the store first, then, once durable, the fan-out. Upload steps 5 and 9.

It also holds what is only of the moment about running transfers (phase, rate, the file that moved last), so that every
reader sees one picture. No decision is taken here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ferryd.core.model import Context, Kind, Phase, StoredPart, Transfer, TransferFile
from ferryd.core.ports import Clock, Store
from ferryd.core.states import SETTLED, Event, State
from ferryd.engine.progress import Fanout
from ferrywire.reasons import FerryError, Wait


class Ledger:
    """The one way in which the engine changes a transfer."""

    def __init__(self, store: Store, fanout: Fanout, clock: Clock) -> None:
        self.store = store
        self._fanout = fanout
        self._clock = clock
        self._live: dict[str, Transfer] = {}
        #: How many have settled since the start of the process, by kind and state.
        self.settled: Counter[tuple[Kind, State]] = Counter()

    def view(self, transfer: Transfer) -> Transfer:
        """A row with what is only known while it runs."""
        live = self._live.get(transfer.id)
        if live is None or transfer.state is not State.RUNNING:
            return transfer
        return replace(
            transfer,
            phase=live.phase,
            rate_bps=live.rate_bps,
            file_index=live.file_index,
            file_name=live.file_name,
            waiting_for=live.waiting_for,
            next_attempt_at=live.next_attempt_at,
            error=live.error if live.waiting_for else transfer.error,
            updated_at=max(transfer.updated_at, live.updated_at),
        )

    async def insert(self, transfer: Transfer, files: Sequence[TransferFile], fingerprint: str) -> Transfer:
        return self._tell(await self.store.insert(transfer, files, fingerprint))

    async def change(self, transfer_id: str, event: Event, **fields: Any) -> Transfer:
        changed = await self.store.change(transfer_id, event, **fields)
        if changed.state in SETTLED:
            self.settled[changed.kind, changed.state] += 1
        return self._tell(changed)

    async def update(self, transfer_id: str, **fields: Any) -> Transfer:
        return self._tell(await self.store.update(transfer_id, **fields))

    async def record(
        self,
        transfer_id: str,
        *,
        parts: Sequence[StoredPart] = (),
        files: Sequence[TransferFile] = (),
        **fields: Any,
    ) -> Transfer:
        return self._tell(await self.store.record(transfer_id, parts=parts, files=files, **fields))

    async def replan(self, transfer_id: str, files: Sequence[TransferFile], **fields: Any) -> Transfer:
        return self._tell(await self.store.replan(transfer_id, files, **fields))

    async def forget_session(self, transfer_id: str) -> Transfer:
        return self._tell(await self.store.forget_session(transfer_id))

    async def release_due(self, now: float) -> None:
        for transfer in await self.store.release_due(now):
            self._tell(transfer)

    async def release_signed_out(self, context: Context) -> int:
        return len([self._tell(transfer) for transfer in await self.store.release_signed_out(context)])

    async def claim(self, transfer_ids: Sequence[str]) -> list[Transfer]:
        return [self._tell(transfer) for transfer in await self.store.claim(transfer_ids)]

    async def recover(self) -> int:
        return len([self._tell(transfer) for transfer in await self.store.recover()])

    def show(
        self,
        transfer_id: str,
        *,
        phase: Phase | None = None,
        rate_bps: float | None = None,
        file: TransferFile | None = None,
    ) -> None:
        """Show what a running transfer does now. Not stored; nothing when it does not run any more."""
        live = self._live.get(transfer_id)
        if live is None:
            return
        shown: dict[str, Any] = {
            "phase": phase or live.phase,
            "rate_bps": live.rate_bps if rate_bps is None else rate_bps,
            "file_index": live.file_index if file is None else file.index,
            "file_name": live.file_name if file is None else file.path,
        }
        if any(getattr(live, name) != value for name, value in shown.items()):
            self._live[transfer_id] = changed = replace(live, **shown, updated_at=self._clock.now())
            self._fanout.publish(changed)

    def show_refusal(self, transfer_id: str, error: FerryError, next_attempt_at: float) -> None:
        """Show what a run that has ended waits for: the queue's disk refuses its outcome, so no row can say it."""
        live = self._live.get(transfer_id)
        if live is not None:
            self._live[transfer_id] = shown = replace(
                live,
                waiting_for=error.row.waits_for or Wait.SPACE,
                next_attempt_at=next_attempt_at,
                error=error,
                rate_bps=0.0,
                updated_at=self._clock.now(),
            )
            self._fanout.publish(shown)

    def _tell(self, transfer: Transfer) -> Transfer:
        if transfer.state is State.RUNNING:
            if transfer.id not in self._live:
                self._live[transfer.id] = replace(transfer, phase=Phase.PREPARING)
            self._live[transfer.id] = transfer = self.view(transfer)
        else:
            self._live.pop(transfer.id, None)
        self._fanout.publish(transfer)
        return transfer
