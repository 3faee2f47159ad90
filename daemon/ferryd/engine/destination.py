"""What a download does with local files: what is there already, part files, publishing. Download steps D8 and D10.

Blocking; the engine calls these in threads. The safe primitives are the `Files` port's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from ferryd.core.model import DownloadSpec, IfExists, TransferFile
from ferryd.core.ports import Files, Keep, Meter, RemoteFile
from ferrywire.parts import DEFAULT_PART_BYTES
from ferrywire.reasons import FerryError


class Destination:
    """The directory of one download."""

    def __init__(self, files: Files, spec: DownloadSpec, transfer_id: str, meter: Meter) -> None:
        self._files = files
        self._spec = spec
        self._transfer_id = transfer_id
        self._meter = meter

    def check(self) -> None:
        """Fail early when nothing can be written there."""
        self._files.check_destination(self._spec.dest_dir)

    def place(self, remote: Sequence[RemoteFile]) -> list[TransferFile]:
        """Rows for these files, with their final paths. UNSAFE_PATH before anything is fetched."""
        return [
            TransferFile(
                index=index,
                path=file.path,
                local_path=self._files.resolve(self._spec.dest_dir, file.path),
                size_bytes=file.size_bytes,
                part_bytes=file.part_bytes or DEFAULT_PART_BYTES,  # an empty file may have none
            )
            for index, file in enumerate(remote)
        ]

    @property
    def takes_whole(self) -> bool:
        """Whether files may come in one go. Not with `rename`, which has to know after a crash whether a file that is
        there is the one it was about to name: that is what part files tell."""
        return self._spec.if_exists is not IfExists.RENAME

    def settle(self, files: Sequence[TransferFile], remote: Sequence[RemoteFile], *, again: bool) -> list[TransferFile]:
        """The rows, done, of the files that are not yet and for which what is there will do. DESTINATION_EXISTS.
        `again`: an earlier run has looked, so what is there now, and is the same, is this transfer's own."""
        settled: list[TransferFile] = []
        own: list[tuple[Path | None, Path]] = []
        for file, one in zip(files, remote, strict=True):
            done = None if file.done else self._settle(file, one, again=again)
            if done is not None:
                settled.append(done)
                if not done.skipped:
                    own.append((Path(file.part_path) if file.part_path else None, Path(done.local_path)))
        self._files.confirm(own)  # the run that renamed them may have died before it synced their directory
        return settled

    def _settle(self, file: TransferFile, remote: RemoteFile, *, again: bool) -> TransferFile | None:
        self._meter.check()
        if not self._files.exists(file.local_path):
            return None
        final = Path(file.local_path)
        done = replace(file, done=True, persisted_bytes=file.size_bytes, digest=remote.digest, part_path="")
        skip, own = self._spec.if_exists is IfExists.SKIP, again or bool(file.part_path)
        if (own or not skip) and self._is_equal(final, remote):
            return replace(done, skipped=not own)
        if skip:
            return replace(done, skipped=True, digest=b"")
        if self._spec.if_exists is IfExists.FAIL:
            message = f"{final} exists and differs"
            raise FerryError("DESTINATION_EXISTS", message, path=final)
        if self._spec.if_exists is IfExists.RENAME and file.part_path and not has_part_file(file):
            return self._find_renamed(done, remote)
        return None

    def _find_renamed(self, done: TransferFile, remote: RemoteFile) -> TransferFile | None:
        """A part file that is gone got its name just before the daemon died: find it instead of fetching a second."""
        final = Path(done.local_path)
        for number in count(1):
            renamed = final.with_name(f"{final.stem} ({number}){final.suffix}")
            if not self._files.exists(renamed):
                return None
            if self._is_equal(renamed, remote):
                return replace(done, local_path=str(renamed))
        raise AssertionError("unreachable")

    def _is_equal(self, final: Path, remote: RemoteFile) -> bool:
        return _size_bytes(final) == remote.size_bytes and self._files.digest(final, self._meter) == remote.digest

    def prepare(self, file: TransferFile, done: Callable[[TransferFile], None]) -> None:
        """Make its part file, or find it again; `done` is told."""
        part = self._files.prepare(self._spec.dest_dir, file.path, file.size_bytes, self._transfer_id)
        done(replace(file, part_path=str(part)))

    def publish(
        self, files: Sequence[TransferFile], remote: Sequence[RemoteFile], done: Callable[[TransferFile], None]
    ) -> None:
        """Give these their final names, each whole and durable, or not at all; `done` is told of each in order."""
        coming = iter(files)
        pairs = [(Path(file.part_path), Path(file.local_path)) for file in files]
        with self._looked_at_again(files):
            self._files.publish(
                pairs, self._spec.if_exists, lambda final: done(_ended(next(coming), str(final), remote))
            )

    def keep(
        self, remote: Sequence[RemoteFile], files: Sequence[TransferFile], done: Callable[[TransferFile], None]
    ) -> Keep:
        """Write the bytes of the next of these files, as they are given: each whole and durable under its final name,
        or not at all; `done` is told of each in order."""
        coming, ending = iter(files), iter(files)

        def tell(final: str) -> None:
            done(_ended(next(ending), final, remote))

        def write(contents: Sequence[memoryview]) -> None:
            named = [(next(coming).path, content) for content in contents]
            with self._looked_at_again(files):
                self._files.write(self._spec.dest_dir, named, self._transfer_id, self._spec.if_exists, tell)

        return write

    @contextmanager
    def _looked_at_again(self, files: Sequence[TransferFile]) -> Iterator[None]:
        """A name that was free when this run looked may have been taken by the same file, such as another download's:
        that is for the next run to see, which comes soon."""
        try:
            yield
        except FerryError as error:
            appeared = error.metadata.get("path") in {file.local_path for file in files}
            if error.reason != "DESTINATION_EXISTS" or not appeared or self._spec.if_exists is IfExists.REPLACE:
                raise
            raise FerryError("IO_ERROR", f"{error.message}, since a moment ago", path=error.metadata["path"]) from error

    def discard(self, files: Sequence[TransferFile]) -> None:
        """Remove what runs that died may have left of these."""
        discard(self._files, files, self._transfer_id)


def discard(local: Files, files: Sequence[TransferFile], transfer_id: str) -> None:
    """Remove the part files of a transfer from where it has written these files, or might have."""
    written = [file.local_path for file in files if not file.skipped]
    local.discard(dict.fromkeys(map(os.path.dirname, written)), transfer_id)


def _ended(file: TransferFile, final: str, remote: Sequence[RemoteFile]) -> TransferFile:
    return replace(
        file,
        local_path=final,
        digest=remote[file.index].digest,
        done=True,
        persisted_bytes=file.size_bytes,
        part_path="",
    )


def has_part_file(file: TransferFile) -> bool:
    """Whether the part file that the part rows speak of is still there."""
    return bool(file.part_path) and os.path.lexists(file.part_path)


def _size_bytes(final: Path) -> int:
    """-1 for anything but a regular file."""
    try:
        status = final.lstat()
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1
