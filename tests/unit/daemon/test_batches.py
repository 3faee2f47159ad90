"""How much goes into a batch, as fast as a run is."""

from __future__ import annotations

from typing import Any

import pytest

from ferryd.engine.batches import Pace
from ferryd.engine.limits import Slots

MIB = 1 << 20


class OneRun:
    """What `Pace` asks a run."""

    id = "trf_1"

    def __init__(self) -> None:
        self.moved_bytes = 0
        self.meter: Any = self


@pytest.mark.parametrize(
    ("bytes_per_s", "slots", "batch_bytes"),
    [
        (0, 8, MIB),  # as it begins
        (2 * MIB, 8, MIB),  # a slow line: what is there is known soon
        (16 * MIB, 8, 4 * MIB),  # two seconds of a slot
        (16 * MIB, 1, 8 * MIB),
        (900 * MIB, 8, 8 * MIB),
    ],
)
async def test_a_batch_is_two_seconds_of_a_slot(bytes_per_s: int, slots: int, batch_bytes: int) -> None:
    now, run, free = 100.0, OneRun(), Slots(8)
    run.moved_bytes = 77 * MIB  # before the parts began
    for _ in range(slots):
        await free.acquire(run.id)
    pace = Pace(run, free, lambda: now)  # type: ignore[arg-type]
    assert pace.batch_bytes() == MIB
    now += 10
    run.moved_bytes += 10 * bytes_per_s
    assert pace.batch_bytes() == batch_bytes


async def test_the_pace_is_that_of_the_last_while() -> None:
    now, run, free = 100.0, OneRun(), Slots(1)
    pace = Pace(run, free, lambda: now)  # type: ignore[arg-type]
    for seconds, bytes_per_s, batch_bytes in [(600, 100 * MIB, 8 * MIB), (0.1, 0, 8 * MIB), (10, MIB // 4, MIB)]:
        now += seconds
        run.moved_bytes += int(seconds * bytes_per_s)
        assert pace.batch_bytes() == batch_bytes
