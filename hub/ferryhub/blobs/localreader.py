"""Reads a blob, or what is staged of one, that is a file. Step D8, and the look at a pack in upload step 8."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class LocalBlobReader:
    """See `BlobReader`. Holds a Python file, which closes itself when nobody is left to do it."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb", buffering=0, opener=_open_no_follow)  # noqa: SIM115 - held open; needs opener
        self._size_bytes = os.fstat(self._file.fileno()).st_size
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """See `BlobReader`."""
        return self._size_bytes

    def read(self, offset: int, count: int) -> bytes:
        """See `BlobReader`."""
        with self._lock:
            return os.pread(self._file.fileno(), count, offset)

    def fileno(self) -> int:
        """See `HasFile`."""
        return self._file.fileno()

    def close(self) -> None:
        """See `BlobReader`."""
        with self._lock:
            self._file.close()


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
