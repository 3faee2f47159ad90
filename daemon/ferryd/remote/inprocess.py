"""Calls the hub inside the daemon: a coroutine, awaited directly. Upload steps 7, 8 and 10; forwarded calls.

No HTTP, no socket, no token: the daemon vouches for its user. Errors come as they are, with their reasons.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ferryd.remote.transport import MAX_REPLY_BYTES, deadline_exceeded, too_large
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

#: (principal, method path, request) → reply. Raises FerryError.
Answer = Callable[[str, str, bytes], Awaitable[bytes]]


class DirectTransport:
    """Implements `Transport`. `get_answer` waits until the hub is loaded; calls are made as `principal_id`."""

    def __init__(self, get_answer: Callable[[], Awaitable[Answer]], principal_id: str) -> None:
        self._get_answer = get_answer
        self._principal_id = principal_id
        self._answer: Answer | None = None

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """Let the hub answer this one request. See `Transport`; a hub that raises anything else is INTERNAL with an id
        to look up."""
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                if self._answer is None:
                    self._answer = await self._get_answer()
                reply = await self._answer(self._principal_id, method_path, body)
        except FerryError:
            raise
        except Exception as error:  # the boundary to another program's code
            if deadline.expired():
                raise deadline_exceeded(method_path, timeout_s) from None
            error_id = new_id("err")
            log.exception("hub_call_failed method=%s error_id=%s", method_path, error_id)
            message = f"the hub failed; look for {error_id} in the daemon's log"
            raise FerryError("INTERNAL", message, errorId=error_id) from error
        if len(reply) > MAX_REPLY_BYTES:
            raise too_large()
        return reply

    async def close(self) -> None:
        """Nothing to let go of: who embeds the hub closes it."""
