"""Lanes that give up quickly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferryd.lanes.pool import ByteLanes


@pytest.fixture
def lanes() -> Iterator[ByteLanes]:
    made = ByteLanes(threads=2, connect_timeout_s=5, stall_timeout_s=1)
    yield made
    made.close()
