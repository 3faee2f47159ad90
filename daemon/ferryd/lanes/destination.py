"""Where a download goes: directories and the part file below `dest_dir`, never outside it. Download D8.

Names come from a server and are not trusted. Below `dest_dir` every directory is opened from the one above without
following links, so a link put there in between is noticed, not followed. `dest_dir` itself is the caller's own choice.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from ferryd.lanes.durable import sync_file
from ferryd.lanes.oserrors import destination_error, shown, writing
from ferrywire.digest import of_bytes
from ferrywire.reasons import FerryError

_NAME_BYTES: Final = 255
_SUFFIX: Final = ".ferry-part"
#: What the daemon must be allowed with a part file, even where its user's umask takes that away.
OWNERS: Final = 0o600
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def segments(path: str) -> list[str]:
    """The names of a manifest path. UNSAFE_PATH for one that is empty, leads elsewhere, or that no disk can hold."""
    names = path.split("/")
    for name in names:
        if name in ("", ".", "..") or "\0" in name:
            raise _unsafe(path, f"it contains the name {name!r}")
        try:
            size = len(os.fsencode(name))
        except UnicodeEncodeError:
            raise _unsafe(path, "it is not valid text") from None
        if size > _NAME_BYTES:
            raise _unsafe(path, f"it contains a name of {size} bytes, and at most {_NAME_BYTES} are possible")
    return names


def resolve(dest_dir: str, path: str) -> str:
    """The final path of a manifest path."""
    return os.path.join(_absolute(dest_dir), *segments(path))  # noqa: PTH118 (there may be many)


def part_name(name: str, transfer_id: str) -> str:
    """The name of a file while it is incomplete. One that does not fit is cut, and told from others of the same
    beginning by a digest."""
    tail = f".{transfer_id}{_SUFFIX}"
    room = _NAME_BYTES - 1 - len(tail)
    whole = os.fsencode(name)
    if len(whole) > room:
        tail = f"~{of_bytes(whole).hex()[:16]}{tail}"
        whole = whole[: _NAME_BYTES - 1 - len(tail)]
    return f".{whole.decode(errors='ignore')}{tail}"


def passing_names(transfer_id: str, count: int) -> list[str]:
    """Names for so many files that are written in one go: no two are ever the same, whoever else writes for this
    transfer, and whatever the disk takes for the same name."""
    token = secrets.token_hex(4)
    return [f".{transfer_id}.{token}-{number}{_SUFFIX}" for number in range(count)]


def discard(directories: Iterable[str], transfer_id: str) -> None:
    """Remove the part files of a transfer, of both kinds, from these directories. What is not there is fine; the first
    error is raised when everything else is gone."""
    errors: list[FerryError] = []
    for directory in directories:
        with _collected(errors), writing(directory), suppress(FileNotFoundError, NotADirectoryError):
            with os.scandir(directory) as entries:
                left = [one.path for one in entries if one.name.endswith(_SUFFIX) and f".{transfer_id}." in one.name]
            for path in left:
                with _collected(errors), writing(path), suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 (a path of the disk's own bytes)
    if errors:
        raise errors[0]


@contextmanager
def _collected(errors: list[FerryError]) -> Iterator[None]:
    try:
        yield
    except FerryError as error:
        errors.append(error)


class Directory(NamedTuple):
    """An open directory of a download: its descriptor, its path, and the names of files that go there."""

    fd: int
    path: str
    names: list[str]


def directories(dest_dir: str, paths: Sequence[str], umask: int) -> Generator[Directory]:
    """The directories of manifest paths, made when missing, in order; each is open until the next is asked for, so this
    is to be closed. Files that follow each other into one share the way to it."""
    root, at = _absolute(dest_dir), 0
    for parents, group in groupby(map(segments, paths), lambda names: names[:-1]):
        names = [one[-1] for one in group]
        with _directory(root, parents, paths[at], umask) as fd:
            yield Directory(fd, os.path.join(root, *parents), names)  # noqa: PTH118 (there may be many)
        at += len(names)


def prepare(dest_dir: str, path: str, size_bytes: int, transfer_id: str, umask: int) -> Path:
    """Make the directories and the part file of a manifest path, as long as the file will be and with its mode, so that
    to publish it is to rename it; returns its path. An existing part file keeps its bytes."""
    with closing(directories(dest_dir, [path], umask)) as some:
        directory = next(some)
        part = Path(directory.path, part_name(directory.names[0], transfer_id))
        _make_part(directory.fd, part, size_bytes, 0o666 & ~umask | OWNERS)
    return part


def check_destination(dest_dir: str) -> None:
    """Fail early when nothing can be written to `dest_dir`, or to where it would be made."""
    place = Path(_absolute(dest_dir))
    while not place.exists() and place != place.parent:
        if place.is_symlink():
            raise _unwritable(str(place), "a symbolic link that leads nowhere")
        place = place.parent
    if not place.is_dir():
        raise _unwritable(str(place), "a file, not a directory")
    with writing(place):
        flags = os.statvfs(place).f_flag
    if flags & os.ST_RDONLY:
        raise destination_error(OSError(errno.EROFS, os.strerror(errno.EROFS)), place)
    if not os.access(place, os.W_OK | os.X_OK):
        raise _unwritable(str(place), "a directory that your user may not write to")


@contextmanager
def _directory(root: str, parents: list[str], path: str, umask: int) -> Iterator[int]:
    """An open directory: `root`, made when missing, and the parents below it."""
    with writing(root):
        _make_root(Path(root), umask)
        fd = os.open(root, _DIRECTORY)
    try:
        for depth, name in enumerate(parents, 1):
            below = _enter(fd, name, os.path.join(root, *parents[:depth]), path, umask)  # noqa: PTH118
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _make_root(root: Path, umask: int) -> None:
    """Make the directory that the caller chose, and those above it, durably."""
    missing = [place for place in (root, *root.parents) if not place.exists()]
    for place in reversed(missing):
        with _making(place.parent, place.parent):
            place.mkdir(0o700, exist_ok=True)
        for touched, made in ((place, True), (place.parent, False)):
            fd = os.open(touched, _DIRECTORY)
            try:
                if made:
                    _open_up(fd, umask)
                os.fsync(fd)
            finally:
                os.close(fd)


@contextmanager
def _making(directory: int | Path, place: str | Path) -> Iterator[None]:
    """DESTINATION_UNWRITABLE when a directory that is there says that it is not: so does /proc to whoever makes
    something in it, and trying again does not help. One that was removed meanwhile has no links left."""
    try:
        yield
    except FileNotFoundError as error:
        if os.stat(directory).st_nlink:  # noqa: PTH116 (a descriptor, or a path)
            raise _unwritable(str(place), "a directory in which nothing can be made") from error
        raise


def _open_up(directory: int, umask: int) -> None:
    """Give a new directory its mode, keeping an inherited setgid bit."""
    # Not by mkdir: the daemon's own umask is stricter than its user's.
    os.fchmod(directory, stat.S_IMODE(os.fstat(directory).st_mode) & 0o7000 | 0o777 & ~umask)


def _enter(fd: int, name: str, place: str, path: str, umask: int) -> int:
    """Open the directory `name`, made when missing. UNSAFE_PATH when it is a link."""
    with writing(place):
        try:
            with _making(fd, Path(place).parent):
                os.mkdir(name, 0o700, dir_fd=fd)
            made = True
        except FileExistsError:
            made = False
        kind = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            raise _unsafe(path, f"{place} is a symbolic link")
        if not stat.S_ISDIR(kind):
            raise FerryError("DESTINATION_EXISTS", f"{place} is a file where a directory is needed", path=shown(place))
        below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        if made:
            _open_up(below, umask)
            os.fsync(fd)
        return below


def make_new(directory: Directory, name: str, mode: int) -> int:
    """A descriptor of a new, empty file of this mode, whatever the process's umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _making(directory.fd, directory.path):
        fd = os.open(name, flags, 0o600, dir_fd=directory.fd)
    try:
        os.fchmod(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _make_part(directory: int, part: Path, size_bytes: int, mode: int) -> None:
    """Open or create the part file and give it its length and mode; DISK_FULL when what is missing does not fit.

    What is new is made durable with the first of its parts. That is not so for a file without parts, nor for a change
    of one whose parts may all be here.
    """
    with writing(part):
        with _making(directory, part.parent):
            fd, made = _open_part(directory, part.name)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
                raise _unsafe(str(part), "the part file is not the daemon's own")
            room = os.fstatvfs(fd)
            free = room.f_bavail * room.f_frsize
            if size_bytes - status.st_blocks * 512 > free:
                message = f"{shown(part)} needs {size_bytes:,} bytes and only {free:,} are free"
                raise FerryError("DISK_FULL", message, path=shown(part), freeBytes=free)
            if status.st_size != size_bytes:
                # Not posix_fallocate: it writes every byte where the file system cannot reserve, and fills holes.
                os.ftruncate(fd, size_bytes)
            if stat.S_IMODE(status.st_mode) != mode:
                os.fchmod(fd, mode)  # not by open: the daemon's own umask is stricter than its user's
            as_it_was = (stat.S_IMODE(status.st_mode), status.st_size) == (mode, size_bytes)
            if not size_bytes or not (made or as_it_was):
                sync_file(fd)
        finally:
            os.close(fd)


def _open_part(directory: int, name: str) -> tuple[int, bool]:
    """The descriptor, and whether the file was made."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory), True
    except FileExistsError:  # and should it be removed just now, it is made: to be on the safe side, not as new
        return os.open(name, flags | os.O_CREAT, 0o600, dir_fd=directory), False


def _absolute(dest_dir: str) -> str:
    if not dest_dir or "\0" in dest_dir:
        raise FerryError("INVALID_ARGUMENT", f"{dest_dir!r} is no directory to download to", field="dest_dir")
    return os.path.abspath(dest_dir)  # noqa: PTH100 (resolve() would follow links)


def _unsafe(path: str, why: str) -> FerryError:
    name = path.encode("utf-8", "backslashreplace").decode()
    return FerryError("UNSAFE_PATH", f"refused to write {name!r:.600}: {why}", path=name)


def _unwritable(place: str, what: str) -> FerryError:
    message = f"{shown(place)} is {what}: choose a directory that you may write to"
    return FerryError("DESTINATION_UNWRITABLE", message, path=shown(place))
