"""Makes bytes survive a power cut. Upload step 8, download D8 and D10.

A failed sync is never repeated: the kernel has dropped the dirty pages, so a second one would lie. It is an error, and
the bytes are written again.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

from ferryd.lanes.libc import libc

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
    call = libc("sync_file_range")
    if call is not None:
        everything = ctypes.c_int64(0)  # from 0, and 0 bytes: all there are
        call(fd, everything, everything, _SYNC_FILE_RANGE_WRITE)


def sync_file(fd: int) -> None:
    """Wait until a file is on the disk, or a directory's names are."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync on macOS stops at the drive's cache
    else:
        os.fsync(fd)
