"""Places are made before the first caller waits for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from ferryhub.blobs.places import Place, Places
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import OWN_FILES, StorageLocation
from ferrywire.reasons import FerryError


class Locations:
    """A database that knows three locations."""

    async def read(self, query: Any, *words: Any) -> Any:
        if words:
            return SimpleNamespace(name=words[0])
        return [SimpleNamespace(name=name) for name in (OWN_FILES, "lake", "broken")]


async def test_all_that_can_be_made_are_made_and_the_others_say_so_when_used() -> None:
    asked: list[str] = []

    def make(location: StorageLocation) -> Place:
        asked.append(location.name)
        if location.name == "broken":
            raise ValueError("no such endpoint")
        return cast("Place", object())

    places = Places(cast("Database", Locations()), cast("Place", object()), make)
    await places.prepare()
    assert asked == ["lake", "broken"]
    lake = await places.get("lake")
    assert await places.get("lake") is lake and asked == ["lake", "broken"]


async def test_a_database_that_cannot_be_read_now_is_nobody_s_failure() -> None:
    class Away:
        async def read(self, query: Any, *words: Any) -> Any:
            raise FerryError("HUB_OVERLOADED", "the database is away")

    await Places(cast("Database", Away()), cast("Place", object()), lambda _: cast("Place", object())).prepare()
