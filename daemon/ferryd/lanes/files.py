"""Local files for the engine: the port `Files` over the modules of what is done with them. Upload 4, D8, D10.

Blocking; the engine calls it in threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ferryd.core.model import IfExists, SourceFile, Span
from ferryd.core.ports import Meter
from ferryd.lanes import destination, publish, scan, source, whole_files
from ferryd.lanes.hashing import EndOfFile, hash_span
from ferryd.lanes.oserrors import shown, writing
from ferryd.lanes.windows import WINDOW_BYTES
from ferrywire.digest import of_blocks
from ferrywire.patterns import EVERYTHING, Selection
from ferrywire.reasons import FerryError


class LocalFiles:
    """Implements the port `Files`. `umask` is the user's: what downloaded files and new directories do not allow.

    The daemon itself works under a stricter one, so its value must be read before that is set. None reads it now.
    """

    def __init__(self, umask: int | None = None) -> None:
        self._umask = _current_umask() if umask is None else umask

    def scan(self, paths: Iterable[str], wanted: Selection = EVERYTHING) -> list[SourceFile]:
        """See `scan.scan`."""
        return scan.scan(paths, wanted)

    def check(self, source_file: SourceFile) -> None:
        """SOURCE_CHANGED or SOURCE_MISSING when the file is not what it was at submission."""
        source.check(source_file)

    def resolve(self, dest_dir: str, path: str) -> str:
        """The final path of a manifest path. UNSAFE_PATH when it would leave `dest_dir`."""
        return destination.resolve(dest_dir, path)

    def prepare(self, dest_dir: str, path: str, size_bytes: int, transfer_id: str) -> Path:
        """The part file beside the final name, and its directories. UNSAFE_PATH, DISK_FULL, READ_ONLY,
        DESTINATION_UNWRITABLE, DESTINATION_EXISTS (a file where a directory is needed)."""
        return destination.prepare(dest_dir, path, size_bytes, transfer_id, self._umask)

    def write(
        self,
        dest_dir: str,
        files: Sequence[tuple[str, memoryview]],
        transfer_id: str,
        if_exists: IfExists,
        done: Callable[[str], None],
    ) -> None:
        """Write whole files and give them their final names, durably. As `prepare` and `publish`."""
        whole_files.write(dest_dir, files, transfer_id, if_exists, self._umask, done)

    def publish(self, files: Sequence[tuple[Path, Path]], if_exists: IfExists, done: Callable[[Path], None]) -> None:
        """Give complete files their final names, durably; `done` is told the names they got. DESTINATION_EXISTS."""
        publish.publish(files, if_exists, self._umask, done)

    def confirm(self, files: Sequence[tuple[Path | None, Path]]) -> None:
        """Make final names durable that an earlier run gave."""
        publish.confirm(files)

    def exists(self, final: str | Path) -> bool:
        """Whether something has the final name, a dangling link included."""
        return os.path.lexists(final)

    def digest(self, final: Path, meter: Meter) -> bytes:
        """The digest, raw, of a local file; empty, which no file has, for a link, a directory and the like."""
        with writing(final):
            if not stat.S_ISREG(final.lstat().st_mode):
                return b""
            fd = os.open(final, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                size = os.fstat(fd).st_size
                buffer = memoryview(bytearray(min(WINDOW_BYTES, max(1, size))))
                return of_blocks(hash_span(fd, Span(0, size), buffer, meter))
            except EndOfFile:
                raise FerryError("IO_ERROR", f"{shown(final)} was cut short while it was read", path=final) from None
            finally:
                os.close(fd)

    def discard(self, directories: Iterable[str], transfer_id: str) -> None:
        """Remove the part files of a transfer."""
        destination.discard(directories, transfer_id)

    def check_destination(self, dest_dir: str) -> None:
        """Fail early: DESTINATION_UNWRITABLE or READ_ONLY."""
        destination.check_destination(dest_dir)


def _current_umask() -> int:
    """There is no way to read it but to set it; the composition root has no other thread yet."""
    current = os.umask(0o077)
    os.umask(current)
    return current
