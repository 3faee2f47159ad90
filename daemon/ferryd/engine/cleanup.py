"""Removes what a transfer has left behind: the hub's session, part files. After a cancel or a final failure.

The row's `debris` flag says that there is something; it is cleared when it is gone, so that a crash in between repeats
it at the next start.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ferryd.core.model import Kind, Transfer, UploadSpec
from ferryd.engine.destination import discard
from ferryd.engine.run import Tools
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)
_ABORT_S: Final = 10.0


class Cleanup:
    """Cleans up after transfers that do not run any more."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def clean(self, transfer: Transfer) -> None:
        """Best effort, never raises: what cannot be removed now is tried again at the next start; the hub sweeps
        sessions by itself."""
        try:
            async with asyncio.timeout(_ABORT_S):
                if transfer.kind is Kind.UPLOAD:
                    await self._abort(transfer)
                else:
                    await self._discard(transfer)
        except (FerryError, TimeoutError) as error:
            log.warning("leftovers could not be removed yet id=%s error=%r", transfer.id, error)

    async def _abort(self, transfer: Transfer) -> None:
        if transfer.session_id:
            try:
                await self._tools.hubs.get(transfer.context).abort_upload(transfer.session_id)
            except FerryError as error:
                if error.reason == "SESSION_COMMITTED":  # cancelled too late: the content is there and stays
                    await self._tools.ledger.update(transfer.id, debris=False)
                    return
                if error.reason != "SESSION_NOT_FOUND":
                    raise
        await self._tools.ledger.forget_session(transfer.id)
        spec = transfer.spec
        if isinstance(spec, UploadSpec) and not spec.asset_id:  # the draft asset went with the session
            await self._tools.ledger.update(transfer.id, asset_id="")

    async def _discard(self, transfer: Transfer) -> None:
        files = await self._tools.ledger.store.files(transfer.id)
        await asyncio.to_thread(discard, self._tools.files, files, transfer.id)
        await self._tools.ledger.update(transfer.id, debris=False)
