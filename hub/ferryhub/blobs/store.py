"""What the hub needs from a place that keeps bytes: a small protocol, and capabilities beside it.

Upload step 8 (parts arrive), 10 (publish) and D7/D8 (ranges go out). Names on the store come from the hub's own ids,
never from a client. No SQL, no HTTP, no digests of whole files here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from ferryhub.blobs.locations import UrlLocation
from ferryhub.catalogue.packs import PACK_NAME, indexes_of, is_pack, size_of
from ferrywire.reasons import FerryError

#: What one read or write moves at most, in bytes. A window, never a part, is held in memory.
WINDOW_BYTES: Final = 1 << 20

#: A session, and a file of it with, where a store keeps that in the name, the checksum of the bytes; or a pack.
_KEY = re.compile(rf"[0-9A-HJKMNP-TV-Z]{{26}}-(?:(?:0|[1-9][0-9]{{0,9}})(?:-[0-9a-f]{{16}})?|{PACK_NAME})")
_SESSION_PREFIX = "upl_"


def blob_key(session_id: str, file_index: int) -> str:
    """The name of the blob that a file of a session becomes: the session's ULID and the file's index.

    Made from the hub's ids alone, so that a commit repeated after a crash finds what the first one published.
    """
    return f"{session_id.removeprefix(_SESSION_PREFIX)}-{file_index}"


def is_blob_key(text: str) -> bool:
    """Whether the text has the form of a blob key: nothing else may become a path."""
    return _KEY.fullmatch(text) is not None


def session_of(key: str) -> str:
    """The session that published the blob."""
    return _SESSION_PREFIX + key.partition("-")[0]


def pack_key(session_id: str, pack: str) -> str:
    """The name of the blob that a pack of a session is."""
    return f"{session_id.removeprefix(_SESSION_PREFIX)}-{pack}"


def is_packed(key: str) -> bool:
    """Whether the blob is a pack."""
    return is_pack(_rest(key))


def blob_size(key: str, file_bytes: int) -> int:
    """The size of the blob that holds a file of so many bytes, in bytes."""
    return size_of(_rest(key)) if is_packed(key) else file_bytes


def file_of(key: str) -> str:
    """The `StagedFile.key` of what the blob was made of."""
    return key if is_packed(key) else "-".join(key.split("-")[:2])


def _rest(key: str) -> str:
    """What comes after the session."""
    return key.partition("-")[2]


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of a session whose parts are arriving, or a pack of files, which is one part. Never empty: an empty file
    has no bytes to keep."""

    session_id: str
    file_index: int
    size_bytes: int
    #: The size of every part but the last; 0 where that does not matter.
    part_bytes: int = 0
    #: What the store called the upload of this file in `begin`; empty when there is none.
    upload_id: str = ""
    #: CRC-64/NVME of the whole file, 8 bytes; empty when unknown.
    crc64nvme: bytes = b""
    #: The name of a pack, of which `file_index` is the first file; empty for a file by itself.
    pack: str = ""

    @classmethod
    def of_pack(cls, session_id: str, pack: str) -> StagedFile:
        """A pack, by its name."""
        size_bytes = size_of(pack)
        return cls(session_id, indexes_of(pack)[0], size_bytes, size_bytes, pack=pack)

    @property
    def key(self) -> str:
        return pack_key(self.session_id, self.pack) if self.pack else blob_key(self.session_id, self.file_index)


@dataclass(frozen=True, slots=True)
class Gap:
    """What of a staged file is not there: these parts, or, when none is named, everything."""

    file: StagedFile
    part_numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PartPut:
    """A part that a caller is going to send to the store. `crc64nvme` is empty where the store checks none."""

    file: StagedFile
    number: int
    size_bytes: int
    crc64nvme: bytes = b""


@dataclass(frozen=True, slots=True)
class PartBytes:
    """A part that is in memory: of which file, from which byte on, and its bytes."""

    file: StagedFile
    offset: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class Stored:
    """Something the store keeps, for the sweep. `touched_at` is seconds since the epoch, the latest sign of use."""

    name: str
    touched_at: float


