"""The hub inside the daemon: loaded behind the first answers, called in process. The only importer of `ferryhub`.

Importing the hub costs half a second, so the daemon serves first and loads it in a thread; whoever needs it waits here.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferryd.lifecycle.identity import LocalIdentity
from ferryd.lifecycle.uncollected import uncollected
from ferrywire.reasons import FerryError

if TYPE_CHECKING:
    from ferryhub.app import Hub

log = logging.getLogger(__name__)

#: (principal, method path, request) → reply. Raises FerryError.
Answer = Callable[[str, str, bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """What the daemon decides for the hub inside it."""

    state_dir: Path
    session_ttl_s: float


class EmbeddedHub:
    """Starts the hub once and hands out what answers calls when it is there."""

    def __init__(self, settings: EmbeddedSettings, user: LocalIdentity) -> None:
        self._settings = settings
        self._user = user
        self._created: Hub | None = None
        self._hub: asyncio.Future[Hub] = asyncio.get_running_loop().create_future()

    async def load(self) -> None:
        """Import, open and migrate the hub. A failure is kept for every caller; the daemon goes on answering."""
        try:
            hub = self._created = await asyncio.to_thread(self._create)
            await hub.start()
            await hub.ensure_principal(self._user.principal_id, self._user.email)
        except Exception as error:
            log.exception("embedded_hub_failed")
            self._hub.set_exception(FerryError("INTERNAL", f"the embedded hub cannot start: {error}", errorId="hub"))
            self._hub.exception()  # retrieved here, so that nobody asking is not reported as forgotten
        else:
            log.info("embedded_hub_started")
            self._hub.set_result(hub)

    async def answer(self) -> Answer:
        """What answers the hub's calls; waits until it is loaded. Raises the failure of the load."""
        hub = await asyncio.shield(self._hub)
        answer: Answer = hub.call
        return answer

    async def close(self) -> None:
        """Close the hub, however far its start has come. After `load` has ended or was cancelled."""
        if self._created is not None:
            await self._created.close()

    def _create(self) -> Hub:
        with uncollected():
            app = importlib.import_module("ferryhub.app")
            config = importlib.import_module("ferryhub.config")
        settings = config.HubSettings(
            state_dir=self._settings.state_dir,
            local_files=True,
            session_ttl_s=self._settings.session_ttl_s,
        )
        hub: Hub = app.create_hub(settings)
        return hub
