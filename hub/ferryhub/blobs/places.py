"""Where a session's bytes go, location by location. Upload steps 8 and 10, D7. No SQL, no protobuf here.

A place is what differs between a store whose bytes pass through the hub and one that callers go to themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from ferryhub.blobs.locations import Location
from ferryhub.blobs.store import BlobStore
from ferryhub.blobs.threads import StoreThreads
from ferryhub.catalogue import locations
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import OWN_FILES, PartRules, StorageLocation
from ferryhub.catalogue.packs import Pack
from ferryhub.catalogue.parts import Part, Slot
from ferrywire.reasons import FerryError


class Place(Protocol):
    """One storage location. `store`'s calls block: they run in `threads`."""

    @property
    def store(self) -> BlobStore: ...
    @property
    def threads(self) -> StoreThreads: ...
    @property
    def rules(self) -> PartRules: ...

    async def sign(
        self, session_id: str, wanted: Sequence[Part], slots: Sequence[Slot], *, accept_files: bool
    ) -> list[Location]:
        """Where to put parts, in order. No row vouches afterwards for bytes that may be overwritten."""

    async def sign_pack(self, session_id: str, pack: Pack, *, accept_files: bool) -> Location:
        """Where to put a pack. As `sign`."""

    async def record(
        self, session_id: str, given: Sequence[Part], slots: Sequence[Slot], write: Callable[[], Awaitable[None]]
    ) -> None:
        """Check what a caller says of parts it has sent, then `write` the rows. `CHUNK_CORRUPT`, `INVALID_ARGUMENT`."""

    async def record_pack(self, session_id: str, pack: Pack, write: Callable[[], Awaitable[None]]) -> None:
        """As `record`, of all parts of a pack."""

    async def recheck(self, session_id: str) -> None:
        """Remove the rows of parts that the store has lost, so that a list of them is true."""

    async def reads(self, keys: Sequence[str], *, accept_files: bool) -> list[Location]:
        """Where to read blobs from, in order."""


class Places:
    """All places. `own` is the hub's own files; the others are made by `make`, when first used or before."""

    def __init__(self, database: Database, own: Place, make: Callable[[StorageLocation], Place]) -> None:
        self._database = database
        self._own = own
        self._make = make
        self._made: dict[str, Place] = {}
        self._making = asyncio.Lock()

    async def get(self, name: str) -> Place:
        """The place of a location. Errors: `RESOURCE_NOT_FOUND`, `HUB_OVERLOADED` when it cannot be made now."""
        if name == OWN_FILES:
            return self._own
        async with self._making:
            if name not in self._made:
                location = await self._database.read(locations.find, name)
                self._made[name] = await asyncio.to_thread(self._make, location)
            return self._made[name]

    async def names(self) -> list[str]:
        """The names of all locations."""
        return [location.name for location in await self._database.read(locations.listing)]

    async def prepare(self) -> None:
        """Make them all now, not while a caller waits: what talks to a store takes half a second to load. One that
        cannot be made says so to whoever uses it."""
        with contextlib.suppress(FerryError):
            await asyncio.gather(*map(self.get, await self.names()), return_exceptions=True)

    async def close(self) -> None:
        """Close every store and its threads."""
        for place in (self._own, *self._made.values()):
            await asyncio.to_thread(place.threads.close)
            await asyncio.to_thread(place.store.close)


@asynccontextmanager
async def closing(places: Places) -> AsyncIterator[Places]:
    """The places; closed at the end."""
    try:
        yield places
    finally:
        await places.close()
