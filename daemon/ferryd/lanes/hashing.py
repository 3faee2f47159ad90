"""Block digests of a span of a file. Upload steps 4 and 8, download D8 and D10.

Reads through the thread's buffer, a block at a time; xxhash and preadv release the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator

from ferryd.core.model import Hashed, Span
from ferryd.core.ports import Meter
from ferryd.lanes.crc64 import Crc
from ferryd.lanes.pagecache import stretches
from ferryd.lanes.windows import read_at
from ferrywire.digest import BlockHasher
from ferrywire.parts import CRC_BYTES


class EndOfFile(Exception):
    """The file ends before the span does."""


def hash_span(fd: int, span: Span, buffer: memoryview, meter: Meter, *, ours: bool = False) -> bytes:
    """The block digests of a span that starts at a block boundary of its file, which is read for nothing else; of one
    that is `ours` nobody else reads anything yet. Counts nothing. Raises `EndOfFile`, `OSError`, `Interrupted`."""
    hasher = BlockHasher()
    for stretch in stretches(fd, span, ours=ours):
        for window in _windows(fd, stretch, buffer, meter):
            hasher.update(window)
    return hasher.block_digests()


def hash_part(
    fd: int, span: Span, buffer: memoryview, meter: Meter, crc64nvme: Crc | None, crc_before: bytes = b""
) -> Hashed:
    """As `hash_span`, of what will be read again to be sent; and with a function the CRC too, of what came before and
    this: of each window while the processor's cache still holds it."""
    hasher, crc = BlockHasher(), int.from_bytes(crc_before, "big")
    for window in _windows(fd, span, buffer, meter):
        hasher.update(window)
        if crc64nvme is not None:
            crc = crc64nvme(window, crc)
    return Hashed(hasher.block_digests(), b"" if crc64nvme is None else crc.to_bytes(CRC_BYTES, "big"))


def _windows(fd: int, span: Span, buffer: memoryview, meter: Meter) -> Iterator[memoryview]:
    """What the span holds, in the buffer, a piece at a time."""
    done = 0
    while done < span.length:
        meter.check()
        window = buffer[: min(len(buffer), span.length - done)]
        if read_at(fd, window, span.offset + done) < len(window):
            raise EndOfFile
        yield window
        done += len(window)
