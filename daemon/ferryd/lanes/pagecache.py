"""Leaves the page cache as it was: what is read only to be moved or looked at does not stay in it. Upload steps 4 and
8, download D8.

It would push out what others read, and pages for it cost more than the reading. What the cache held before stays there:
somebody may want it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from contextlib import suppress
from typing import Final

from ferryd.core.model import SourceFile, Span
from ferryd.lanes.windows import read_at
from ferrywire.libc import libc

#: Below this pages are few, and a file is likely read again soon.
_LEAST_BYTES: Final = 4 << 20
#: One page in so many may be there: the kernel reads on beyond the part before.
_FEW: Final = 8
#: Parts that are remembered: more than are ever between hashing and sending. What was given up is forgotten in time.
_MOST: Final = 256

#: Not for a Python that was built without preadv2: it would refuse any flag.
_RWF_DONTCACHE: Final = 0x80 if sys.platform == "linux" and hasattr(os, "RWF_NOWAIT") else 0
#: EPERM is what a sandbox says to calls that it does not know.
_UNKNOWN_FLAG: Final = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM}

_Key = tuple[int, int, int]


class ReadOnce:
    """Reads a file that nobody asks for again: what the cache does not hold is not kept there either, where the kernel
    can do so (Linux 6.14)."""

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


class Passing:
    """The parts of sources that came into the page cache by us. Used by several threads.

    A part is read twice, to be hashed and to be sent, so its pages must last from one to the other, and no longer.
    """

    def __init__(self) -> None:
        self._ours: dict[_Key, None] = {}

    def about_to_read(self, fd: int, source: SourceFile, span: Span) -> None:
        """To be called before a part is read, each time."""
        if span.length >= _LEAST_BYTES and not is_cached(fd, span):
            self._ours[_key(source, span)] = None
            for oldest in list(self._ours)[:-_MOST]:
                self._ours.pop(oldest, None)

    def sent(self, fd: int, source: SourceFile, span: Span) -> None:
        """The part is not needed any more."""
        if self._ours.pop(_key(source, span), self) is None:
            with suppress(OSError):  # a sandbox may forbid it; the part is sent all the same
                os.posix_fadvise(fd, span.offset, span.length, os.POSIX_FADV_DONTNEED)


def _key(source: SourceFile, span: Span) -> _Key:
    return source.identity.device, source.identity.inode, span.offset


def is_cached(fd: int, span: Span) -> bool:
    """Whether the page cache holds more than a little of a span; also where that cannot be said: the kernel tells
    nobody of files that are not theirs."""
    look = libc("mincore")
    if look is None or not hasattr(os, "posix_fadvise"):
        return True
    begin = span.offset - span.offset % mmap.ALLOCATIONGRANULARITY
    length = span.offset + span.length - begin
    pages = ctypes.create_string_buffer(-(-length // mmap.PAGESIZE))
    try:
        # Private and writable, though nobody writes: ctypes wants an address that could be written to.
        with mmap.mmap(fd, length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=begin) as mapped:
            first = ctypes.c_char.from_buffer(mapped)
            failed = look(ctypes.byref(first), ctypes.c_size_t(length), pages)
            del first  # or the mapping could not be closed
    except (OSError, ValueError):
        return True  # a file system without mappings, or a file that is shorter now
    return bool(failed) or pages.raw.count(1) * _FEW > len(pages)
