"""What is wrong with stored bytes: one finding for each run of blocks, in words for whoever operates the hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from ferrywire.digest import BLOCK_BYTES

WRONG: Final = "other bytes than were stored"


@dataclass(frozen=True, slots=True)
class Damage:
    """Blocks of 1 MiB, `first_block` to `last_block`, counted from 0, of a file of an asset's version."""

    asset_id: str
    version: int
    content_id: str
    path: str
    storage_location: str
    blob_key: str
    first_block: int
    last_block: int
    problem: str

    def __str__(self) -> str:
        blocks = f"blocks {self.first_block} to {self.last_block}"
        return f"{self.asset_id} version {self.version}: {self.path!r} {blocks}: {self.problem}"

    def goes_on(self, next_one: Damage) -> bool:
        """Whether the next one is the same, a little further on."""
        same = (self.blob_key, self.problem) == (next_one.blob_key, next_one.problem)
        return same and next_one.first_block == self.last_block + 1


def damage(file: Row[Any], problem: str, offset: int = 0, count: int = -1) -> Damage:
    """A finding about `count` bytes, or all, from `offset` of a file as `catalogue/checks.py` lists it."""
    end = file.size_bytes if count < 0 else offset + count
    blocks = offset // BLOCK_BYTES, max(offset, end - 1) // BLOCK_BYTES
    where = (file.asset_id, file.version, file.content_id, file.path, file.storage_location, file.blob_key)
    return Damage(*where, *blocks, problem)
