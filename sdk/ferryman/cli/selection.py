"""Which local paths an upload takes: globs, and the list for `--dry-run`.

The daemon walks directories and applies `--include` and `--exclude`; the list here shows what it would choose, by the
same patterns, without asking it.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferrywire.names import is_plain
from ferrywire.patterns import EVERYTHING, Selection


@dataclass(frozen=True)
class Found:
    """A file an upload would take: its path in the asset, where it is, and its size in bytes."""

    path: str
    local_path: str
    size_bytes: int


def expand(given: Sequence[str]) -> list[str]:
    """The paths meant, with globs that the shell did not expand expanded. Raises `Problem` for what is not there."""
    paths: list[str] = []
    for one in given:
        path = os.path.expanduser(one)  # noqa: PTH111 - pathlib drops `./` and trailing slashes, which people type
        if os.path.lexists(path):
            paths.append(path)
            continue
        matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []  # noqa: PTH207
        if not matches:
            message = f"nothing matches {one!r}" if glob.has_magic(path) else f"there is no file or directory {one!r}"
            raise Problem(message, "Check the path; it must exist on this machine.", exit_code=Exit.NOT_FOUND)
        paths += matches
    return paths


def files(paths: Sequence[str], wanted: Selection = EVERYTHING) -> Iterator[Found]:
    """The wanted files below the paths, with the paths they get in the asset.

    Raises `Problem` for what the daemon would refuse: what is no regular file or may not be read, links that lead out
    or nowhere, names that no hub takes, and two files that would have one path.
    """
    seen: dict[str, str] = {}
    for file in _found_below(paths, wanted):
        if file.path in seen:
            raise Problem(
                f"{seen[file.path]!r} and {file.local_path!r} would both be {file.path!r} in the asset",
                "Upload the directory they are in, with --include for the files you want, or rename one.",
            )
        seen[file.path] = file.local_path
        yield file


def _found_below(paths: Sequence[str], wanted: Selection) -> Iterator[Found]:
    for path in paths:
        name = Path(os.path.abspath(path)).name  # noqa: PTH100 - keeps a link's own name
        prefix = "" if len(paths) == 1 else f"{name}/"
        if not Path(path).is_dir():
            if wanted.wants(name):
                yield _found(name, path)
        elif not prefix or wanted.enters(name):
            yield from _below(path, prefix, wanted)


def _below(root: str, prefix: str, wanted: Selection) -> Iterator[Found]:
    inside = os.path.realpath(root).rstrip("/") + "/"
    pending = [(root, prefix)]
    while pending:
        directory, before = pending.pop()
        with os.scandir(directory) as entries:
            listed = list(entries)
        for entry in listed:
            path = before + entry.name
            if entry.is_dir(follow_symlinks=False):
                if wanted.enters(path):
                    pending.append((entry.path, f"{path}/"))
            elif wanted.wants(path):
                if entry.is_symlink() and not os.path.realpath(entry.path).startswith(inside):
                    raise _refused(entry.path, "a link that leaves the directory")
                yield _found(path, entry.path)


def _found(path: str, local: str) -> Found:
    try:
        path.encode()
        status = os.stat(local)  # noqa: PTH116 - names need not be valid paths of pathlib
    except UnicodeEncodeError:
        raise _refused(local, "a file whose name is not UTF-8") from None
    except FileNotFoundError:
        raise _refused(local, "a link that leads nowhere") from None
    if not stat.S_ISREG(status.st_mode):
        raise _refused(local, "no regular file")
    if not is_plain(path):
        raise Problem(f"{local!r} has a backslash or a control character in its name", "Rename it, or pass --exclude.")
    if not os.access(local, os.R_OK):
        raise Problem(f"you may not read {local!r}", "Change its mode, or pass --exclude.")
    return Found(path, local, status.st_size)


def _refused(local: str, what: str) -> Problem:
    return Problem(f"{local!r} is {what}", "Leave it out with --exclude, or replace it by a regular file.")
