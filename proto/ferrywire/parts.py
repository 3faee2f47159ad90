"""The arithmetic of parts: how a file is cut. Upload step 4; the hub checks the same limits. Pure.

An empty file has no parts and no file has an empty one. Part sizes are whole blocks, so that digests do not depend on
them.
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1 << 20
DEFAULT_PART_BYTES: Final = 64 * MIB
MAX_PART_BYTES: Final = 5 << 30
MAX_PARTS: Final = 10_000
#: CRC-64/NVME, where a store checks parts by it.
CRC_BYTES: Final = 8


def part_size(size_bytes: int, wanted_bytes: int = DEFAULT_PART_BYTES) -> int:
    """The part size for a file: the wanted one, grown by whole MiB until there are at most 10,000 parts."""
    least = -(-size_bytes // MAX_PARTS)
    return max(wanted_bytes, -(-least // MIB) * MIB)


def part_count(size_bytes: int, part_bytes: int) -> int:
    """How many parts a file has. 0 for an empty file."""
    return -(-size_bytes // part_bytes)


def part_span(size_bytes: int, part_bytes: int, number: int) -> tuple[int, int]:
    """(offset, length) in bytes of part `number`, counted from 1."""
    offset = (number - 1) * part_bytes
    return offset, min(part_bytes, size_bytes - offset)
