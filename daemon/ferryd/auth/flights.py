"""Work that many callers share and none may cancel: a renewal of tokens. Ends with the daemon, after a short grace."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ferryd.lifecycle.background import Background

_GRACE_S: Final = 3.0


class Flights(Background):
    """`async with Flights() as flights:`; leaving the block waits a little for what is under way, then cancels it."""

    async def __aexit__(self, *failure: Any) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_GRACE_S)
        await super().__aexit__(*failure)
