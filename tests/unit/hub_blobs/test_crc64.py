"""The joined CRC against the library that computes it from bytes."""

from __future__ import annotations

import random

import pytest
from awscrt.checksums import crc64nvme

from ferryhub.blobs.crc64 import joined


def _crc(data: bytes) -> bytes:
    return int(crc64nvme(data)).to_bytes(8, "big")


def test_the_check_value_of_the_catalogue_of_crcs() -> None:
    assert _crc(b"123456789").hex() == "ae8b14860a799888"
    assert joined([(_crc(b"1234"), 4), (_crc(b"56789"), 5)]) == _crc(b"123456789")


@pytest.mark.parametrize("lengths", [[], [0], [1], [1, 1], [0, 5, 0], [1 << 20, 1 << 20, 3], [7, 1000, 1 << 16, 1]])
def test_pieces_give_the_crc_of_the_whole(lengths: list[int]) -> None:
    data = random.Random(str(lengths)).randbytes(sum(lengths))
    pieces, at = [], 0
    for length in lengths:
        pieces.append((_crc(data[at : at + length]), length))
        at += length
    assert joined(pieces) == _crc(data)
    if pieces:
        assert joined([*pieces, (_crc(b"x"), 1)]) != _crc(data)


def test_ten_thousand_parts_of_half_a_gibibyte_are_no_work() -> None:
    part = (b"\x12\x34\x56\x78\x9a\xbc\xde\xf0", 512 << 20)
    assert len(joined([part] * 10_000)) == 8
