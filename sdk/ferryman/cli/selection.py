"""Which local paths an upload takes: globs, `--include` and `--exclude`, and the list for `--dry-run`.

The daemon takes paths, not patterns: of a list, each keeps its own name. So a directory can lose whole entries of its
own without any file changing its path in the asset; what would need more is refused here, before anything is sent.
"""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem

Wanted = Callable[[str], bool]
_HINT: Final = "Exclude the whole sub-directory, or move those files away."


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


def files(paths: Sequence[str]) -> Iterator[Found]:
    """The files below the paths, with the paths they get in the asset."""
    for path in paths:
        name = Path(os.path.abspath(path)).name  # noqa: PTH100 - keeps a link's own name
        if not Path(path).is_dir():
            yield Found(name, path, Path(path).stat().st_size)
            continue
        prefix = "" if len(paths) == 1 else f"{name}/"
        for below in _below(path):
            local = os.path.join(path, below)  # noqa: PTH118 - names need not be valid paths of pathlib
            yield Found(prefix + below, local, os.stat(local).st_size)  # noqa: PTH116


def _below(directory: str) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), directory)  # noqa: PTH118


def patterns(include: Sequence[str], exclude: Sequence[str]) -> Wanted:
    """Whether a path in the asset is wanted. Patterns are those of `.gitignore`; without `include` all are wanted."""
    from pathspec import GitIgnoreSpec

    kept, dropped = GitIgnoreSpec.from_lines(include), GitIgnoreSpec.from_lines(exclude)
    return lambda path: (not include or kept.match_file(path)) and not dropped.match_file(path)


def select(paths: Sequence[str], wanted: Wanted) -> list[str]:
    """The paths to upload instead, so that exactly the wanted files go, under the same paths.

    Raises `Problem` where the daemon's rules for names cannot express that, and when nothing is left.
    """
    chosen = [one for path in paths for one in _reduced(path, wanted, alone=len(paths) == 1)]
    if not chosen:
        raise Problem("--include and --exclude leave nothing to upload", "Try them with --dry-run.")
    return chosen


def _reduced(path: str, wanted: Wanted, *, alone: bool) -> list[str]:
    if not Path(path).is_dir():
        return [path] if wanted(Path(path).name) else []
    by_entry: dict[str, list[str]] = defaultdict(list)
    for below in _below(path):
        by_entry[below.partition(os.sep)[0]].append(below)
    kept = {entry: [one for one in inside if wanted(one)] for entry, inside in by_entry.items()}
    if all(len(kept[entry]) == len(inside) for entry, inside in by_entry.items()):
        return [path]
    left = [entry for entry in by_entry if kept[entry]]
    if left and not alone:
        raise Problem(
            f"of several paths, --include and --exclude can only drop whole ones, not a part of {path}", _HINT
        )
    _require_whole(path, by_entry, kept)
    _require_prefix(path, left)
    return [os.path.join(path, entry) for entry in left]  # noqa: PTH118


def _require_whole(path: str, by_entry: dict[str, list[str]], kept: dict[str, list[str]]) -> None:
    for entry, inside in by_entry.items():
        if kept[entry] and len(kept[entry]) < len(inside):
            dropped = next(one for one in inside if one not in set(kept[entry]))
            raise Problem(f"--include and --exclude cannot drop {dropped} and keep the rest of {path}/{entry}", _HINT)


def _require_prefix(path: str, left: Iterable[str]) -> None:
    """One directory alone would lose its name in the asset."""
    entries = list(left)
    if len(entries) == 1 and Path(path, entries[0]).is_dir():
        raise Problem(f"only {entries[0]}/ would be left of {path}", f"Upload {Path(path, entries[0])} itself.")
