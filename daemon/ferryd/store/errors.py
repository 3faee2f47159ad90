"""What SQLite says, as reasons of the table. Upload step 5."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ferrywire.reasons import FerryError


def translate(error: sqlite3.Error, path: Path) -> FerryError:
    """The reason for an error of the queue's database; anything that is not the disk's fault is IO_ERROR."""
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:  # no room for the shared memory file
        return FerryError("DISK_FULL", f"no space for the queue in {path}", path=path, freeBytes=_free_bytes(path))
    if code == sqlite3.SQLITE_READONLY:
        return FerryError("READ_ONLY", f"the queue in {path} cannot be written", path=path)
    return FerryError("IO_ERROR", f"the queue in {path} failed: {error}", path=path)


def _free_bytes(path: Path) -> int:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
