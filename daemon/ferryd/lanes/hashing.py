"""Block digests of a span of a file. Upload steps 4 and 8, download D8 and D10.

Reads through the thread's buffer, a block at a time; xxhash and preadv release the GIL.
"""

from __future__ import annotations

from ferryd.core.model import Span
from ferryd.core.ports import Meter
from ferryd.lanes.windows import read_at
from ferrywire.digest import BlockHasher


class EndOfFile(Exception):
    """The file ends before the span does."""


def hash_span(fd: int, span: Span, buffer: memoryview, meter: Meter) -> bytes:
    """The block digests of a span that starts at a block boundary of its file. Counts nothing. Raises `EndOfFile`,
    `OSError`, `Interrupted`."""
    hasher = BlockHasher()
    done = 0
    while done < span.length:
        meter.check()
        window = buffer[: min(len(buffer), span.length - done)]
        if read_at(fd, window, span.offset + done) < len(window):
            raise EndOfFile
        hasher.update(window)
        done += len(window)
    return hasher.block_digests()
