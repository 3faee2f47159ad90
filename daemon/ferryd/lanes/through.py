"""Copies a large span through the lane's buffer: read, hashed and written past the page cache in one pass.

Upload step 8, download D8, between two files of this machine. To let the kernel copy and to read that back is two
passes over pages of the cache, which are dear: better only where a copy can share its blocks, or leave holes.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

from ferryd.core.model import Span
from ferryd.core.ports import Meter
from ferryd.lanes.direct import DirectWrites
from ferryd.lanes.hashing import EndOfFile
from ferryd.lanes.landing import Landing
from ferryd.lanes.windows import read_at

_MOUNTS: Final = Path("/proc/self/mountinfo")
#: Here no two files share blocks. Wherever else they may, or cannot be asked: the kernel copies.
_OWN_BLOCKS: Final = frozenset({"ext2", "ext3", "ext4"})
#: Not for a Python that was built without preadv2: it would refuse any flag.
_RWF_DONTCACHE: Final = 0x80 if sys.platform == "linux" and hasattr(os, "RWF_NOWAIT") else 0
#: EPERM is what a sandbox says to calls that it does not know.
_UNKNOWN_FLAG: Final = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM}
_ST_BLOCK_BYTES: Final = 512  #: the unit of st_blocks, whatever the file system's own is


def has_holes(fd: int) -> bool:
    """Whether some of a file is not written. To ask where would cost more than to copy what has none."""
    status = os.fstat(fd)
    return status.st_blocks * _ST_BLOCK_BYTES < status.st_size


def is_better(source: int, dest: int, span: Span) -> bool:
    """Whether a span is better copied here than by the kernel."""
    return DirectWrites.are_worth_it(span) and not has_holes(source) and _file_system(dest) in _OWN_BLOCKS


def copy_through(source: int, offset: int, dest: int, to: Span, path: str, buffer: memoryview, meter: Meter) -> bytes:
    """Copy from `offset` of the source into a span of the open file at `path`, not durable yet; returns the block
    digests of the memory that was written from. Raises `EndOfFile`, `Interrupted`, and what writing raises."""
    landing, reading = Landing(dest, to, path, meter), _Reading(source)
    while wanted := landing.wanted:
        piece = buffer[:wanted]
        if reading.into(piece, offset + landing.done) < wanted:
            raise EndOfFile
        landing.take(piece)
    return landing.block_digests()


class _Reading:
    """Reads a file once. What the page cache holds comes from there; what it does not is not kept there either, where
    the kernel can do so (Linux 6.14): pages for bytes that nobody asks for again take longer than the reading."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._flags = _RWF_DONTCACHE

    def into(self, view: memoryview, offset: int) -> int:
        """As `read_at`."""
        try:
            return read_at(self._fd, view, offset, self._flags)
        except NotImplementedError:
            pass
        except OSError as error:
            if not self._flags or error.errno not in _UNKNOWN_FLAG:
                raise
        self._flags = 0
        return read_at(self._fd, view, offset)


def _file_system(fd: int) -> str:
    """The kind of file system that an open file is on; empty where nobody says."""
    device = os.fstat(fd).st_dev
    here = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        lines = _MOUNTS.read_bytes().split(b"\n")  # bytes: a mount point may be called anything
    except OSError:
        return ""
    kinds = [line.partition(b" - ")[2].split(b" ")[0] for line in lines if line.split(b" ")[2:3] == [here]]
    return kinds[0].decode("ascii", "replace") if kinds else ""
