"""Makes bytes survive a power cut. Upload step 8, download D8 and D10.

A failed sync is never repeated: the kernel has dropped the dirty pages, so a second one would lie. It is an error, and
the bytes are written again.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any, Final

_SYNC_FILE_RANGE_WRITE: Final = 2


def sync_data(fd: int) -> None:
    """Wait until the bytes of a file, and its size, are on the disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        sync_file(fd)


def start_sync(fd: int) -> None:
    """Let the bytes of a file be on their way to the disk, where that is possible. They are not durable by this: an
    error, too, shows in the sync that follows."""
    call = _sync_file_range()
    if call is not None:
        call(fd, 0, 0, _SYNC_FILE_RANGE_WRITE)  # from 0, and 0 bytes: all there are


@cache
def _sync_file_range() -> Any:
    call = getattr(ctypes.CDLL(None), "sync_file_range", None) if sys.platform == "linux" else None
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


def sync_file(fd: int) -> None:
    """Wait until a file is on the disk, or a directory's names are."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync on macOS stops at the drive's cache
    else:
        os.fsync(fd)
