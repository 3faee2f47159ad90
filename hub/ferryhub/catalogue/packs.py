"""Packs: small files of a session that are sent and kept as one object, one after the other (ADR 0014). Upload step 8.

What a pack is called follows from what is in it, so any replica finds it again, and other bytes have another name. No
bytes and no SQL here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from ferryhub.catalogue.locations import PartRules
from ferryhub.catalogue.validation import invalid
from ferrywire.parts import CRC_BYTES

if TYPE_CHECKING:
    from ferryhub.catalogue.parts import Part, Slot

#: The least and the greatest index of its files, a digest of what is in it, its size in bytes.
PACK_NAME: Final = r"(?:0|[1-9][0-9]{0,9})-(?:0|[1-9][0-9]{0,9})-[0-9a-f]{32}-[1-9][0-9]{0,12}"
_NAME: Final = re.compile(PACK_NAME)


@dataclass(frozen=True, slots=True)
class Pack:
    """Files that are one object: their `parts`, which know where in it they are, and the sizes of those, in bytes."""

    name: str
    parts: tuple[Part, ...]
    sizes: tuple[int, ...]
    #: CRC-64/NVME of all its bytes, 8 bytes, where the store checks it; else empty.
    crc64nvme: bytes


def packed(parts: Sequence[Part], slots: Sequence[Slot], crc64nvme: bytes, rules: PartRules) -> Pack:
    """The pack of these parts, in this order. Error: `INVALID_ARGUMENT` when they cannot be one."""
    if not rules.pack_bytes:
        raise invalid("pack", "files are sent one by one to this storage")
    crc64nvme = crc64nvme if rules.checksum else b""
    if rules.checksum and len(crc64nvme) != CRC_BYTES:
        raise invalid("pack.crc64nvme", f"{len(crc64nvme)} bytes; this storage needs {CRC_BYTES}")
    for slot in slots:
        if slot.size_bytes != slot.file_size_bytes:
            raise invalid("pack", f"file {slot.file_index} has several parts")
    sizes = tuple(slot.size_bytes for slot in slots)
    *offsets, size_bytes = accumulate(sizes, initial=0)
    if size_bytes > rules.pack_bytes:
        raise invalid("pack", f"{size_bytes} bytes are more than the {rules.pack_bytes} of a pack")
    hasher = hashlib.blake2b(crc64nvme, digest_size=16)  # nobody can make another pack of the same name
    for part in parts:
        hasher.update(part.file_index.to_bytes(4, "big") + part.digest)
    indexes = [part.file_index for part in parts]
    name = f"{min(indexes)}-{max(indexes)}-{hasher.hexdigest()}-{size_bytes}"
    placed = (replace(part, pack=name, pack_offset=offset) for part, offset in zip(parts, offsets, strict=True))
    return Pack(name, tuple(placed), sizes, crc64nvme)


def is_pack(name: str) -> bool:
    """Whether this is a pack's name."""
    return _NAME.fullmatch(name) is not None


def indexes_of(name: str) -> tuple[int, int]:
    """The least and the greatest index of the files of a pack."""
    first, last, *_ = name.split("-")
    return int(first), int(last)


def size_of(name: str) -> int:
    """The size of a pack, in bytes."""
    return int(name.split("-")[3])
