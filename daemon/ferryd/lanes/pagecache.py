"""Leaves the page cache as it was: what is read of a large file only to be moved, or looked at, is dropped again.

Upload steps 4 and 8, download D8. It would push out what others read. What the cache held before stays there: somebody
may want it. The kernel is asked without mapping anything, which would wait for a dead file server with the memory of
the whole process locked.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeVar

from ferryd.core.model import Identity, SourceFile, Span
from ferrywire.libc import libc

Key = TypeVar("Key")

#: Below this pages are few, and a file is likely read again soon.
_LEAST_BYTES: Final = 4 << 20
#: One page in so many may be there by chance.
_FEW: Final = 8
#: Parts that are remembered: more than are ever between hashing and sending. What was given up is forgotten in time.
_MOST: Final = 256
#: How much is looked at before it is dropped.
_STRETCH_BYTES: Final = 64 << 20
#: The number of cachestat (Linux 6.5), for which the C library has no name.
_CACHESTAT: Final = 451


class Passing:
    """The parts of sources that came into the page cache by us. Used by several threads.

    A part is read twice, to be hashed and to be sent, so its pages must last from one to the other, and no longer.
    """

    def __init__(self) -> None:
        self._ours: dict[tuple[Identity, Span], None] = {}
        self._ends: dict[tuple[Identity, int], None] = {}

    def hashing(self, fd: int, source: SourceFile, span: Span) -> None:
        """To be called before a part is hashed. One that is there already is not ours, whatever was before."""
        if not self._note(fd, source, span):
            self._ours.pop(_key(source, span), None)
            self._ends.pop((source.identity, span.offset + span.length), None)

    def sending(self, fd: int, source: SourceFile, span: Span) -> None:
        """To be called before a part is sent: an earlier run may have hashed it."""
        self._note(fd, source, span)

    def sent(self, fd: int, source: SourceFile, span: Span) -> None:
        """The part is not needed any more."""
        if self._ours.pop(_key(source, span), self) is None:
            _drop(fd, span)

    def _note(self, fd: int, source: SourceFile, span: Span) -> bool:
        """Whether a part is ours from now on."""
        follows = (source.identity, span.offset) in self._ends
        if not _is_cold(fd, span, follows=follows):
            return False
        _remember(self._ours, _key(source, span))
        _remember(self._ends, (source.identity, span.offset + span.length))
        return True


def stretches(fd: int, span: Span, *, ours: bool) -> Iterator[Span]:
    """Cut what is read once; each is dropped when the next is asked for, if it was not there before, or is `ours`."""
    end = span.offset + span.length
    cuts = [Span(at, min(_STRETCH_BYTES, end - at)) for at in range(span.offset, end, _STRETCH_BYTES)]
    cold = [_is_cold(fd, cut, ours=ours) for cut in cuts[:1]]
    for cut, following in zip_longest(cuts, cuts[1:]):
        if following:  # looked at now: when this one is read, the kernel reads on into the next
            cold.append(_is_cold(fd, following, ours=ours))
        yield cut
        if cold.pop(0):
            _drop(fd, cut)


@dataclass(frozen=True, slots=True)
class Held:
    """What the page cache holds of a span, and how much of that is still to be written or is being written."""

    cached_bytes: int
    unwritten_bytes: int


def held(fd: int, span: Span) -> Held | None:
    """None where nobody says: on an older kernel, in a sandbox, of a file that is somebody else's."""
    call = libc("syscall")
    if call is None:
        return None
    where, found = (ctypes.c_uint64 * 2)(span.offset, span.length), (ctypes.c_uint64 * 5)()
    failed = call(ctypes.c_long(_CACHESTAT), ctypes.c_int(fd), where, found, ctypes.c_uint(0))
    return None if failed else Held(found[0] * mmap.PAGESIZE, (found[1] + found[2]) * mmap.PAGESIZE)


def _is_cold(fd: int, span: Span, *, follows: bool = False, ours: bool = False) -> bool:
    """Whether a large span is not in the cache, or is of a file that is `ours`, whatever is there. `follows` is whether
    what is before it came by us: then the kernel has read on into it, and its rear half tells."""
    if span.length < _LEAST_BYTES or ours:
        return span.length >= _LEAST_BYTES
    skipped = span.length // 2 if follows else 0
    length = span.length - skipped
    found = held(fd, Span(span.offset + skipped, length))
    return found is not None and found.cached_bytes * _FEW <= length


def _drop(fd: int, span: Span) -> None:
    """Drop what was read just now. Not what is to be written: that would begin at once. And if none of it is there, the
    file system has its cache elsewhere (ZFS, overlays), of which we do not know what others want."""
    found = held(fd, span)
    if found and found.cached_bytes and not found.unwritten_bytes:
        with suppress(OSError, AttributeError):  # a sandbox may forbid it, and not every system has it
            os.posix_fadvise(fd, span.offset, span.length, os.POSIX_FADV_DONTNEED)


def _key(source: SourceFile, span: Span) -> tuple[Identity, Span]:
    return source.identity, span


def _remember(of: dict[Key, None], key: Key) -> None:
    of.pop(key, None)
    of[key] = None
    for oldest in list(of)[:-_MOST]:
        of.pop(oldest, None)
