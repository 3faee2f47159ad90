"""The time as the catalogue stores it. Nothing else."""

from __future__ import annotations

import time


def now_us() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
