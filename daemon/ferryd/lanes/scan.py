"""Finds what to upload: files below paths, as a manifest. Upload step 4.

A symbolic link given by the caller is followed. Inside a directory, links to files are followed while they stay inside
it; links to directories, links that leave it and dangling ones are refused by name: no loops, and nothing is uploaded
that the caller did not point at. Content is read only of files that claim to be empty.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from ferryd.core.model import SourceFile
from ferryd.lanes.oserrors import reading, shown, source_error
from ferryd.lanes.source import identity_of
from ferrywire.names import is_plain
from ferrywire.patterns import EVERYTHING, Selection
from ferrywire.reasons import FerryError

_KINDS = {
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}

_APART = "upload the directory they are in, with include patterns if you do not want all of it, or rename one"


def scan(paths: Iterable[str], wanted: Selection = EVERYTHING) -> list[SourceFile]:
    """The wanted files below these paths, sorted by manifest path. What is not wanted may be anything.

    One file gets its own name, one directory the paths below it; of several paths each keeps its own name in front.
    """
    roots = [os.path.abspath(path) for path in paths]  # noqa: PTH100 (names need not be UTF-8)
    if not roots:
        raise FerryError("INVALID_ARGUMENT", "nothing to upload: give at least one path", field="local_path")
    found: dict[str, SourceFile] = {}
    for root in roots:
        for file in _below(root, wanted, alone=len(roots) == 1):
            twin = found.setdefault(file.path, file)
            if twin is not file:
                both = f"{twin.local_path} and {file.local_path} would both be {file.path!r} in the asset"
                raise FerryError("INVALID_ARGUMENT", f"{both}: {_APART}", field="local_path")
    if not found:
        names = ", ".join(shown(root) for root in roots[:5])
        left = "there are no files in" if wanted is EVERYTHING else "include and exclude leave no file of"
        raise FerryError("INVALID_ARGUMENT", f"{left} {names}", field="local_path")
    return [found[path] for path in sorted(found)]


def _below(root: str, wanted: Selection, *, alone: bool) -> Iterator[SourceFile]:
    with reading(root):
        status = os.stat(root)  # noqa: PTH116
    name = os.path.basename(root)  # noqa: PTH119
    if not stat.S_ISDIR(status.st_mode):
        if wanted.wants(name):
            yield _file(root, name, status)
        return
    real = os.path.realpath(root)
    prefix = "" if alone else f"{name}/"
    if not prefix or wanted.enters(name):
        yield from _walk(root, prefix, real.rstrip("/") + "/", wanted)


def _walk(root: str, prefix: str, inside: str, wanted: Selection) -> Iterator[SourceFile]:
    """Depth first without recursion. `inside` is the real path that links may not leave."""
    pending = [(root, prefix)]
    while pending:
        directory, before = pending.pop()
        with reading(directory), os.scandir(directory) as entries:
            listed = list(entries)
        for entry in listed:
            path = before + entry.name
            with reading(entry.path):
                if entry.is_dir(follow_symlinks=False):
                    if wanted.enters(path):
                        pending.append((entry.path, f"{path}/"))
                    continue
                if not wanted.wants(path):
                    continue
                status = _linked(entry, inside) if entry.is_symlink() else entry.stat(follow_symlinks=False)
            yield _file(entry.path, path, status)


def _linked(entry: os.DirEntry[str], inside: str) -> os.stat_result:
    """The status of the file that a link inside a directory leads to."""
    target = os.path.realpath(entry.path)
    try:
        status = os.stat(target)  # noqa: PTH116
    except FileNotFoundError:
        raise _unsupported(entry.path, "a symbolic link that leads nowhere") from None
    if stat.S_ISDIR(status.st_mode):
        raise _unsupported(entry.path, "a symbolic link to a directory")
    if not target.startswith(inside):
        raise _unsupported(entry.path, f"a symbolic link that leaves the directory, to {shown(target)}")
    return status


def _file(local_path: str, path: str, status: os.stat_result) -> SourceFile:
    if not stat.S_ISREG(status.st_mode):
        raise _unsupported(local_path, _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file"))
    try:
        path.encode()
    except UnicodeEncodeError:
        raise _unsupported(local_path, f"a file whose name is not UTF-8 ({os.fsencode(path)!r}); rename it") from None
    if not is_plain(path):  # no hub takes it: say so now
        raise _unsupported(local_path, "a file whose name holds a backslash or a control character; rename it")
    _require_readable(local_path, status.st_size)
    return SourceFile(path, local_path, identity_of(status))


def _require_readable(local_path: str, size_bytes: int) -> None:
    if not os.access(local_path, os.R_OK):
        name = shown(local_path)
        raise FerryError("SOURCE_UNREADABLE", f"{name} cannot be read by your user: check its mode", path=name)
    if size_bytes == 0 and _has_bytes(local_path):
        raise _unsupported(local_path, "a file that the system makes up while it is read (size 0, yet not empty)")


def _has_bytes(local_path: str) -> bool:
    """Whether a file of size 0 gives bytes all the same, as those of /proc do."""
    try:
        fd = os.open(local_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise source_error(error, local_path) from error
    try:
        return bool(os.read(fd, 1))
    except OSError:
        return True  # not a file that can be read like one
    finally:
        os.close(fd)


def _unsupported(local_path: str, what: str) -> FerryError:
    name = shown(local_path)
    return FerryError("SOURCE_UNSUPPORTED", f"{name} is {what}", path=name)
