"""Reasons to leave without being told: the socket was taken away, or nobody has needed the daemon for long.

Also measures how late the event loop is. Runs beside everything else for the daemon's whole life.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

_SOCKET_PERIOD_S = 2.0
_LAG_PERIOD_S = 0.25
_LAG_WINDOW_S = 60.0


async def wait_socket_gone(socket_path: Path) -> None:
    """Return when the path no longer leads to the socket that is there now."""

    def inode() -> tuple[int, int] | None:
        try:
            info = socket_path.lstat()
        except OSError:
            return None
        return info.st_dev, info.st_ino

    mine = inode()
    while mine is not None and inode() == mine:  # noqa: ASYNC110 — a file system tells nobody
        await asyncio.sleep(_SOCKET_PERIOD_S)


async def wait_idle(idle_timeout_s: float, idle_since: Callable[[], Awaitable[float | None]]) -> None:
    """Return once `idle_since` (loop time, None while busy) lies `idle_timeout_s` back. 0 waits for ever."""
    if not idle_timeout_s:
        await asyncio.Event().wait()
    while True:
        since = await idle_since()
        now = asyncio.get_running_loop().time()
        left = idle_timeout_s if since is None else since + idle_timeout_s - now
        if left <= 0:
            return
        await asyncio.sleep(min(left + 0.01, idle_timeout_s))


class LoopLag:
    """How late the event loop ran its timers in the last minute."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=int(_LAG_WINDOW_S / _LAG_PERIOD_S))

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_PERIOD_S
            await asyncio.sleep(_LAG_PERIOD_S)
            self._late_s.append(loop.time() - due)

    @property
    def worst_s(self) -> float:
        """The longest delay, in seconds."""
        return max(self._late_s, default=0.0)
