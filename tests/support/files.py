"""Files to move, made quickly: random ones that a test can name by seed, and sparse ones of any size."""

from __future__ import annotations

import os
import random
from pathlib import Path

MIB = 1 << 20


def make_file(path: Path, size_bytes: int, *, seed: int = 0) -> Path:
    """A file of `size_bytes` whose MiBs all differ: a random block with a running number at its start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = bytearray(random.Random(seed).randbytes(min(MIB, max(size_bytes, 16))))
    with path.open("wb") as file:
        for number in range(-(-size_bytes // MIB)):
            block[:8] = number.to_bytes(8, "big")
            file.write(memoryview(block)[: min(MIB, size_bytes - number * MIB)])
    return path


def make_sparse(path: Path, size_bytes: int, *, marks: tuple[int, ...] = ()) -> Path:
    """A file of `size_bytes` that takes almost no disk; one byte is written at each offset of `marks`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        os.ftruncate(file.fileno(), size_bytes)
        for offset in marks:
            os.pwrite(file.fileno(), b"\xa5", offset)
    return path


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes, compared a MiB at a time."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(MIB):
            if piece != right.read(MIB):
                return False
    return True


def tree(directory: Path) -> dict[str, int]:
    """Relative path to size of every file below a directory, to see what is there and nothing else."""
    return {str(path.relative_to(directory)): path.stat().st_size for path in directory.rglob("*") if path.is_file()}
