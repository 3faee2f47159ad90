"""What the operating system says, as a reason of the table. Upload steps 4 and 8, download D8 to D10.

The one place where an `OSError` of a file becomes a `FerryError`. Sockets are not files: see `wire.py`.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from ferrywire.reasons import FerryError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that can be sent and logged: bytes that are not UTF-8, and control characters, are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(letter: str) -> str:
    return letter if unicodedata.category(letter) != "Cc" else letter.encode("unicode_escape").decode()


def source_error(error: OSError, path: str | os.PathLike[str]) -> FerryError:
    """The reason why a file to upload cannot be read."""
    name = shown(path)
    if error.errno in _GONE:
        return FerryError("SOURCE_MISSING", f"{name} does not exist (any more)", path=name)
    if error.errno in _DENIED:
        return FerryError("SOURCE_UNREADABLE", f"{name} cannot be read: {_words(error)}", path=name)
    if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
        return FerryError("SOURCE_UNSUPPORTED", f"{name} cannot be read as a file: {_words(error)}", path=name)
    return FerryError("IO_ERROR", f"reading {name} failed: {_words(error)}", path=name)


def destination_error(error: OSError, path: str | os.PathLike[str]) -> FerryError:
    """The reason why a file cannot be written."""
    name = shown(path)
    if error.errno in _FULL:
        free = free_bytes(path)
        return FerryError("DISK_FULL", f"no space to write {name}: {_words(error)}", path=name, freeBytes=free)
    if error.errno == errno.EROFS:
        return FerryError("READ_ONLY", f"{name} is on a read-only file system", path=name)
    if error.errno in _DENIED or error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG):
        return FerryError("DESTINATION_UNWRITABLE", f"{name} cannot be written: {_words(error)}", path=name)
    if error.errno == errno.ELOOP:
        return FerryError("UNSAFE_PATH", f"{name} is a symbolic link, which is not followed", path=name)
    return FerryError("IO_ERROR", f"writing {name} failed: {_words(error)}", path=name)


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes that may still be written beside `path`, or 0 when nobody can tell."""
    for place in (os.fspath(path), os.path.dirname(path)):  # noqa: PTH120 (an os-level path, perhaps not UTF-8)
        try:
            room = os.statvfs(place)
        except OSError:
            continue
        return room.f_bavail * room.f_frsize
    return 0


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` inside into what it means for a source."""
    try:
        yield
    except OSError as error:
        raise source_error(error, path) from error


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` inside into what it means for a destination."""
    try:
        yield
    except OSError as error:
        raise destination_error(error, path) from error


def _words(error: OSError) -> str:
    return error.strerror or str(error)
