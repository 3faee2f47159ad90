"""What the transfer benchmarks move: files of random bytes, in and out of the page cache."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import xxhash

MIB, GIB = 1 << 20, 1 << 30
_PIECE = 16 * MIB


@dataclass(frozen=True)
class Load:
    """A file, or a directory of files. `root` is given to a program. `apart`: each file is an asset of its own."""

    name: str
    title: str
    root: Path
    files: tuple[Path, ...]
    size_bytes: int
    apart: bool = False

    @property
    def many(self) -> bool:
        return self.root.is_dir()


def big(root: Path, scale: float) -> Load:
    return _file("big", root, int(2 * GIB * scale))


def medium(root: Path, scale: float) -> Load:
    return _file("medium", root, int(256 * MIB * scale))


def small(root: Path, scale: float) -> Load:
    """5,000 files of 4 KiB in one directory, which is one asset."""
    return _small("small", root, scale)


def assets(root: Path, scale: float) -> Load:
    """The same, and for us each is an asset of its own."""
    return replace(_small("assets", root, scale, ", each an asset"), apart=True)


def tree(root: Path, scale: float) -> Load:
    """20,000 files as a laboratory has them: most of a few KiB, a few of MiB, 100 to a directory."""
    dice = random.Random(5)
    count = max(1, int(20_000 * scale))
    sizes = [min(8 * MIB, int(dice.lognormvariate(9.5, 1.8))) for _ in range(count)]
    return _tree("tree", f"tree of {count:,} files, {sum(sizes) / MIB:,.0f} MiB", root, sizes, per_directory=100)


LOADS: dict[str, Callable[[Path, float], Load]] = {
    "big": big,
    "medium": medium,
    "small": small,
    "assets": assets,
    "tree": tree,
}


def in_cache(load: Load) -> None:
    """Read everything once."""
    buffer = memoryview(bytearray(_PIECE))
    for path in load.files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def out_of_cache(root: Path) -> None:
    """Have the kernel forget the pages of all files below. Needs no rights but to read them."""
    for path in _below(root):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)  # a page that is not on the disk cannot be forgotten
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def same(load: Load, found: Path) -> bool:
    """Whether `found` holds the bytes of the load, names included."""
    if not load.many:
        files = [path for path in _below(found) if path.is_file()]
        return len(files) == 1 and _digest(files[0]) == _digest(load.root)
    wanted = {path.relative_to(load.root) for path in load.files}
    if {path.relative_to(found) for path in _below(found)} != wanted:
        return False
    return all(_digest(load.root / path) == _digest(found / path) for path in wanted)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _file(name: str, root: Path, size: int) -> Load:
    path = root / f"{name}.bin"
    _fill(path, size)
    title = f"{size / GIB:g} GiB" if size >= GIB else f"{size / MIB:g} MiB"
    return Load(name, title, path, (path,), size)


def _small(name: str, root: Path, scale: float, words: str = "") -> Load:
    count = max(1, int(5000 * scale))
    return _tree(name, f"{count:,} × 4 KiB{words}", root, [4096] * count, per_directory=0)


def _tree(name: str, title: str, root: Path, sizes: list[int], per_directory: int) -> Load:
    """Files of these sizes, so many to a directory; all in one when that is 0."""
    top, files = root / name, []
    for number, size in enumerate(sizes):
        place = top / f"d{number // per_directory:04}" if per_directory else top
        path = place / f"f{number:06}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(path, size)
        files.append(path)
    return Load(name, title, top, tuple(files), sum(sizes))


def _fill(path: Path, size: int) -> None:
    with path.open("wb", buffering=0) as file:
        for offset in range(0, size, _PIECE):
            file.write(os.urandom(min(_PIECE, size - offset)))


def _below(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    yield from (Path(top) / name for top, _, names in os.walk(root) for name in names if (Path(top) / name).is_file())


def _digest(path: Path) -> bytes:
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while data := file.read(_PIECE):
            digest.update(data)
    return digest.digest()
