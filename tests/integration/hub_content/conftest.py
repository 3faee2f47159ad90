"""A running hub and two people, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.integration.hub_content.rig import Person, Rig, running
from tests.unit.hub.conftest import database_url as database_url


@pytest.fixture
async def rig(tmp_path: Path, database_url: URL) -> AsyncIterator[Rig]:
    async with running(tmp_path, database_url=database_url) as hub:
        yield hub


@pytest.fixture
async def alice(rig: Rig) -> Person:
    return await rig.person("alice@example.org")


@pytest.fixture
async def bob(rig: Rig) -> Person:
    return await rig.person("bob@example.org")
