"""Removes what nobody comes back for: what expired, staged bytes without a session, blobs without a content.

Runs beside the upload steps and never against them: an open session's bytes are not touched, and young blobs are left
alone, for their commit may be under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Row

from ferryhub.blobs.gate import PartGate
from ferryhub.blobs.places import Place, Places
from ferryhub.blobs.store import Stored, session_of
from ferryhub.blobs.uploads import discard
from ferryhub.catalogue import contents, expiry, idempotency, sessions
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.leases import while_held
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

_SESSIONS_AT_ONCE: Final = 1000
_NAMES_AT_ONCE: Final = 500
#: So many sessions that cannot be removed end a sweep's work on sessions: a question names them.
_MOST_LEFT: Final = 10_000
#: What is younger is left alone, unless a hub is told otherwise, in seconds.
GRACE_S: Final = 3600.0
#: What the hub that sweeps holds, and how long a hub that stopped in the middle of it keeps others from going on.
LEASE: Final = "sweep"
_LEASE_S: Final = 120.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep removed."""

    expired_sessions: int
    orphan_stagings: int
    orphan_blobs: int


class Sweeper:
    """Sweeps every `interval_s` seconds what is older than `grace_s`. `now_us` is the clock."""

    def __init__(
        self,
        database: Database,
        places: Places,
        *,
        gate: PartGate,
        now_us: Callable[[], int],
        interval_s: float,
        grace_s: float,
    ) -> None:
        self._database = database
        self._places = places
        self._gate = gate
        self._now_us = now_us
        self._interval_s = interval_s
        self._grace_s = grace_s

    async def run(self) -> None:
        """Sweep until cancelled, one hub at a time. A sweep that fails is logged and the next one tries again."""
        holder = new_id("hub")
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                swept = await while_held(self._database, LEASE, holder, ttl_s=_LEASE_S, work=self.sweep_once)
                if swept is not None:
                    _log.info("swept %s", swept)
            except* FerryError as failed:  # a database that is away, say: no mistake of ours, and no traceback
                _log.error("sweep_failed error=%s", "; ".join(map(str, failed.exceptions)))
            except* Exception:  # noqa: BLE001 - the edge of a background task: the hub serves on, whatever a sweep meets
                _log.exception("sweep_failed")

    async def sweep_once(self) -> Swept:
        """One sweep over everything. A location that cannot be reached is left for the next one."""
        await self._database.write(idempotency.forget_old, self._now_us())
        await expiry.forget_expired(self._database, self._now_us())
        ended = await self._expired_sessions()
        stagings = blobs = 0
        for name in await self._places.names():
            try:
                place = await self._places.get(name)
                stagings += await self._orphan_stagings(place)
                blobs += await self._orphan_blobs(place)
            except FerryError as error:
                _log.error("storage location %s was not swept: %s", name, error)
        return Swept(ended, stagings, blobs)

    async def _expired_sessions(self) -> int:
        ended, left, away = 0, list[str](), set[str]()
        while rows := await self._database.read(sessions.expired, self._now_us(), _SESSIONS_AT_ONCE, left):
            for row in rows:
                try:
                    if await self._end_session(row, bytes_too=row.storage_location not in away):
                        ended += 1
                        continue
                except FerryError as error:  # one that cannot be removed must not keep the others
                    _log.error("session %s was not swept: %s", row.id, error)
                    if error.reason == "HUB_OVERLOADED":  # nor make each of its store's wait in vain
                        away.add(row.storage_location)
                left.append(row.id)
            if len(left) > _MOST_LEFT:
                break
        return ended

    async def _end_session(self, session: Row[Any], *, bytes_too: bool) -> bool:
        """Close a session, which gives its space back, and forget it with its bytes. False when it is not forgotten."""
        async with self._gate.whole(session.id):
            closed = await self._database.write(sessions.abort_expired, session.id, self._now_us())
            if not (closed and bytes_too):
                return False
            await discard(self._database, await self._places.get(session.storage_location), session.id, blobs=True)
            await self._database.write(sessions.forget, session.id)
        return True

    async def _orphan_stagings(self, place: Place) -> int:
        async def orphans_of(names: list[str]) -> list[str]:
            return sorted(set(names) - await self._database.read(sessions.open_among, names))

        return await self._remove(place, place.store.sessions, orphans_of, place.store.discard)

    async def _orphan_blobs(self, place: Place) -> int:
        async def orphans_of(keys: list[str]) -> list[str]:
            # Sessions first: one that commits in between has its blobs referenced by the time they are looked up.
            in_use = await self._database.read(sessions.open_among, sorted({session_of(key) for key in keys}))
            referenced = await self._database.read(contents.referenced, keys)
            return [key for key in keys if key not in referenced and session_of(key) not in in_use]

        return await self._remove(place, place.store.blobs, orphans_of, place.store.delete)

    async def _remove(
        self,
        place: Place,
        listing: Callable[[], Iterator[Stored]],
        orphans_of: Callable[[list[str]], Awaitable[list[str]]],
        remove: Callable[[str], None],
    ) -> int:
        """Remove what is old and nobody's; returns how many. Once nobody's, nothing ever becomes somebody's again: so
        it does not matter how long this takes. A bucket's names are not in memory at once, those to be removed are."""
        before_s = self._now_us() / 1e6 - self._grace_s
        old = (stored.name for stored in listing() if stored.touched_at < before_s)
        orphans: list[str] = []
        while names := await place.threads.run(lambda: list(islice(old, _NAMES_AT_ONCE))):
            orphans += await orphans_of(names)
        # Not before: what a store lists while it changes is its own affair.
        for name in dict.fromkeys(orphans):
            await place.threads.run(remove, name)
        return len(set(orphans))
