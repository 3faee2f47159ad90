"""How windows follow a bandwidth limit."""

from __future__ import annotations

import pytest

from ferryd.lanes.windows import WINDOW_BYTES, Window
from tests.support.meters import CountingMeter


def test_windows_shrink_while_the_meter_holds_us_and_grow_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    held_s = 1.0

    class Holding(CountingMeter):
        def moved(self, count: int) -> None:
            nonlocal now
            now += held_s

    monkeypatch.setattr("ferryd.lanes.windows.time.monotonic", lambda: now)
    window = Window(Holding())
    sizes = []
    for _ in range(10):
        window.moved(window.size)
        sizes.append(window.size)
    assert sizes[0] == WINDOW_BYTES // 2
    assert sizes[-1] == sizes[-2] == 16 << 10
    held_s = 0.0
    for _ in range(10):
        window.moved(window.size)
    assert window.size == WINDOW_BYTES
