"""Hints about bytes that are to be durable soon. Upload step 8, download D8. To make them so is each program's own."""

from __future__ import annotations

import ctypes
from typing import Final

from ferrywire.libc import libc

_SYNC_FILE_RANGE_WRITE: Final = 2


def start_sync(fd: int) -> None:
    """Let the bytes of a file be on their way to the disk, where that is possible. They are not durable by this: an
    error, too, shows in the sync that follows."""
    call = libc("sync_file_range")
    if call is not None:
        everything = ctypes.c_int64(0)  # from 0, and 0 bytes: all there are
        call(fd, everything, everything, _SYNC_FILE_RANGE_WRITE)
