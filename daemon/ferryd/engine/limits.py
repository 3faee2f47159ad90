"""What all transfers share: the bandwidth and the parts in flight. Upload step 8, download step D8.

`Bandwidth` and `TransferMeter` are used from lane threads; `Slots` only on the event loop. No I/O here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ferryd.core.ports import Interrupted

_BURST_S: Final = 0.1  #: what may be saved up while nothing moves
_NAP_S: Final = 0.1  #: how soon a waiting lane sees a changed limit


class Bandwidth:
    """A token bucket that is paid afterwards: whoever has moved bytes waits until the debt is gone.

    A window larger than the rate is no special case, and the average is kept over any number of threads.
    """

    def __init__(self, rate_bps: int, monotonic: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._rate_bps = rate_bps
        self._credit_bytes = 0.0
        self._at = monotonic()

    @property
    def rate_bps(self) -> int:
        """Bytes per second; 0 is unlimited."""
        return self._rate_bps

    def set_rate(self, rate_bps: int) -> None:
        """Change the limit at once: the debt is kept, but paid off at the new rate."""
        with self._lock:
            self._refill()
            self._rate_bps = rate_bps
            if not rate_bps:
                self._credit_bytes = 0.0

    def spend(self, count: int) -> None:
        """Count bytes that were moved."""
        with self._lock:
            self._refill()
            if self._rate_bps:
                self._credit_bytes -= count

    def wait_s(self) -> float:
        """How long until the debt is paid at the present rate; 0 when there is none."""
        with self._lock:
            self._refill()
            return max(0.0, -self._credit_bytes / self._rate_bps) if self._rate_bps else 0.0

    def _refill(self) -> None:
        now = self._monotonic()
        earned = (now - self._at) * self._rate_bps
        self._at = now
        self._credit_bytes = min(self._credit_bytes + earned, self._rate_bps * _BURST_S)


class TransferMeter:
    """The `Meter` of one running transfer: counts, holds back, and tells lanes to stop."""

    def __init__(self, bandwidth: Bandwidth, count_total: Callable[[int], None]) -> None:
        self._bandwidth = bandwidth
        self._count_total = count_total
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._moved_bytes = 0

    @property
    def moved_bytes(self) -> int:
        """Bytes moved by this run, those of failed parts included."""
        return self._moved_bytes

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Make every lane of this transfer end at its next window."""
        self._stopped.set()

    def check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted

    def moved(self, count: int) -> None:
        self.check()
        with self._lock:
            self._moved_bytes += count
        self._count_total(count)
        self._bandwidth.spend(count)
        while (wait_s := self._bandwidth.wait_s()) > 0:
            if self._stopped.wait(min(wait_s, _NAP_S)):
                raise Interrupted


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """Who waits for a slot."""

    key: str
    large: bool
    granted: asyncio.Future[None]


class Slots:
    """Parts in flight over all transfers: a free slot goes to the waiting transfer that holds the fewest.

    Large parts of one transfer get half of them: more connections move nothing sooner but cost the receiver memory and
    processor time, and another transfer would wait until a large part has gone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    @property
    def held(self) -> int:
        """Slots in use. May exceed the limit for a while after it was lowered."""
        return self._held.total()

    def held_by(self, key: str) -> int:
        """Slots that one transfer holds."""
        return self._held[key]

    def set_limit(self, limit: int) -> None:
        """Change the number of slots; nobody who holds one loses it."""
        self._limit = limit
        self._grant()

    async def acquire(self, key: str, *, large: bool = False) -> None:
        """Take a slot for a transfer, waiting for one if need be."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(key, large, granted))
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(key)
            else:
                self._waiting = [waiter for waiter in self._waiting if waiter.granted is not granted]
            raise

    def release(self, key: str) -> None:
        """Give a slot back."""
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        self._grant()

    def _grant(self) -> None:
        while self.held < self._limit and (able := [waiter for waiter in self._waiting if self._may(waiter)]):
            chosen = min(able, key=lambda waiter: self._held[waiter.key])
            self._waiting.remove(chosen)
            if not chosen.granted.done():
                self._held[chosen.key] += 1
                chosen.granted.set_result(None)

    def _may(self, waiter: _Waiter) -> bool:
        return not waiter.large or self._held[waiter.key] < (self._limit + 1) // 2
