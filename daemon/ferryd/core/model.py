"""What the daemon's parts talk about: transfers, files, parts. Frozen values, no behaviour, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ferryd.core.states import State
from ferrywire.reasons import FerryError, Wait


class Kind(StrEnum):
    """Which way the bytes go."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


#: The checksum that a session may ask of its parts.
CRC64NVME: Final = "crc64nvme"


class Phase(StrEnum):
    """What a running transfer does now."""

    PREPARING = "preparing"
    HASHING = "hashing"
    SENDING = "sending"
    RECEIVING = "receiving"
    VERIFYING = "verifying"
    COMMITTING = "committing"
    WRITING = "writing"


class IfExists(StrEnum):
    """What a download does about a file that has the final name already."""

    FAIL = "fail"
    SKIP = "skip"
    REPLACE = "replace"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Context:
    """A hub, by the name it has here and by its address: where a transfer belongs, for good."""

    name: str
    hub: str


#: The hub inside the daemon.
EMBEDDED: Final = Context("embedded", "embedded")


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a source file the same file with the same bytes, as stat tells."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to upload, as it was at submission."""

    path: str  #: in the asset: relative, `/` between names
    local_path: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class UploadSpec:
    """What the caller of an upload asked for. Empty strings mean absent; `asset_id` set means a new version."""

    paths: tuple[str, ...]
    title: str = ""
    owner_type: str = ""
    owner_id: str = ""
    description: str = ""
    alias: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    collection_id: str = ""
    asset_id: str = ""
    part_bytes: int | None = None  #: None means the default; 0 is an error
    message: str = ""
    include: tuple[str, ...] = ()  #: patterns as in .gitignore
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DownloadSpec:
    """What the caller of a download asked for. Empty strings mean absent."""

    asset_id: str
    dest_dir: str
    content_id: str = ""
    if_exists: IfExists = IfExists.FAIL
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """A row of the queue: everything a watcher may see. Times are seconds since the epoch."""

    id: str
    kind: Kind
    state: State
    spec: UploadSpec | DownloadSpec
    client: str
    request_id: str
    title: str
    local_path: str
    created_at: float
    updated_at: float
    context: Context = EMBEDDED
    priority: int = 0
    phase: Phase | None = None
    waiting_for: Wait | None = None
    next_attempt_at: float | None = None
    error: FerryError | None = None
    attempts: int = 0
    size_bytes: int = 0
    persisted_bytes: int = 0
    resent_bytes: int = 0
    chunk_count: int = 0
    chunk_index: int = 0
    file_count: int = 0
    file_index: int = 0
    file_name: str = ""
    rate_bps: float = 0.0
    session_id: str = ""
    asset_id: str = ""
    content_id: str = ""
    digest: str = ""
    ended_at: float | None = None
    #: How many hub sessions were given up before: part of the hub's request id, so that a fresh start is fresh.
    session_number: int = 0
    #: The version a download is bound to since its first manifest; `content_id` is set only once it has succeeded.
    pinned_content_id: str = ""
    #: A hub session or part files of this transfer still have to be removed.
    debris: bool = False
    #: What the parts of the session must come with: `crc64nvme` or nothing.
    part_checksum: str = ""
    #: What small files that the session takes as one may have together; 0 when it takes each by itself.
    pack_bytes: int = 0
    #: Files that the receiver had whole when the transfer last began to move bytes.
    present_file_count: int = 0
    #: A download has seen, to the end, what was at its final names: what is there since then, and the same, it brought.
    looked: bool = False


#: A file up to this size, of one part, is downloaded in one go: it is in memory before any of it is written.
SHORT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class TransferFile:
    """A file of a transfer. `identity` is a source's; `digest` is raw, 16 bytes, empty until known."""

    index: int
    path: str
    local_path: str
    size_bytes: int
    part_bytes: int
    identity: Identity | None = None
    digest: bytes = b""
    persisted_bytes: int = 0
    done: bool = False
    skipped: bool = False
    part_path: str = ""  #: where a download collects the parts; empty before it has begun, and if it comes in one go


@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes of a file: what one part covers."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part and the digests of its blocks, raw, 16 bytes each."""

    file_index: int
    number: int
    block_digests: bytes
    #: CRC-64/NVME, 8 bytes; empty unless the hub's store verifies it.
    crc64nvme: bytes = b""


@dataclass(frozen=True, slots=True)
class Hashed:
    """What was computed of a span of a source: block digests as of a `Part`, and the CRC when it was asked for."""

    block_digests: bytes
    crc64nvme: bytes = b""


@dataclass(frozen=True, slots=True)
class HashedPack:
    """What was computed of the files of a pack: the block digests of each, and the CRC of all when it was asked for. A
    short pack comes with its bytes, which then need not be read again."""

    block_digests: tuple[bytes, ...]
    crc64nvme: bytes = b""
    data: bytes | bytearray = b""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part row. `persisted`: the receiver has it durably; else it was hashed and perhaps sent, unconfirmed."""

    part: Part
    persisted: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the scheduler must know of a transfer that may run now. `seq` orders by age, oldest first."""

    id: str
    client: str
    priority: int
    seq: int
    context: Context = EMBEDDED


@dataclass(frozen=True, slots=True)
class Limits:
    """What all transfers of this daemon share."""

    bandwidth_bps: int = 0  #: bytes per second, both ways together; 0 is unlimited
    running_transfers: int = 4
    parts_in_flight: int = 8
