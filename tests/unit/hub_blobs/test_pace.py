"""`ferryhub verify --rate`: no more bytes than it allows, counted on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ferryhub.blobs import verify


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is; only sleeping moves it."""
    now = [100.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(verify, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(verify, "asyncio", SimpleNamespace(sleep=sleep))
    return now


async def test_no_more_than_the_rate(clock: list[float]) -> None:
    pace = verify.Pace(1000)
    read = 0
    for count in (500, 4000, 1, 2500, 1000):
        await pace.take(count)
        assert read <= 1000 * (clock[0] - 100.0), "before this read, all others were paid for"
        read += count
    assert clock[0] == pytest.approx(100.0 + (read - 1000) / 1000)


async def test_what_was_not_used_is_not_saved_up(clock: list[float]) -> None:
    pace = verify.Pace(1000)
    await pace.take(1000)
    clock[0] += 60
    await pace.take(1000)
    await pace.take(1000)
    assert clock[0] == pytest.approx(161.0)


async def test_no_rate_is_as_fast_as_it_goes(clock: list[float]) -> None:
    await verify.Pace(0).take(1 << 40)
    assert clock[0] == 100.0
