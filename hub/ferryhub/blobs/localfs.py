"""Blobs as files: staged under `uploads/<session>/<file index or pack>`, published as `blobs/<2 characters>/<key>`.

Upload step 8: parts land in a sparse staging file; they and its name are durable before anybody says so. Step 10:
rename, fsync of the directories. D8: ranges go out.
One hub process at a time owns a root. Only ids made by the hub become names here, never a client's words.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Final

from ferryhub.blobs.localreader import LocalBlobReader
from ferryhub.blobs.store import Gap, PartBytes, StagedFile, Stored, blob_key, is_blob_key
from ferryhub.catalogue.packs import is_pack
from ferrywire.durable import start_sync
from ferrywire.ids import is_id
from ferrywire.reasons import FerryError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DIR_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
#: macOS has no fdatasync.
_datasync = getattr(os, "fdatasync", os.fsync)


class LocalBlobStore:
    """A `BlobStore` on a file system, with every capability. Directories are made 0700, published blobs are 0400."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uploads = root / "uploads"
        self._blobs = root / "blobs"
        is_new = not root.exists()
        for directory in (root, self._uploads, self._blobs):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (root.parent, root) if is_new else (root,):
            _sync_directory(directory)
        #: Directories of sessions and blobs whose names are durable; those of which one or another name may not be.
        self._named, self._doubtful = set[Path](), set[Path]()

    def publish(self, files: Sequence[StagedFile]) -> list[Gap]:
        """See `BlobStore`. The size of each file is checked; its bytes were verified and synced as they came."""
        with self.explained():
            gaps = [Gap(file) for file in files if not self.holds(file)]
            if gaps:
                return gaps
            touched = {directory for file in files for directory in self._publish_one(file)}
            for directory in sorted(touched):
                if directory.exists():
                    self._sync_names(directory)
        return []

    def _publish_one(self, file: StagedFile) -> tuple[Path, ...]:
        """Rename one staged file; returns the directories to sync. After a crash the rename may have been done."""
        staged, final = self._staged(file), self.blob_path(file.key)
        if staged.exists():
            self._have(final.parent)
            staged.rename(final)
        # The new mode also renews ctime: the sweep must see a blob that was staged long ago as young.
        final.chmod(0o400)
        return staged.parent, final.parent

    def _is_published(self, file: StagedFile) -> bool:
        return _size(self.blob_path(file.key)) == file.size_bytes

    def discard(self, session_id: str) -> None:
        """See `BlobStore`."""
        directory = self._session(session_id)
        with self.explained():
            self._named.discard(directory)
            if directory.exists():
                shutil.rmtree(directory)
                _sync_directory(self._uploads)
            self._doubtful.discard(directory)

    def delete(self, key: str) -> None:
        """See `BlobStore`."""
        with self.explained():
            self.blob_path(key).unlink(missing_ok=True)

    def sessions(self) -> Iterator[Stored]:
        """See `BlobStore`."""
        for entry in _entries(self._uploads):
            if is_id(entry.name, "upl"):
                yield Stored(entry.name, _touched(entry))

    def blobs(self) -> Iterator[Stored]:
        """See `BlobStore`."""
        for shard in _entries(self._blobs):
            for entry in _entries(Path(shard.path)):
                if is_blob_key(entry.name):
                    yield Stored(entry.name, _touched(entry))

    def blobs_of(self, session_id: str) -> list[str]:
        """See `BlobStore`. Blobs of one session share a directory."""
        prefix = blob_key(session_id, 0).removesuffix("0")
        shard = self.blob_path(prefix + "0").parent
        return [entry.name for entry in _entries(shard) if entry.name.startswith(prefix) and is_blob_key(entry.name)]

    def close(self) -> None:
        """See `BlobStore`. Nothing is held."""

    def open_part(self, file: StagedFile, offset: int) -> LocalPartWriter:
        """See `SupportsPartWrites`."""
        return LocalPartWriter(self, file, offset)

    def open_blob(self, key: str) -> LocalBlobReader | None:
        """See `SupportsReads`."""
        with self.explained():
            try:
                return LocalBlobReader(self.blob_path(key))
            except FileNotFoundError:
                return None

    def keep(self, parts: Sequence[PartBytes]) -> list[FerryError | None]:
        """See `SupportsPartWrites`. Their bytes are on their way to the disk together, and names of one directory are
        synced once."""
        outcome: dict[int, FerryError] = {}
        writers: dict[int, LocalPartWriter] = {}
        try:
            for number, part in enumerate(parts):
                with _noting(outcome, number):
                    writers[number] = self._begun(part)
            for number, writer in writers.items():
                with _noting(outcome, number):
                    writer.sync_data()
        finally:
            for writer in writers.values():
                with suppress(OSError):  # what it holds is durable by now, or its error is noted
                    writer.close()
        written: defaultdict[Path, list[int]] = defaultdict(list)
        for number in writers.keys() - outcome.keys():
            written[self._staged(parts[number].file).parent].append(number)
        for directory, numbers in written.items():
            with _noting(outcome, *numbers), self.explained():
                self._sync_names(directory)
        return [outcome.get(number) for number in range(len(parts))]

    def _begun(self, part: PartBytes) -> LocalPartWriter:
        """A writer of a part that is on its way to the disk."""
        writer = LocalPartWriter(self, part.file, part.offset)
        try:
            writer.write(part.data)
            writer.start_sync()
        except BaseException:
            with suppress(OSError):
                writer.close()
            raise
        return writer

    def open_staged(self, file: StagedFile) -> LocalBlobReader | None:
        """See `SupportsPartWrites`."""
        with self.explained():
            for path in (self._staged(file), self.blob_path(file.key)):
                with suppress(FileNotFoundError):
                    return LocalBlobReader(path)
        return None

    def staged_packs(self, session_id: str) -> list[str]:
        """See `SupportsPartWrites`."""
        with self.explained():
            return [entry.name for entry in _entries(self._session(session_id)) if is_pack(entry.name)]

    def drop_packs(self, session_id: str, names: Sequence[str]) -> None:
        """See `SupportsPartWrites`."""
        with self.explained():
            for name in names:
                self._staged(StagedFile.of_pack(session_id, name)).unlink(missing_ok=True)

    def staging_paths(self, files: Sequence[StagedFile]) -> list[Path]:
        """See `SupportsLocalFiles`. Sparse: no space is taken before bytes come."""
        with self.explained():
            paths = [self.stage(file) for file in files]
            for directory in dict.fromkeys(path.parent for path in paths):
                self._sync_names(directory)
        return paths

    def stage(self, file: StagedFile) -> Path:
        """The file that takes bytes, made when it is not there. It and its name are not durable yet."""
        path = self._staged(file)
        self._have(path.parent)
        if _size(path) != file.size_bytes:
            self._make(path, file)
        return path

    def _make(self, path: Path, file: StagedFile) -> None:
        if not path.exists() and self._is_published(file):
            self._take_back(path, file)
            return
        # Two parts of one file may get here at once: neither may cut off what the other wrote, so never O_TRUNC.
        fd = os.open(path, _FILE_FLAGS | os.O_CREAT, 0o600)
        try:
            os.ftruncate(fd, file.size_bytes)
        finally:
            os.close(fd)

    def _take_back(self, path: Path, file: StagedFile) -> None:
        """A commit was cut short after this file's rename, and now a part of it is sent anew."""
        blob = self.blob_path(file.key)
        blob.chmod(0o600)
        blob.rename(path)
        _sync_directory(path.parent)
        _sync_directory(blob.parent)

    def key_of(self, file: StagedFile) -> str:
        """See `BlobStore`."""
        return file.key

    def holds(self, file: StagedFile) -> bool:
        """See `BlobStore`."""
        return _size(self._staged(file)) == file.size_bytes or self._is_published(file)

    def sync_name(self, file: StagedFile) -> None:
        """Make the name of a staged file durable."""
        self._sync_names(self._staged(file).parent)

    def _have(self, directory: Path) -> None:
        """Have a directory whose own name is durable. Who made one that is there may not have synced its name."""
        if directory not in self._named:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._sync(directory.parent, of=directory)
            self._named.add(directory)

    def _sync_names(self, directory: Path) -> None:
        """Make the names in a directory durable."""
        self._sync(directory, of=directory)

    def _sync(self, names_in: Path, *, of: Path) -> None:
        """After a failed sync another one could succeed and have written nothing: so nothing more is kept in
        the directory it was for, until the session is discarded or the hub starts again."""
        if of in self._doubtful:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        try:
            _sync_directory(names_in)
        except OSError:
            self._doubtful.add(of)
            raise

    def blob_path(self, key: str) -> Path:
        """See `SupportsLocalFiles`. Files of one session share a directory, so that one fsync serves them all."""
        if not is_blob_key(key):
            raise ValueError(f"not a blob key: {key!r}")
        return self._blobs / key.partition("-")[0][-2:] / key

    def _staged(self, file: StagedFile) -> Path:
        return self._session(file.session_id) / (_checked(file.pack) if file.pack else str(int(file.file_index)))

    def _session(self, session_id: str) -> Path:
        if not is_id(session_id, "upl"):
            raise ValueError(f"not a session id: {session_id!r}")
        return self._uploads / session_id

    def _free_bytes(self) -> int:
        """What the file system has left for us, in bytes."""
        try:
            space = os.statvfs(self._root)
        except OSError:
            return 0
        return space.f_bavail * space.f_frsize

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Give an OSError its reason."""
        try:
            yield
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> FerryError:
        """The reason of an OSError of this store. The message names no path: clients get to see it."""
        where, words = "the hub's storage", error.strerror or str(error)
        if error.errno in _FULL:
            free = self._free_bytes()
            return FerryError("DISK_FULL", f"{where} is full: {free} bytes are free", path=where, freeBytes=free)
        if error.errno == errno.EROFS:
            return FerryError("READ_ONLY", f"{where} is read-only", path=where)
        return FerryError("IO_ERROR", f"{where} failed: {words}", path=where)


class LocalPartWriter:
    """See `PartWriter`. The lock keeps a write under way from meeting a closed, perhaps reused, descriptor.

    Opens the file at the first write, so that an owner who goes away before has nothing to close.
    """

    def __init__(self, store: LocalBlobStore, file: StagedFile, offset: int) -> None:
        self._store = store
        self._file = file
        self._offset = offset
        self._fd: int | None = None
        self._closed = False
        self._lock = threading.Lock()

    def write(self, window: memoryview) -> None:
        """See `PartWriter`."""
        with self._lock:
            fd = self._open_fd()
            with self._store.explained():
                while window:
                    written = os.pwrite(fd, window, self._offset)
                    self._offset += written
                    window = window[written:]

    def sync(self) -> None:
        """See `PartWriter`."""
        self.sync_data()
        with self._store.explained():
            self._store.sync_name(self._file)

    def start_sync(self) -> None:
        """Let the bytes be on their way to the disk. They are not durable by this."""
        with self._lock, self._store.explained():
            start_sync(self._open_fd())

    def sync_data(self) -> None:
        """Wait until the bytes are on the disk, and the file's length; its name may not be."""
        with self._lock, self._store.explained():
            _datasync(self._open_fd())

    def close(self) -> None:
        """See `PartWriter`."""
        with self._lock:
            fd, self._fd, self._closed = self._fd, None, True
            if fd is not None:
                os.close(fd)

    def _open_fd(self) -> int:
        if self._closed:
            raise ValueError("the part was closed")
        if self._fd is None:
            with self._store.explained():
                self._fd = os.open(self._store.stage(self._file), _FILE_FLAGS)
        return self._fd


def _checked(pack: str) -> str:
    if not is_pack(pack):
        raise ValueError(f"not a pack: {pack!r}")
    return pack


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _touched(entry: os.DirEntry[str]) -> float:
    """The latest of mtime and ctime: a rename or a new mode renews only the second."""
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return float("inf")
    return max(stat.st_mtime, stat.st_ctime)


@contextmanager
def _noting(outcome: dict[int, FerryError], *numbers: int) -> Iterator[None]:
    """Note what goes wrong for those with these numbers."""
    try:
        yield
    except FerryError as error:
        # A copy has no traceback, which would keep the bytes of all parts.
        outcome |= dict.fromkeys(numbers, copy(error))


def _sync_directory(path: Path) -> None:
    fd = os.open(path, _DIR_FLAGS)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
