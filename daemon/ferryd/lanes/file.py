"""The file lane: bytes between two files of this machine, when hub and daemon share it. Upload step 8, download D8.

The kernel copies (reflinks where it can, skips holes), then what was written is read back and hashed; large spans that
cannot share blocks go through the buffer (`through.py`), which is hashed, as what comes over HTTP is. The same digests
and the same commit. The engine reports the part to the hub afterwards.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ferryd.core.model import Span
from ferryd.core.ports import FileLocation, Meter
from ferryd.lanes import through
from ferryd.lanes.durable import close_synced
from ferryd.lanes.hashing import EndOfFile, hash_span
from ferryd.lanes.oserrors import destination_error, shown, writing
from ferryd.lanes.windows import Window, read_at, write_at
from ferrywire.reasons import FerryError

#: What kernels answer when these two files cannot be copied by copy_file_range.
_CANNOT: Final = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY}
_ATTEMPTS: Final = 2
#: (source, its offset, destination, its offset, a window as large as the copy may be) → bytes copied; 0 at the end.
_Copy = Callable[[int, int, int, int, memoryview], int]


def copy_verified(
    fd: int, span: Span, dest: int, to: FileLocation, block_digests: bytes, buffer: memoryview, meter: Meter
) -> None:
    """Copy a span of the open source to the hub's staging file, open as `dest`; not durable yet. CHUNK_CORRUPT when the
    copy is wrong twice; `EndOfFile` when the source is shorter."""
    at = Span(to.offset, span.length)
    for _ in range(_ATTEMPTS):
        if _copy(fd, span.offset, dest, at, to.path, buffer, meter) == block_digests:
            return
    message = f"the copy of {span.length:,} bytes at {span.offset:,} differs from the source, twice"
    raise FerryError("CHUNK_CORRUPT", message, partNumber="", offsetBytes=span.offset)


def receive_local(origin: FileLocation, span: Span, dest: int, path: str, buffer: memoryview, meter: Meter) -> bytes:
    """Copy a span of the hub's blob into the open part file at `path`, not durable yet; returns its block digests."""
    begin = origin.offset + span.offset
    with _open_blob(origin.path) as blob, _blob_errors(origin.path, begin + span.length):
        return _copy(blob, begin, dest, span, path, buffer, meter)


class BlobReader:
    """Reads the hub's blob, from a location on."""

    def __init__(self, fd: int, origin: FileLocation) -> None:
        self._fd = fd
        self._path = origin.path
        self._at = origin.offset

    def fill(self, view: memoryview) -> int:
        """Read the next bytes; as many as there is room for, or it is BLOB_DAMAGED."""
        end = self._at + len(view)
        with _blob_errors(self._path, end):
            if read_at(self._fd, view, self._at) < len(view):
                raise EndOfFile
        self._at = end
        return len(view)


@contextmanager
def reading_blob(origin: FileLocation) -> Iterator[BlobReader]:
    """CONTENT_NOT_FOUND when it is not there."""
    with _open_blob(origin.path) as fd:
        yield BlobReader(fd, origin)


@contextmanager
def _blob_errors(path: str, end: int) -> Iterator[None]:
    """What it means when a blob that has bytes up to `end` cannot be read."""
    try:
        yield
    except EndOfFile:
        name = shown(path)
        raise FerryError("BLOB_DAMAGED", f"the stored blob {name} ends before byte {end:,}", path=name) from None
    except OSError as error:
        name = shown(path)
        raise FerryError("IO_ERROR", f"reading the blob {name} failed: {error.strerror}", path=name) from error


def _copy(source: int, source_offset: int, dest: int, to: Span, path: str, buffer: memoryview, meter: Meter) -> bytes:
    """Copy into a span, not durable yet; returns the block digests of what was copied."""
    if through.is_better(source, dest, to):
        return through.copy_through(source, source_offset, dest, to, path, buffer, meter)
    _copy_in_kernel(source, source_offset, dest, to, path, buffer, meter)
    return _written(dest, to, path, buffer, meter)


def _copy_in_kernel(
    source: int, source_offset: int, dest: int, to: Span, path: str, buffer: memoryview, meter: Meter
) -> None:
    window = Window(meter)
    copy = _kernel_copy(source) if hasattr(os, "copy_file_range") else _by_hand
    done = 0
    while done < to.length:
        size = min(window.size, to.length - done)
        with writing(path):
            try:
                count = copy(source, source_offset + done, dest, to.offset + done, buffer[:size])
            except OSError as error:
                if copy is _by_hand or error.errno not in _CANNOT:
                    raise
                copy = _by_hand
                continue
        if count == 0:
            raise EndOfFile
        done += count
        window.moved(count)
    _reach(dest, to.offset + to.length, path)


def _kernel_copy(source: int) -> _Copy:
    """Holes are looked for only where there are some: on a file just written, asking costs more than copying."""
    return _by_kernel_with_holes if through.has_holes(source) else _by_kernel


def _by_kernel(source: int, source_offset: int, dest: int, dest_offset: int, window: memoryview) -> int:
    return os.copy_file_range(source, dest, len(window), source_offset, dest_offset)


def _by_kernel_with_holes(source: int, source_offset: int, dest: int, dest_offset: int, window: memoryview) -> int:
    size = len(window)
    if _hole(source, source_offset, size) and _hole(dest, dest_offset, size, beyond=True):
        return size
    return _by_kernel(source, source_offset, dest, dest_offset, window)


def _by_hand(source: int, source_offset: int, dest: int, dest_offset: int, window: memoryview) -> int:
    count = read_at(source, window, source_offset)
    write_at(dest, window[:count], dest_offset)
    return count


def _hole(fd: int, offset: int, size: int, *, beyond: bool = False) -> bool:
    """Whether all these bytes are unwritten, so that they read as zeros. `beyond`: the end of the file counts too."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + size
    except OSError as error:
        if error.errno != errno.ENXIO:  # ENXIO: nothing but a hole until the end of the file
            return False
        return beyond or os.fstat(fd).st_size >= offset + size


def _reach(dest: int, end: int, path: str) -> None:
    """Make the file as long as the copy is, should it end in a hole that was skipped."""
    with writing(path):
        if os.fstat(dest).st_size < end:
            # One byte, not ftruncate: other parts of the same file grow it at the same time, and must not be cut.
            os.pwrite(dest, b"\0", end - 1)


def _written(dest: int, span: Span, path: str, buffer: memoryview, meter: Meter) -> bytes:
    with writing(path):
        try:
            return hash_span(dest, span, buffer, meter, ours=True)
        except EndOfFile:
            raise FerryError("IO_ERROR", f"{shown(path)} was cut short by somebody else", path=shown(path)) from None


@contextmanager
def opened_staging(path: str) -> Iterator[int]:
    """The hub's staging file. SESSION_NOT_FOUND when its directory is gone."""
    try:
        fd = _open(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError as error:
        name = shown(path)
        raise FerryError("SESSION_NOT_FOUND", f"the staging file {name} is not there", sessionId="") from error
    try:
        yield fd
    finally:
        close_synced(fd)


@contextmanager
def _open_blob(path: str) -> Iterator[int]:
    try:
        fd = _open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        raise FerryError("CONTENT_NOT_FOUND", f"the blob {shown(path)} is not there", contentId="") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _open(path: str, flags: int) -> int:
    """Open a file of the hub, never through a symbolic link. FileNotFoundError when it, or its directory, is gone."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise destination_error(error, path) from error
