"""Progress to watchers: the latest value, not a queue. Upload step 9.

Changes of state are delivered at once and in order; progress between them is coalesced to the watcher's interval. A
slow watcher holds one pending value per transfer and state, a handful at most. Also the arithmetic of what is shown.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ferryd.core.model import Transfer
from ferryd.core.ports import Clock
from ferryd.core.states import SETTLED, State
from ferryd.engine.waiting import wait_for_event
from ferrywire.reasons import FerryError

_SHORTEST_S: Final = 0.02
_STATES_KEPT: Final = 8
_RATE_MEMORY_S: Final = 3.0


class Tally:
    """What the receiver has, and what is shown of it: never less than before, and all of it only when verified."""

    def __init__(self, transfer: Transfer) -> None:
        self._count = transfer.chunk_count
        self._confirmed_bytes = self._confirmed_parts = 0
        self.shown_bytes = transfer.persisted_bytes
        self.shown_parts = transfer.chunk_index

    def resize(self, chunk_count: int) -> None:
        """The number of parts is known now, or known better."""
        self._count = chunk_count

    def restart(self) -> None:
        """Count anew what is confirmed; what was shown stays."""
        self._confirmed_bytes = self._confirmed_parts = 0

    def confirm(self, parts: int, size_bytes: int) -> None:
        """The receiver has these."""
        self._confirmed_bytes += size_bytes
        self._confirmed_parts += parts
        if self._confirmed_parts < self._count:  # the last part is shown with the success, after verification
            self.shown_bytes = max(self.shown_bytes, self._confirmed_bytes)
            self.shown_parts = max(self.shown_parts, self._confirmed_parts)


class RateGauge:
    """Bytes per second, smoothed over a few seconds."""

    def __init__(self, now_s: float) -> None:
        self._at_s = now_s
        self._moved_bytes = 0
        self.rate_bps = 0.0

    def sample(self, now_s: float, moved_bytes: int) -> float:
        """Take the total moved until now; returns the rate."""
        elapsed_s = now_s - self._at_s
        if elapsed_s > 0:
            weight = min(1.0, elapsed_s / _RATE_MEMORY_S)
            latest_bps = (moved_bytes - self._moved_bytes) / elapsed_s
            self.rate_bps += weight * (latest_bps - self.rate_bps)
            self._at_s, self._moved_bytes = now_s, moved_bytes
        return self.rate_bps if self.rate_bps >= 1 else 0.0


class Subscription:
    """One watcher. `transfer_ids` None means all."""

    def __init__(self, clock: Clock, transfer_ids: frozenset[str] | None, min_interval_s: float) -> None:
        self._clock = clock
        self._ids = transfer_ids
        self._interval_s = max(min_interval_s, _SHORTEST_S)
        self._pending: dict[str, list[Transfer]] = {}
        self._sent: dict[str, tuple[State, float]] = {}
        self._changed = asyncio.Event()
        self._ended = False

    def offer(self, transfer: Transfer) -> None:
        """Called for every change; keeps what has to be kept."""
        if self._ids is not None and transfer.id not in self._ids:
            return
        values = self._pending.setdefault(transfer.id, [])
        if values and values[-1].state is transfer.state:
            values[-1] = transfer  # nobody is woken: when this one is due was known before
            return
        values.append(transfer)
        del values[:-_STATES_KEPT]
        self._changed.set()

    def end(self) -> None:
        """The daemon drains: the next `next()` that finds nothing raises SHUTTING_DOWN."""
        self._ended = True
        self._changed.set()

    def sent(self, transfer: Transfer) -> None:
        """This value has been given to the watcher: older ones are of no use."""
        values = [one for one in self._pending.pop(transfer.id, []) if one.updated_at > transfer.updated_at]
        if values:
            self._pending[transfer.id] = values
        self._note(transfer)

    async def next(self) -> Transfer:
        """The next change worth sending. SHUTTING_DOWN."""
        while True:
            self._changed.clear()
            found, wait_s = self._take()
            if found is not None:
                return found
            if self._ended:
                raise FerryError("SHUTTING_DOWN", "the daemon stops; watch again when it is back")
            await wait_for_event(self._changed, self._clock, wait_s)

    def _take(self) -> tuple[Transfer | None, float | None]:
        now_s = self._clock.monotonic()
        wait_s: float | None = None
        for transfer_id, values in self._pending.items():
            # Progress that another state follows must not hold that state back.
            at_once = self._ended or len(values) > 1
            due_s = 0.0 if at_once else self._due_s(values[0], now_s)
            if due_s <= 0:
                value = values.pop(0)
                if not values:
                    del self._pending[transfer_id]
                self._note(value)
                return value, None
            wait_s = due_s if wait_s is None else min(wait_s, due_s)
        return None, wait_s

    def _due_s(self, value: Transfer, now_s: float) -> float:
        state, at_s = self._sent.get(value.id, (None, 0.0))
        return at_s + self._interval_s - now_s if state is value.state else 0.0

    def _note(self, transfer: Transfer) -> None:
        if transfer.state in SETTLED and transfer.state is not State.FAILED:
            self._sent.pop(transfer.id, None)
        else:
            self._sent[transfer.id] = (transfer.state, self._clock.monotonic())


class Fanout:
    """All watchers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: set[Subscription] = set()
        self._ended = False

    @property
    def watchers(self) -> int:
        return len(self._subscriptions)

    def publish(self, transfer: Transfer) -> None:
        for subscription in self._subscriptions:
            subscription.offer(transfer)

    def open(self, transfer_ids: frozenset[str] | None, min_interval_s: float) -> Subscription:
        subscription = Subscription(self._clock, transfer_ids, min_interval_s)
        self._subscriptions.add(subscription)
        if self._ended:
            subscription.end()
        return subscription

    def close(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def end(self) -> None:
        """End every watch, present and future."""
        self._ended = True
        for subscription in self._subscriptions:
            subscription.end()
