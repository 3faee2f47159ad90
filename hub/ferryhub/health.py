"""Whether this hub should get requests: `/healthz` says that it lives, `/readyz` that what it needs answers, too.

A hub that is told to stop is not ready first, so that a proxy sends new requests elsewhere while running ones end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from ferryhub.blobs.places import Places
from ferryhub.catalogue import schema
from ferryhub.catalogue.database import Database
from ferrywire.reasons import FerryError

#: How long a store's answer counts, in seconds: proxies ask every second or so.
_STORES_EVERY_S: Final = 10.0
_TIMEOUT_S: Final = 5.0
#: Nothing of it is there; to find that out the store must answer.
_NO_SESSION: Final = "upl_" + "0" * 26
_log = logging.getLogger(__name__)


class Health:
    """The state of one hub."""

    def __init__(self, database: Database, places: Places, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._places = places
        self._clock_s = clock_s
        self._stores = ""
        self._asked_at_s = -_STORES_EVERY_S
        self._asking = asyncio.Lock()
        self._questions: dict[str, asyncio.Future[list[str]]] = {}
        #: It was told to stop.
        self.draining = False

    async def problem(self) -> str:
        """Why requests should go elsewhere, in a word or two for whoever operates the hub; empty when it is ready."""
        if self.draining:
            return "draining"
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if await self._database.read(schema.too_old):
                    return "the database is for a newer ferryhub"
                names = await self._places.names()
        except TimeoutError:
            return "database does not answer"
        except FerryError as error:
            _log.warning("not_ready reason=%s error=%s", error.reason, error.message)
            return "database"
        return await self._problem_of_stores(names)

    async def _problem_of_stores(self, names: Sequence[str]) -> str:
        async with self._asking:
            if self._clock_s() - self._asked_at_s >= _STORES_EVERY_S:
                self._stores = await self._ask_stores(names)
                self._asked_at_s = self._clock_s()
            return self._stores

    async def _ask_stores(self, names: Sequence[str]) -> str:
        name = ""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                for name in names:
                    await asyncio.shield(await self._question(name))
                    del self._questions[name]
        except TimeoutError:
            _log.warning("not_ready location=%s error=no answer within %g s", name, _TIMEOUT_S)
            return f"storage location {name} does not answer"
        except FerryError as error:
            self._questions.pop(name, None)
            _log.warning("not_ready location=%s reason=%s error=%s", name, error.reason, error.message)
            return f"storage location {name}"
        return ""

    async def _question(self, name: str) -> asyncio.Future[list[str]]:
        """What a store is asked. One that has not answered yet is not asked again, or it would have all our threads."""
        if name not in self._questions:
            place = await self._places.get(name)
            self._questions[name] = place.threads.start(place.store.blobs_of, _NO_SESSION)
        return self._questions[name]
