"""The memory of the lanes: one buffer a thread, and how much of it to move at once. Upload steps 4 and 8, D8.

Memory depends on the number of threads, never on the size of a file or of a part. Nothing maps a file.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from typing import Final

from ferryd.core.ports import Meter
from ferrywire.digest import BLOCK_BYTES

#: One block, so that the digest of a full window is one call.
WINDOW_BYTES: Final = BLOCK_BYTES
_LEAST_BYTES: Final = 16 << 10
_SLOW_S: Final = 0.25
_QUICK_S: Final = 0.05


class Buffers(threading.local):
    """A buffer for each thread, made when first asked for."""

    def __init__(self) -> None:
        self._view: memoryview | None = None

    def view(self) -> memoryview:
        """The calling thread's buffer of `WINDOW_BYTES`."""
        if self._view is None:
            # Pages of its own, not a bytearray: direct writes want memory that starts at one.
            self._view = memoryview(mmap.mmap(-1, WINDOW_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        return self._view


class Window:
    """How many bytes to move before the meter is told: a block, less while a bandwidth limit makes us wait long."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.size = WINDOW_BYTES

    def moved(self, count: int) -> None:
        """Tell the meter, and learn from how long it kept us. Raises `Interrupted`."""
        began = time.monotonic()
        self._meter.moved(count)
        waited = time.monotonic() - began
        if waited > _SLOW_S:
            self.size = max(_LEAST_BYTES, self.size // 2)
        elif waited < _QUICK_S:
            self.size = min(WINDOW_BYTES, self.size * 2)


def read_at(fd: int, view: memoryview, offset: int, flags: int = 0) -> int:
    """Fill `view` from `offset` of a file; returns how many bytes there were, fewer only at the end of the file.
    `flags` are preadv's."""
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done, flags)
        if count == 0:
            break
        done += count
    return done


def write_at(fd: int, view: memoryview, offset: int) -> None:
    """Write all of `view` at `offset` of a file."""
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done:], offset + done)
