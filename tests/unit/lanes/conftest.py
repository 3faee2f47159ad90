"""Lanes that give up quickly, and what they make durable in which order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferryd.lanes import durable
from ferryd.lanes.pool import ByteLanes
from ferrywire.durable import start_sync


@pytest.fixture
def lanes() -> Iterator[ByteLanes]:
    made = ByteLanes(threads=2, connect_timeout_s=5, stall_timeout_s=1)
    yield made
    made.close()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was begun, synced and acknowledged, in order."""
    events: list[str] = []
    start, sync = start_sync, durable.sync_data

    def started(fd: int) -> None:
        events.append("start")
        start(fd)

    def synced(fd: int) -> None:
        sync(fd)
        events.append("sync")

    monkeypatch.setattr(durable, "start_sync", started)
    monkeypatch.setattr(durable, "sync_data", synced)
    return events
