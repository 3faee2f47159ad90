"""Opens a file to upload and proves that it is still the same one. Upload steps 4 and 8.

The identity is compared on the open file, so a file that was replaced, truncated or written to is noticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ferryd.core.model import Identity, SourceFile
from ferryd.lanes.hashing import EndOfFile
from ferryd.lanes.oserrors import reading, shown, source_error
from ferrywire.reasons import FerryError

#: O_NONBLOCK: a fifo put in the place of the file must not block the thread for ever.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def identity_of(status: os.stat_result) -> Identity:
    """What makes this file this file, at this moment."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def opened(source: SourceFile) -> Iterator[int]:
    """The open file of a source. SOURCE_CHANGED when it is not the one submitted, before or after the block."""
    with reading(source.local_path):
        fd = os.open(source.local_path, _FLAGS)
    try:
        require_same(source, fd)
        try:
            yield fd
        except FerryError:
            require_same(source, fd)  # a change explains the error better than the error does
            raise
        require_same(source, fd)
    finally:
        os.close(fd)


@contextmanager
def whole(source: SourceFile) -> Iterator[None]:
    """Around what reads an open source: SOURCE_CHANGED when it ends too early."""
    try:
        yield
    except EndOfFile:
        raise changed(source, "it is shorter than it was") from None


@contextmanager
def opened_whole(source: SourceFile) -> Iterator[int]:
    """The open file of a source that is read: `opened`, `whole`, and what reading raises explained."""
    with opened(source) as fd, whole(source), reading(source.local_path):
        yield fd


def require_same(source: SourceFile, fd: int) -> None:
    """SOURCE_CHANGED unless the open file has the identity of the source."""
    with reading(source.local_path):
        _compare(source, os.fstat(fd))


def check(source: SourceFile) -> None:
    """SOURCE_CHANGED or SOURCE_MISSING unless the path still names the same unchanged file."""
    try:
        status = os.stat(source.local_path)  # noqa: PTH116 (names need not be UTF-8)
    except OSError as error:
        raise source_error(error, source.local_path) from error
    _compare(source, status)


def changed(source: SourceFile, what: str) -> FerryError:
    """The error that says the source is not what it was."""
    name = shown(source.local_path)
    return FerryError("SOURCE_CHANGED", f"{name} changed while it was uploaded: {what}", path=name)


def _compare(source: SourceFile, status: os.stat_result) -> None:
    now, then = identity_of(status), source.identity
    if now == then:
        return
    if not stat.S_ISREG(status.st_mode) or (now.device, now.inode) != (then.device, then.inode):
        raise changed(source, "another file has its name now")
    if now.size_bytes != then.size_bytes:
        raise changed(source, f"it had {then.size_bytes:,} bytes and has {now.size_bytes:,}")
    raise changed(source, "something wrote to it or changed its attributes")
