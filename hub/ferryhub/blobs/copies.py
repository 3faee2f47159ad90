"""Copies blobs between two directories of blobs, checking every part as it passes. For backups; no upload step.

A copy has its name only when it is whole and durable. Blobs never change, so one that is there is not copied again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Row

from ferryhub.blobs.damage import WRONG, Damage, damage
from ferryhub.blobs.localfs import LocalBlobStore
from ferryhub.blobs.store import WINDOW_BYTES
from ferrywire.digest import DIGEST_BYTES, BlockHasher, of_blocks
from ferrywire.parts import part_count, part_span

_UNFINISHED: Final = ".unfinished"


class BlobCopier:
    """Copies files, as `catalogue/checks.py` lists them, from one root to another. Blocking.

    With `link` a copy is another name of the same file where the file system allows it: nothing is read then.
    """

    def __init__(self, source: Path, target: Path, *, link: bool = False) -> None:
        self._source = LocalBlobStore(source)
        self._target = LocalBlobStore(target)
        self._link = link
        self._touched: set[Path] = set()
        #: How many files and bytes were copied; those that were there before do not count.
        self.files = 0
        self.size_bytes = 0

    def copy(self, file: Row[Any]) -> Damage | None:
        """Copy one file; what is wrong with it, when it could not be. Errors of the target are `OSError`."""
        source, target = self._source.blob_path(file.blob_key), self._target.blob_path(file.blob_key)
        if _size(target) == file.size_bytes:
            return None
        if (size := _size(source)) != file.size_bytes:
            problem = "is missing" if size is None else f"has {size} bytes and should have {file.size_bytes}"
            return damage(file, problem)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        found = None if self._linked(source, target) else _copy(file, source, target)
        if found is None:
            self._touched.add(target.parent)
            self.files += 1
            self.size_bytes += file.size_bytes
        return found

    def finish(self) -> None:
        """Make the names of all copies durable."""
        for directory in (*self._touched, *{each.parent for each in self._touched}):
            sync(directory)
        self._touched.clear()

    def _linked(self, source: Path, target: Path) -> bool:
        if not self._link:
            return False
        with suppress(OSError):  # another file system, or one without hard links
            os.link(source, target, follow_symlinks=False)
            return True
        return False


def sync(path: Path) -> None:
    """Make a file, or the names in a directory, durable."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _copy(file: Row[Any], source: Path, target: Path) -> Damage | None:
    unfinished = target.with_name(target.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    try:
        reader = source.open("rb", buffering=0)
    except OSError as error:
        return damage(file, f"cannot be read: {error.strerror}")
    with reader, unfinished.open("xb", buffering=0) as writer:
        found = _copy_parts(file, reader, writer)
        if found is None:
            os.fchmod(writer.fileno(), 0o400)
            os.fsync(writer.fileno())
    if found is None:
        unfinished.rename(target)
    else:
        unfinished.unlink()
    return found


def _copy_parts(file: Row[Any], reader: BinaryIO, writer: BinaryIO) -> Damage | None:
    for number in range(1, part_count(file.size_bytes, file.part_bytes) + 1):
        offset, length = part_span(file.size_bytes, file.part_bytes, number)
        hasher, left = BlockHasher(), length
        while left:
            try:
                window = reader.read(min(WINDOW_BYTES, left))
            except OSError as error:
                return damage(file, f"cannot be read: {error.strerror}", offset, length)
            if not window:
                break
            hasher.update(memoryview(window))
            _write(writer, memoryview(window))
            left -= len(window)
        if of_blocks(hasher.block_digests()) != file.part_digests[(number - 1) * DIGEST_BYTES : number * DIGEST_BYTES]:
            return damage(file, WRONG, offset, length)
    return None


def _write(writer: BinaryIO, window: memoryview) -> None:
    while window:
        window = window[writer.write(window) :]


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None
