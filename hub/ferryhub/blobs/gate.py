"""Who may write where just now: one writer per part, and none while a session is committed or thrown away.

Upload step 8 against 10. Works inside one hub process, which is enough for a store that one process owns. The newest
sender of a part is let in first: the one before it may hang on a dead connection. No bytes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ferrywire.reasons import FerryError


@dataclass(frozen=True, slots=True)
class PartKey:
    """A part of a file of a session; or a pack, by its name."""

    session_id: str
    file_index: int
    part_number: int
    pack: str = ""


class Turn:
    """The right to write one part. `idle_s` is how long it may wait for bytes."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._moved_at = 0.0
        self._scope: asyncio.Timeout | None = None
        self._asked = False

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """The scope to receive in: TimeoutError when no bytes come, or when somebody else asks for the turn."""
        async with asyncio.timeout(0 if self._asked else self._idle_s) as self._scope:
            try:
                yield
            finally:
                self._scope = None

    def moved(self) -> None:
        """Bytes came: wait anew. Cheap enough for every piece: the timer is moved once a second at most."""
        now = asyncio.get_running_loop().time()
        if not self._asked and now - self._moved_at > min(1.0, self._idle_s / 4):
            self._moved_at = now
            self._end_in(self._idle_s)

    def let_go(self) -> None:
        """Ask the holder to stop receiving. What follows the last byte is not interrupted."""
        self._asked = True
        self._end_in(0)

    def _end_in(self, delay_s: float) -> None:
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time() + delay_s)


class PartGate:
    """Hands out turns. `limit` bounds how many parts arrive at once, and so the memory for windows."""

    def __init__(self, *, limit: int = 64, idle_s: float = 60.0) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._turns: dict[PartKey, Turn] = {}
        self._closing: set[str] = set()
        self._waiting = 0
        #: Set, and replaced, whenever somebody lets go.
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def part(self, key: PartKey, *, receives: bool = True) -> AsyncIterator[Turn]:
        """Hold a part; an earlier holder is asked to stop and waited for. `HUB_OVERLOADED` when too many arrive, for
        whom `receives`."""
        if receives and len(self._turns) + self._waiting >= self._limit:
            raise FerryError("HUB_OVERLOADED", "too many parts are arriving at once; try again", retry_after_s=1.0)
        self._waiting += 1
        try:
            turn = await self._take(key)
        finally:
            self._waiting -= 1
        try:
            yield turn
        finally:
            del self._turns[key]
            self._tell()

    async def _take(self, key: PartKey) -> Turn:
        while key in self._turns or key.session_id in self._closing:
            if key in self._turns:
                self._turns[key].let_go()
            await self._changed.wait()
        turn = self._turns[key] = Turn(self._idle_s)
        return turn

    @asynccontextmanager
    async def whole(self, session_id: str) -> AsyncIterator[None]:
        """Hold a session: its parts that are arriving are asked to stop and waited for; new ones wait."""
        while session_id in self._closing:
            await self._changed.wait()
        self._closing.add(session_id)
        try:
            while mine := [turn for key, turn in self._turns.items() if key.session_id == session_id]:
                for turn in mine:
                    turn.let_go()
                await self._changed.wait()
            yield
        finally:
            self._closing.remove(session_id)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
