"""Ready means that the database and every store answer, and that nobody has told the hub to stop."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import schema
from ferryhub.catalogue.settings import set_least_head
from ferryhub.health import Health
from ferrywire.reasons import FerryError
from tests.unit.hub.conftest import Catalogue


class _Stores:
    """Stands for `Places`: one location, whose store can be made to fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.hangs = threading.Event()
        self.hangs.set()
        self.threads = StoreThreads(1)

    async def names(self) -> list[str]:
        return ["far"]

    async def get(self, name: str) -> Any:
        return SimpleNamespace(store=SimpleNamespace(blobs_of=self._blobs_of), threads=self.threads)

    def _blobs_of(self, session_id: str) -> list[str]:
        self.asked += 1
        self.hangs.wait()
        if self.fails:
            raise FerryError("HUB_OVERLOADED", "the store does not answer")
        return []


async def test_stores_are_asked_now_and_then(catalogue: Catalogue) -> None:
    stores, clock = _Stores(), [100.0]
    health = Health(catalogue.database, stores, clock_s=lambda: clock[0])
    assert [await health.problem() for _ in range(3)] == ["", "", ""]
    assert stores.asked == 1
    stores.fails = True
    clock[0] += 10
    assert [await health.problem() for _ in range(2)] == ["storage location far"] * 2
    stores.fails = False
    clock[0] += 10
    assert await health.problem() == ""
    health.draining = True
    assert await health.problem() == "draining"
    assert stores.asked == 3
    stores.threads.close()


async def test_a_store_that_hangs_is_asked_once_and_answered_for_in_time(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryhub.health._TIMEOUT_S", 0.05)
    stores, clock = _Stores(), [100.0]
    health = Health(catalogue.database, stores, clock_s=lambda: clock[0])
    stores.hangs.clear()
    for _ in range(3):
        assert await health.problem() == "storage location far does not answer"
        clock[0] += 10
    assert stores.asked == 1
    monkeypatch.undo()
    stores.hangs.set()
    assert [await health.problem(), stores.asked] == ["", 1]
    clock[0] += 10
    assert [await health.problem(), stores.asked] == ["", 2]
    stores.threads.close()


async def test_a_hub_that_the_database_is_too_new_for_is_not_ready(catalogue: Catalogue) -> None:
    health = Health(catalogue.database, _Stores())
    await catalogue.do(set_least_head, schema.HEAD)
    assert await health.problem() == ""
    await catalogue.do(set_least_head, "9999")
    assert await health.problem() == "the database is for a newer ferryhub"
