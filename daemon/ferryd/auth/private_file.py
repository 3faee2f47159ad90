"""Small files for this user alone: written whole, durably, or not at all. For tokens and contexts. Blocking."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import time
from pathlib import Path
from typing import Final

from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

_MAX_BYTES: Final = 4 << 20
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def read(path: Path) -> str | None:
    """The text, or None when there is no file. One that others may read is closed to them. IO_ERROR for a link, a
    file of somebody else, one that is too large to be ours or one that cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise (_odd(path, "is a symbolic link") if error.errno == errno.ELOOP else _failed(path, error)) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_size > _MAX_BYTES:
        os.close(descriptor)
        raise _odd(path, "is not a file of yours" if found.st_size <= _MAX_BYTES else "is far too large")
    with os.fdopen(descriptor, "rb") as file:
        if found.st_mode & 0o077:
            log.warning("file was open to others and is closed now path=%s mode=%o", path, stat.S_IMODE(found.st_mode))
            os.fchmod(descriptor, 0o600)
        return file.read().decode(errors="replace")


def write(path: Path, text: str) -> None:
    """Write, fsync, rename, fsync the directory: after a power loss the old text or the new. DISK_FULL, READ_ONLY,
    IO_ERROR; then the old text stays."""
    if len(text.encode()) > _MAX_BYTES:
        raise FerryError("IO_ERROR", f"{path} would become far too large", path=path)
    temporary = path.with_name(f"{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _failed(path, error) from error


def move_aside(path: Path) -> None:
    """Keep a file that makes no sense under another name."""
    kept = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    try:
        path.replace(kept)
    except OSError as error:
        raise _failed(path, error) from error
    log.error("file made no sense path=%s kept=%s", path, kept)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _odd(path: Path, what: str) -> FerryError:
    return FerryError("IO_ERROR", f"{path} {what}; remove it", path=path)


def _failed(path: Path, error: OSError) -> FerryError:
    if error.errno in _FULL:
        return FerryError("DISK_FULL", f"no space for {path}", path=path, freeBytes=0)
    if error.errno == errno.EROFS:
        return FerryError("READ_ONLY", f"{path} cannot be written", path=path)
    return FerryError("IO_ERROR", f"{path}: {error.strerror}", path=path)
