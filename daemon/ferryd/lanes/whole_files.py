"""Writes whole files that are in memory: made, written, durable together, and named. Download steps D8 to D10.

Until its bytes are durable each is a part file, and it gets its name as any other (`publish.py`); but it is written in
one go or not at all, so nothing of it is noted before, and nothing is left when that fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress

from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import IfExists
from ferryd.lanes.destination import Directory, directories, make_new, passing_names
from ferryd.lanes.durable import AT_ONCE, close_synced, synced_together
from ferryd.lanes.oserrors import writing
from ferryd.lanes.publish import publish_in
from ferryd.lanes.windows import write_at


def write(
    dest_dir: str,
    files: Sequence[tuple[str, memoryview]],
    transfer_id: str,
    if_exists: IfExists,
    umask: int,
    done: Callable[[str], None],
) -> None:
    """Write (manifest path, bytes) below `dest_dir`; `done` gets their final paths in order, once they are durable.
    After a failure those of a directory that had got no name are gone."""
    contents = iter([data for _, data in files])
    with closing(directories(dest_dir, [path for path, _ in files], umask)) as some:
        for directory in some:
            parts = passing_names(transfer_id, len(directory.names))
            try:
                _write(directory, [(part, next(contents)) for part in parts], 0o666 & ~umask)
                crashpoint("after-part-file-write")
                names = list(zip(parts, directory.names, strict=True))
                publish_in(directory.fd, directory.path, names, if_exists, done)
            except BaseException:
                _remove(directory.fd, parts)
                raise


def _write(directory: Directory, files: Sequence[tuple[str, memoryview]], mode: int) -> None:
    for at in range(0, len(files), AT_ONCE):
        with ExitStack() as opened:
            written = [_written(directory, part, data, mode, opened) for part, data in files[at : at + AT_ONCE]]
            for _ in synced_together(written):
                pass


def _written(directory: Directory, part: str, data: memoryview, mode: int, opened: ExitStack) -> tuple[str, int]:
    path = os.path.join(directory.path, part)  # noqa: PTH118 (there may be many)
    with writing(path):
        fd = make_new(directory, part, mode)
        opened.callback(close_synced, fd)
        write_at(fd, data, 0)
    return path, fd


def _remove(directory: int, parts: Sequence[str]) -> None:
    """What has got its name meanwhile is not called so any more."""
    for part in parts:
        with suppress(OSError):
            os.unlink(part, dir_fd=directory)
