"""Block digests of a span of a file. Upload steps 4 and 8, download D8 and D10.

Reads through the thread's buffer, a block at a time; xxhash and preadv release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ferryd.core.model import Hashed, Span
from ferryd.core.ports import Meter
from ferryd.lanes.crc64 import Crc
from ferryd.lanes.pagecache import ReadOnce
from ferryd.lanes.windows import read_at
from ferrywire.digest import BlockHasher
from ferrywire.parts import CRC_BYTES

#: (memory to fill, offset in the file) → bytes that there were, fewer only at its end.
_Read = Callable[[memoryview, int], int]


class EndOfFile(Exception):
    """The file ends before the span does."""


def hash_span(fd: int, span: Span, buffer: memoryview, meter: Meter) -> bytes:
    """The block digests of a span that starts at a block boundary of its file, which is read for nothing else. Counts
    nothing. Raises `EndOfFile`, `OSError`, `Interrupted`."""
    return _hash(ReadOnce(fd).into, span, buffer, meter, None).block_digests


def hash_part(
    fd: int, span: Span, buffer: memoryview, meter: Meter, crc64nvme: Crc | None, crc_before: bytes = b""
) -> Hashed:
    """As `hash_span`, of what will be read again to be sent; and with a function the CRC too, of what came before and
    this: of each window while the processor's cache still holds it."""
    return _hash(partial(read_at, fd), span, buffer, meter, crc64nvme, crc_before)


def _hash(
    read: _Read, span: Span, buffer: memoryview, meter: Meter, crc64nvme: Crc | None, crc_before: bytes = b""
) -> Hashed:
    hasher = BlockHasher()
    crc, done = int.from_bytes(crc_before, "big"), 0
    while done < span.length:
        meter.check()
        window = buffer[: min(len(buffer), span.length - done)]
        if read(window, span.offset + done) < len(window):
            raise EndOfFile
        hasher.update(window)
        if crc64nvme is not None:
            crc = crc64nvme(window, crc)
        done += len(window)
    return Hashed(hasher.block_digests(), b"" if crc64nvme is None else crc.to_bytes(CRC_BYTES, "big"))
