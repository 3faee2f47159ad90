"""When a call that got lost is tried again at once: a few tries within about a second. Upload steps 7, 8 and 10,
download D7, and the forwarded calls of the catalogue.

Whatever lasts longer is for others to wait for, visibly: the engine, or the caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ferryd.core.ports import Clock
from ferrywire.reasons import FerryError

_REASONS: Final = frozenset({"HUB_UNREACHABLE", "HUB_OVERLOADED"})
_LONGEST_WAIT_S: Final = 2.0
#: An attempt that took longer was no blip (a deadline passed).
_QUICK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Blips:
    """At most `tries` attempts; the wait before attempt n + 1 is random below `base_s` · 2ⁿ (full jitter), or what the
    hub asked for when that is short."""

    clock: Clock
    tries: int = 3
    base_s: float = 0.2
    jitter: Callable[[], float] = random.random

    async def wait(self, error: FerryError, failures: int, began: float) -> None:
        """Wait before the next attempt, or raise the error when there is none. `began` is when the attempt that failed
        did, and `failures` how many have."""
        asked_s = error.retry_after_s
        quick = self.clock.monotonic() - began < _QUICK_S and (asked_s or 0) <= _LONGEST_WAIT_S
        if error.reason not in _REASONS or failures >= self.tries or not quick:
            raise error
        await self.clock.sleep(self.jitter() * self.base_s * 2 ** (failures - 1) if asked_s is None else asked_s)
