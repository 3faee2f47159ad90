"""A running hub and two people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.hub_content.rig import Person, Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as hub:
        yield hub


@pytest.fixture
async def alice(rig: Rig) -> Person:
    return await rig.person("alice@example.org")


@pytest.fixture
async def bob(rig: Rig) -> Person:
    return await rig.person("bob@example.org")
