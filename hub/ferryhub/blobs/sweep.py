"""Removes what nobody comes back for: what expired, staged bytes without a session, blobs without a content.

Runs beside the upload steps and never against them: an open session's bytes are not touched, and young blobs are left
alone, for their commit may be under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
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
            except Exception:  # noqa: BLE001 - the edge of a background task: the hub serves on, whatever a sweep meets
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
        rows = await self._database.read(sessions.expired, self._now_us(), _SESSIONS_AT_ONCE)
        ended = 0
        for row in rows:
            try:
                ended += await self._end_session(row)
            except FerryError as error:  # one that cannot be removed must not keep the others
                _log.error("session %s was not swept: %s", row.id, error)
        return ended

    async def _end_session(self, session: Row[Any]) -> bool:
        async with self._gate.whole(session.id):
            if not await self._database.write(sessions.abort_expired, session.id, self._now_us()):
                return False
            await discard(self._database, await self._places.get(session.storage_location), session.id, blobs=True)
            await self._database.write(sessions.forget, session.id)
        return True

    async def _orphan_stagings(self, place: Place) -> int:
        removed = 0
        for names in await place.threads.run(self._old, place.store.sessions):
            for session_id in set(names) - await self._database.read(sessions.open_among, names):
                await place.threads.run(place.store.discard, session_id)
                removed += 1
        return removed

    async def _orphan_blobs(self, place: Place) -> int:
        removed = 0
        for keys in await place.threads.run(self._old, place.store.blobs):
            # Sessions first: one that commits in between has its blobs referenced by the time they are looked up.
            session_ids = sorted({session_of(key) for key in keys})
            in_use = await self._database.read(sessions.open_among, session_ids)
            referenced = await self._database.read(contents.referenced, keys)
            for key in keys:
                if key not in referenced and session_of(key) not in in_use:
                    await place.threads.run(place.store.delete, key)
                    removed += 1
        return removed

    def _old(self, listing: Callable[[], Iterator[Stored]]) -> list[list[str]]:
        """The names that are older than the grace period, in groups for one question each."""
        before_s = self._now_us() / 1e6 - self._grace_s
        old = (stored.name for stored in listing() if stored.touched_at < before_s)
        return list(iter(lambda: list(islice(old, _NAMES_AT_ONCE)), []))
