"""Writes into a part file, or the hub's staging file, past the page cache where the file system can. Upload 8, D8.

Whoever writes through the cache pays for a page, a copy into it and its way to the disk, and pushes out what others
read; here the disk takes the window from where it was received and hashed. Durable only with the caller's sync.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from typing import Final

from ferryd.core.model import Span
from ferryd.lanes.windows import write_at
from ferrywire.libc import libc

#: What offset, length and memory of a direct write are multiples of.
ALIGN_BYTES: Final = 4096
#: Below this pages cost less than waiting for the disk, and are likely read again soon.
_LEAST_BYTES: Final = 4 << 20
_O_DIRECT: Final = getattr(os, "O_DIRECT", 0)


class DirectWrites:
    """Writes of one span into an open file that nobody else has this descriptor of."""

    def __init__(self, fd: int, span: Span) -> None:
        self._fd = fd
        self._possible = self.are_worth_it(span)
        self._on = False
        if self._possible:
            _reserve(fd, span)

    @staticmethod
    def are_worth_it(span: Span) -> bool:
        """Whether a span is large enough, where this system has direct writes at all."""
        return bool(_O_DIRECT) and span.length >= _LEAST_BYTES

    def write(self, view: memoryview, offset: int) -> None:
        """Write a window that starts at a page of memory. OSError."""
        self._switch(on=self._possible and offset % ALIGN_BYTES == 0 and len(view) % ALIGN_BYTES == 0)
        try:
            write_at(self._fd, view, offset)
        except OSError as error:
            if not self._on or error.errno != errno.EINVAL:
                raise
            self._give_up()  # this file system wants larger units, or said yes only to the flag
            write_at(self._fd, view, offset)

    def _switch(self, *, on: bool) -> None:
        if on is self._on:
            return
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | _O_DIRECT if on else flags & ~_O_DIRECT)
        except OSError as error:
            if not on or error.errno != errno.EINVAL:
                raise
            self._possible = False
        else:
            self._on = on

    def _give_up(self) -> None:
        self._possible = False
        self._switch(on=False)


def _reserve(fd: int, span: Span) -> None:
    """Take the span's place on the disk at once and not window by window; keeps what is written there already.

    Not os.posix_fallocate: where the file system cannot, that writes every byte.
    """
    call = libc("fallocate")
    if call is None:
        return
    offset, length = ctypes.c_int64(span.offset), ctypes.c_int64(span.length)
    if call(fd, 0, offset, length) and ctypes.get_errno() == errno.ENOSPC:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
