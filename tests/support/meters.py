"""Meters for tests of the lanes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryd.core.ports import Interrupted


@dataclass
class CountingMeter:
    """Counts; interrupts once `limit` bytes have moved, or when told."""

    limit: int | None = None
    stopped: bool = False
    count: int = 0
    windows: list[int] = field(default_factory=list)

    def moved(self, count: int) -> None:
        self.count += count
        self.windows.append(count)
        self.check()

    def check(self) -> None:
        if self.stopped or (self.limit is not None and self.count >= self.limit):
            raise Interrupted
