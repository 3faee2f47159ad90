"""Makes bytes survive a power cut. Upload step 8, download D8 and D10.

A failed sync is never repeated: the kernel has dropped the dirty pages, so a second one would lie. It is an error, and
the bytes are written again.
"""

from __future__ import annotations

import os
import sys


def sync_data(fd: int) -> None:
    """Wait until the bytes of a file, and its size, are on the disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        sync_file(fd)


def sync_file(fd: int) -> None:
    """Wait until a file is on the disk, or a directory's names are."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync on macOS stops at the drive's cache
    else:
        os.fsync(fd)
