"""Copies blobs between two directories of blobs, checking every part as it passes. For backups; no upload step.

A copy has its name only when it is whole and durable. Blobs never change, so one that is there is not copied again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Row

from ferryhub.blobs.damage import WRONG, Damage, damage
from ferryhub.blobs.localfs import LocalBlobStore
from ferryhub.blobs.store import WINDOW_BYTES, blob_size, is_packed
from ferrywire.digest import DIGEST_BYTES, BlockHasher, of_blocks, of_bytes
from ferrywire.parts import part_count, part_span

_UNFINISHED: Final = ".unfinished"
#: The modes of a copy that is right, and of a pack of which nobody knows yet.
_WHOLE: Final = 0o400
_IN_DOUBT: Final = 0o600
#: What of a pack is lost with a place that cannot be read.
_PIECE_BYTES: Final = 64 << 10


class BlobCopier:
    """Copies files, as `catalogue/checks.py` lists them, from one root to another. Blocking.

    With `link` a copy is another name of the same file where the file system allows it: nothing is read then.
    """

    def __init__(self, source: Path, target: Path, *, link: bool = False) -> None:
        self._source = LocalBlobStore(source)
        self._target = LocalBlobStore(target)
        self._link = link
        self._touched: set[Path] = set()
        #: The packs that are copied now, and whether each of their files has to be looked at; those with a damaged one.
        self._packs: dict[str, bool] = {}
        self._damaged: set[str] = set()
        #: How many files and bytes were copied; those that were there before do not count.
        self.files = 0
        self.size_bytes = 0

    def copy(self, file: Row[Any]) -> Damage | None:
        """Copy one file, and with the first of a pack all of it; what is wrong with it, when it could not be, or is so
        in the copy of its pack. Errors of the target are `OSError`."""
        source, target = self._source.blob_path(file.blob_key), self._target.blob_path(file.blob_key)
        if file.blob_key not in self._packs:
            size_bytes = blob_size(file.blob_key, file.size_bytes)
            if _size(target) == size_bytes and not _is_in_doubt(target):
                return None
            if (size := _size(source)) != size_bytes:
                return damage(file, "is missing" if size is None else f"has {size} bytes and should have {size_bytes}")
        copy = self._copy_packed if is_packed(file.blob_key) else self._copy
        found = copy(file, source, target)
        if found is None:
            self.files += 1
            self.size_bytes += file.size_bytes
        return found

    def _copy(self, file: Row[Any], source: Path, target: Path) -> Damage | None:
        found = None if self._named(source, target) else _copied(file, source, target, _copy_parts)
        if found is None:
            self._touched.add(target.parent)
        return found

    def _copy_packed(self, file: Row[Any], source: Path, target: Path) -> Damage | None:
        """The pack is copied for the first of its files; each is then looked at in the copy. It is in doubt, and copied
        anew the next time, until all have been and were right."""
        if file.blob_key not in self._packs:
            linked = self._named(source, target)
            found = None if linked else _copied(file, source, target, _copy_all)
            if found is not None:
                return found
            self._packs[file.blob_key] = not linked
            self._touched.add(target.parent)
        found = _look(file, target) if self._packs[file.blob_key] else None
        if found is not None:
            self._damaged.add(file.blob_key)
        return found

    def finish(self) -> None:
        """All files have been copied: no whole pack is in doubt any more. Makes the names of all copies durable."""
        for key in self._packs.keys() - self._damaged:
            self._target.blob_path(key).chmod(_WHOLE)
        for directory in (*self._touched, *{each.parent for each in self._touched}):
            sync(directory)
        self._touched.clear()

    def _named(self, source: Path, target: Path) -> bool:
        """Whether the copy is another name of the same file."""
        target.parent.mkdir(mode=0o700, exist_ok=True)
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


def _copied(
    file: Row[Any], source: Path, target: Path, copy: Callable[[Row[Any], BinaryIO, BinaryIO], Damage | None]
) -> Damage | None:
    unfinished = target.with_name(target.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    try:
        reader = source.open("rb", buffering=0)
    except OSError as error:
        return damage(file, f"cannot be read: {error.strerror}")
    with reader, unfinished.open("xb", buffering=0) as writer:
        found = copy(file, reader, writer)
        if found is None:
            os.fchmod(writer.fileno(), _IN_DOUBT if is_packed(file.blob_key) else _WHOLE)
            os.fsync(writer.fileno())
    if found is None:
        unfinished.rename(target)
    else:
        unfinished.unlink()
    return found


def _copy_all(file: Row[Any], reader: BinaryIO, writer: BinaryIO) -> Damage | None:
    """A pack, as it is. What cannot be read is left out: one file that is damaged must not keep the others."""
    size_bytes = blob_size(file.blob_key, file.size_bytes)
    writer.truncate(size_bytes)
    problem = ""
    for offset in range(0, size_bytes, _PIECE_BYTES):
        try:
            piece = os.pread(reader.fileno(), _PIECE_BYTES, offset)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            continue
        writer.seek(offset)
        _write(writer, memoryview(piece))
    return damage(file, problem) if problem and not writer.tell() else None


def _is_in_doubt(target: Path) -> bool:
    return stat.S_IMODE(target.stat().st_mode) == _IN_DOUBT


def _look(file: Row[Any], target: Path) -> Damage | None:
    """What is wrong with a file of a pack, which has one part."""
    with target.open("rb", buffering=0) as reader:
        found = os.pread(reader.fileno(), file.size_bytes, file.blob_offset)
    return None if of_bytes(found) == file.part_digests else damage(file, WRONG)


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
