"""Makes bytes survive a power cut. Upload step 8, download D8 and D10.

A failed sync is never repeated: the kernel has dropped the dirty pages, so a second one would lie. It is an error, and
the bytes are written again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ferryd.lanes.oserrors import writing
from ferrywire.durable import start_sync

#: Files that a thread has open at once, to make them durable together.
AT_ONCE: Final = 32


def synced_together(files: Sequence[tuple[str | Path, int]]) -> Iterator[int]:
    """Make the bytes of several open files durable: pairs of a path, for errors, and a descriptor. Yields the index of
    each as soon as it is; the first that fails ends it.

    All are on their way to the disk before the first is waited for: what has to get there for that one, the journal
    above all, takes the others along.
    """
    if len(files) > 1:
        for _, fd in files:
            start_sync(fd)
    for at, (path, fd) in enumerate(files):
        with writing(path):
            sync_data(fd)
        yield at


def sync_data(fd: int) -> None:
    """Wait until the bytes of a file, and its size, are on the disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        sync_file(fd)


def close_synced(fd: int) -> None:
    """Close a file whose syncs have said what is durable. That closing fails (on a network file system, where it writes
    what is left) tells of bytes that nobody vouched for, and must not take the place of the error that says why."""
    with suppress(OSError):
        os.close(fd)


def sync_file(fd: int) -> None:
    """Wait until a file is on the disk, or a directory's names are."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync on macOS stops at the drive's cache
    else:
        os.fsync(fd)
