"""Gives a complete file its final name: rename, fsync of the directory. Download D10.

The file is durable already, with its mode and length: see `destination.py` and `arrivals.py`. Never a half-written file
under the final name and never a silent overwrite: unless asked to replace, the kernel itself refuses a name that is
taken, so no other program can slip in between a look and a rename.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import IfExists
from ferryd.lanes.destination import OWNERS
from ferryd.lanes.durable import sync_file
from ferryd.lanes.oserrors import destination_error, shown, writing
from ferrywire.libc import libc
from ferrywire.reasons import FerryError

P = TypeVar("P", Path, Path | None)

_NAME_BYTES: Final = 255
_TRIES: Final = 10_000
_RENAME_NOREPLACE: Final = 1
#: The file system cannot do it this way; another may work.
_CANNOT: Final = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK}


def publish(files: Sequence[tuple[Path, Path]], if_exists: IfExists, umask: int, done: Callable[[Path], None]) -> None:
    """Rename complete part files, which lie beside their final names; `done` gets the names they got, in order, once
    those are durable, also of files before one that fails. DESTINATION_EXISTS.

    Files of one directory go together: one sync makes all their names durable.
    """
    for parent, together in _by_parent(files):
        with writing(parent), _opened(parent, os.O_DIRECTORY) as directory:
            if umask & OWNERS:
                _take_from_owner(directory, together, umask)
            names = [(part_file.name, final.name) for part_file, final in together]
            publish_in(directory, os.fspath(parent), names, if_exists, lambda path: done(Path(path)))


def confirm(files: Sequence[tuple[Path | None, Path]]) -> None:
    """Make files and their final names durable that an earlier run gave, and perhaps never synced: pairs as in
    `publish`, without the part file where none was noted. The files too: all that is known of them is that their bytes
    are right."""
    for parent, together in _by_parent(files):
        with writing(parent), _opened(parent, os.O_DIRECTORY) as directory:
            given = [
                _Given(part_file.name if part_file else "", final.name, _sync(final, directory))
                for part_file, final in together
            ]
            _sync_names(directory, given)


class _Given(NamedTuple):
    part: str  #: empty when it may be somebody else's
    name: str
    inode: int


def _by_parent(files: Sequence[tuple[P, Path]]) -> Iterator[tuple[Path, list[tuple[P, Path]]]]:
    for parent, group in groupby(files, lambda pair: pair[1].parent):
        together = list(group)
        if any(part_file is not None and part_file.parent != parent for part_file, _ in together):
            raise ValueError("a part file lies beside its final name")
        yield parent, together


def publish_in(
    directory: int, place: str, names: Sequence[tuple[str, str]], if_exists: IfExists, done: Callable[[str], None]
) -> None:
    """As `publish`, in the open directory at `place`: pairs of a part file and the name it is to get; `done` gets
    paths."""
    given: list[_Given] = []
    try:
        for part, name in names:
            crashpoint("before-publish")
            try:
                status = os.stat(part, dir_fd=directory, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    message = f"{shown(_in(place, part))} is not the part file any more"
                    raise FerryError("UNSAFE_PATH", message, path=part)
                given.append(_Given(part, _rename(directory, part, place, name, if_exists), status.st_ino))
            except OSError as error:
                raise destination_error(error, _in(place, name)) from error
    finally:
        if given:
            with writing(place):
                _sync_names(directory, given)
            for one in given:
                crashpoint("after-publish")
                done(_in(place, one.name))


def _take_from_owner(directory: int, files: Sequence[tuple[Path, Path]], umask: int) -> None:
    """Give complete files the mode that a strange umask asks for, and with which they could not have been written."""
    for part_file, _ in files:
        with writing(part_file), _opened(Path(part_file.name), os.O_NOFOLLOW, dir_fd=directory) as fd:
            os.fchmod(fd, 0o666 & ~umask)
            sync_file(fd)


def _sync(path: Path, directory: int) -> int:
    """Make a file of this directory durable; returns its inode. One is open at a time: there may be thousands."""
    with writing(path), _opened(Path(path.name), os.O_NOFOLLOW, dir_fd=directory) as fd:
        sync_file(fd)
        return os.fstat(fd).st_ino


def _sync_names(directory: int, given: Sequence[_Given]) -> None:
    """Make names durable. After a failed sync the files get their part names back, as far as that is possible: a second
    sync of the same names could succeed and have written nothing, but to be published anew they are renamed anew, and
    that is for the next sync to write. Their bytes are not in doubt: each part was synced when its row was written."""
    try:
        sync_file(directory)
    except OSError:
        for part, name, inode in given:
            if not part:
                continue
            with suppress(OSError):
                # When somebody replaced it the name is another file's.
                if os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino == inode:
                    rename_noreplace(directory, name, part)
        raise


def _rename(directory: int, part: str, place: str, wanted: str, if_exists: IfExists) -> str:
    if if_exists is IfExists.REPLACE:
        try:
            os.rename(part, wanted, src_dir_fd=directory, dst_dir_fd=directory)
        except (IsADirectoryError, FileExistsError):
            raise _taken(place, wanted, "a directory") from None
        return wanted
    for name in _free_names(wanted) if if_exists is IfExists.RENAME else [wanted]:
        try:
            rename_noreplace(directory, part, name)
        except FileExistsError:
            continue
        return name
    if if_exists is IfExists.SKIP:
        os.unlink(part, dir_fd=directory)  # nobody needs it
    raise _taken(place, wanted, "there already")


def rename_noreplace(directory: int, old: str, new: str) -> None:
    """Rename within a directory. FileExistsError, from the kernel, when the new name is taken by anything."""
    ways: list[Callable[[int, str, str], None]] = [_by_renameat2, _by_link, _by_look]
    for way in ways[:-1]:
        try:
            return way(directory, old, new)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    return ways[-1](directory, old, new)


def _by_renameat2(directory: int, old: str, new: str) -> None:
    call = libc("renameat2")
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(directory, os.fsencode(old), directory, os.fsencode(new), _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def _by_link(directory: int, old: str, new: str) -> None:
    os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    os.unlink(old, dir_fd=directory)


def _by_look(directory: int, old: str, new: str) -> None:
    """The last resort, on file systems without hard links (FAT): a name made in the instant between is replaced."""
    try:
        os.stat(new, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


def _free_names(name: str) -> Iterator[str]:
    """`data.csv`, `data (1).csv`, `data (2).csv`, … each at most 255 bytes."""
    yield name
    stem, suffix = Path(name).stem, Path(name).suffix
    for number in range(1, _TRIES):
        tail = f" ({number}){suffix}"
        room = _NAME_BYTES - len(os.fsencode(tail))
        if room > 0:
            yield os.fsencode(stem)[:room].decode(errors="ignore") + tail


def _taken(place: str, name: str, what: str) -> FerryError:
    path = shown(_in(place, name))
    return FerryError("DESTINATION_EXISTS", f"{path} is {what}", path=path)


def _in(place: str, name: str) -> str:
    return os.path.join(place, name)  # noqa: PTH118 (there may be many)


@contextmanager
def _opened(path: Path, flags: int, dir_fd: int | None = None) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)
