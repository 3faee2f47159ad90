"""CRC-64/NVME of a whole from those of its pieces, so that no byte has to be read again. Upload step 10. Pure.

Only the joining is here: whoever reads the bytes computes the pieces (awscrt, in the daemon).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ferrywire.parts import CRC_BYTES

#: The polynomial without its top bit, its lowest power in the highest bit.
_POLYNOMIAL: Final = 0x9A6C9329AC4BC9B5
_ONE: Final = 1 << 63


def joined(pieces: Iterable[tuple[bytes, int]]) -> bytes:
    """The CRC, 8 bytes, of pieces one after the other, each given as (its CRC, its length in bytes)."""
    whole = 0
    for crc, length in pieces:
        whole = _times(whole, _shift(length)) ^ int.from_bytes(crc, "big")
    return whole.to_bytes(CRC_BYTES, "big")


@lru_cache(maxsize=256)
def _shift(length_bytes: int) -> int:
    """x to the power of the bits of so many bytes: what a CRC is multiplied by when they follow."""
    power, square = _ONE, _ONE >> 8
    while length_bytes:
        if length_bytes & 1:
            power = _times(power, square)
        square = _times(square, square)
        length_bytes >>= 1
    return power


def _times(left: int, right: int) -> int:
    """The product of two polynomials over GF(2), modulo the CRC's."""
    product = 0
    while right:
        if right & _ONE:
            product ^= left
        right = (right << 1) & 0xFFFFFFFFFFFFFFFF
        left = (left >> 1) ^ (_POLYNOMIAL if left & 1 else 0)
    return product
