"""Whole files that go as one: hashed, and gathered into a body. Upload step 8.

One of up to a window is read once, when it is hashed, and sent from memory. Memory is a window for each thread, and one
for each short pack on its way. Where a pack goes is `departures.py`'s.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ferryd.core.model import HashedPack, SourceFile, Span
from ferryd.core.ports import Meter
from ferryd.lanes.crc64 import Crc
from ferryd.lanes.hashing import EndOfFile, hash_part
from ferryd.lanes.source import opened_whole
from ferryd.lanes.windows import WINDOW_BYTES, read_at
from ferrywire.digest import BlockHasher
from ferrywire.parts import CRC_BYTES


def hash_pack(sources: Sequence[SourceFile], buffer: memoryview, meter: Meter, crc64nvme: Crc | None) -> HashedPack:
    """See the port `Lanes`."""
    if sum(source.identity.size_bytes for source in sources) <= WINDOW_BYTES:
        return _hash_short(sources, meter, crc64nvme)
    found, crc = list[bytes](), b""
    for source in sources:
        with opened_whole(source) as fd:
            one = hash_part(fd, Span(0, source.identity.size_bytes), buffer, meter, crc64nvme, crc)
        found.append(one.block_digests)
        crc = one.crc64nvme
    return HashedPack(tuple(found), crc)


def _hash_short(sources: Sequence[SourceFile], meter: Meter, crc64nvme: Crc | None) -> HashedPack:
    meter.check()
    data = bytearray(sum(source.identity.size_bytes for source in sources))
    found, at = list[bytes](), 0
    with memoryview(data) as view:
        for source in sources:
            end = at + source.identity.size_bytes
            with opened_whole(source) as fd:
                if read_at(fd, view[at:end], 0) < end - at:
                    raise EndOfFile
            hasher = BlockHasher()
            hasher.update(view[at:end])
            found.append(hasher.block_digests())
            at = end
        crc = b"" if crc64nvme is None else crc64nvme(view, 0).to_bytes(CRC_BYTES, "big")
    return HashedPack(tuple(found), crc, data)


def gathered(sources: Sequence[SourceFile], buffer: memoryview, data: bytes | bytearray) -> Generator[memoryview]:
    """The bytes of the files, one after the other, in as few pieces of memory as the buffer allows; `data` when they
    are at hand. To be closed: it has a file open."""
    if data:
        yield memoryview(data)
        return
    filled = 0
    for source in sources:
        done, length = 0, source.identity.size_bytes
        with opened_whole(source) as fd:
            while done < length:
                room = buffer[filled : filled + min(len(buffer) - filled, length - done)]
                if read_at(fd, room, done) < len(room):
                    raise EndOfFile
                done += len(room)
                filled += len(room)
                if filled == len(buffer):
                    yield buffer
                    filled = 0
    if filled:
        yield buffer[:filled]