class BlobStore(Protocol):
    """Keeps blobs. Blocking, but for `key_of`: callers use threads.

    *Retry.* Every method may be repeated, after a crash at any point too, and then ends in the same state.
    *Durability.* What a method did survives a power loss once it has returned.
    *Immutability.* A published blob never changes.
    *Errors.* `FerryError` with DISK_FULL, READ_ONLY or IO_ERROR; what a caller can wait out is `retryable`.
    """

    def publish(self, files: Sequence[StagedFile]) -> list[Gap]:
        """Make staged files of one session blobs; a file that is a blob already is left alone. Returns what is not
        there: then the caller has it sent again. Nothing was published, unless bytes turned out wrong only then."""

    def key_of(self, file: StagedFile) -> str:
        """What a staged file is called once it is published; made from what the catalogue knows of it alone."""

    def holds(self, file: StagedFile) -> bool:
        """Whether bytes of the file are there, staged or published. When not, part rows that say so are void."""

    def discard(self, session_id: str) -> None:
        """Remove what is staged for a session. Published blobs stay."""

    def delete(self, key: str) -> None:
        """Remove a blob; a missing one is fine."""

    def sessions(self) -> Iterator[Stored]:
        """The sessions that have something staged."""

    def blobs(self) -> Iterator[Stored]:
        """The keys of all blobs."""

    def blobs_of(self, session_id: str) -> list[str]:
        """The keys of a session's blobs."""

    def close(self) -> None:
        """Let go of connections and threads. Calls under way end first."""


class PartWriter(Protocol):
    """Takes the bytes of one part in order. Blocking; safe to `close` from any thread at any time."""

    def write(self, window: memoryview) -> None:
        """Store the next bytes at their place."""

    def sync(self) -> None:
        """Make everything written durable. After an error the part must be sent again, never just synced again."""

    def close(self) -> None:
        """Let go. Waits for a `write` under way; later ones fail."""


class BlobReader(Protocol):
    """Reads one blob. Blocking."""

    @property
    def size_bytes(self) -> int:
        """The size of the blob, in bytes."""

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end."""

    def close(self) -> None:
        """Let go. Waits for a `read` under way."""


@runtime_checkable
class HasFile(Protocol):
    """A reader of a blob that is a file, from its first byte to its last."""

    def fileno(self) -> int:
        """Its descriptor, until the reader is closed."""


@runtime_checkable
class SupportsPartWrites(Protocol):
    """The hub itself can receive parts for this store."""

    def open_part(self, file: StagedFile, offset: int) -> PartWriter:
        """Take bytes of a staged file from `offset` on."""

    def open_staged(self, file: StagedFile) -> BlobReader | None:
        """Read a staged file, or the blob that it has become; None when there is neither."""

    def staged_packs(self, session_id: str) -> list[str]:
        """The names of the packs that are staged for a session, whole or not."""

    def drop_packs(self, session_id: str, names: Sequence[str]) -> None:
        """Remove staged packs; missing ones are fine."""

    def keep(self, parts: Sequence[PartBytes]) -> list[FerryError | None]:
        """Store small parts and make them durable together; in their order, what went wrong with each."""


@runtime_checkable
class SupportsReads(Protocol):
    """The hub itself can give out ranges of this store's blobs."""

    def open_blob(self, key: str) -> BlobReader | None:
        """Read a blob; None when there is none."""


@runtime_checkable
class SupportsLocalFiles(Protocol):
    """Callers on this machine may open the files themselves."""

    def staging_paths(self, files: Sequence[StagedFile]) -> list[Path]:
        """The files that take staged files' bytes, in their order, made with their full length, their names durable:
        who writes syncs the file. One that was published by a commit cut short is taken back: nothing refers to it yet.
        """

    def blob_path(self, key: str) -> Path:
        """The file of a blob."""


@runtime_checkable
class SupportsUrls(Protocol):
    """Callers send parts to the store itself, and read from it, at URLs that it signs. A file of one part is a blob as
    soon as that has arrived; others are put together by `publish`. Signing costs a fraction of a millisecond of CPU."""

    def begin(self, file: StagedFile) -> str:
        """Open an upload for a file of several parts; returns its `upload_id`."""

    def abandon(self, file: StagedFile) -> None:
        """Throw away the upload `file.upload_id` with its parts; a missing one is fine."""

    def put_urls(self, parts: Sequence[PartPut]) -> list[UrlLocation]:
        """Where to PUT these parts, in order. Files of several parts have an `upload_id`."""

    def get_urls(self, keys: Sequence[str]) -> list[UrlLocation]:
        """Where to GET these blobs, in order, with any range."""

    def missing(self, files: Sequence[StagedFile]) -> list[StagedFile]:
        """Those files of one session of which nothing can be there any more: no upload and no blob."""
