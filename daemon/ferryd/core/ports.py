"""What the engine needs from the outside: hub, byte lanes, local files, store. The adapters implement these.

Every method raises `FerryError` with a reason of the table, and nothing else that is expected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ferryd.core.model import (
    Candidate,
    Context,
    Hashed,
    HashedPack,
    IfExists,
    Limits,
    Part,
    SourceFile,
    Span,
    StoredPart,
    Transfer,
    TransferFile,
    UploadSpec,
)
from ferryd.core.states import Event, State
from ferrywire.patterns import EVERYTHING, Selection


class Interrupted(Exception):
    """The transfer was told to stop (pause, cancel, drain) while a lane moved its bytes. Not an error."""


@dataclass(frozen=True, slots=True)
class UrlLocation:
    """A signed URL, absolute, and the headers to send. `expires_at` is seconds since the epoch.

    `report`: the hub does not see what arrives there, so it is told with `record_parts`. `offset` is where the bytes to
    read start.
    """

    url: str
    headers: Mapping[str, str]
    expires_at: float
    report: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A file of the hub on this machine that the daemon may open itself."""

    path: str
    offset: int


Location = UrlLocation | FileLocation


@dataclass(frozen=True, slots=True)
class UploadFile:
    """A file as the hub's session knows it."""

    path: str
    size_bytes: int
    part_bytes: int


@dataclass(frozen=True, slots=True)
class Content:
    """A committed version. `digest` is written form."""

    content_id: str
    asset_id: str
    digest: str
    size_bytes: int
    file_count: int


@dataclass(frozen=True, slots=True)
class Session:
    """An upload session at the hub; `content` is set once committed.

    `part_checksum` is what each part must come with, `least_part_bytes` what smaller part sizes are taken as,
    `pack_bytes` what small files that are sent as one may have together, 0 when none are.
    """

    session_id: str
    asset_id: str
    content: Content | None
    part_checksum: str = ""
    least_part_bytes: int = 0
    pack_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a download's manifest. Digests are raw; `location` is None for an empty file."""

    index: int
    path: str
    size_bytes: int
    part_bytes: int
    digest: bytes
    part_digests: bytes
    location: Location | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The header of a download."""

    content: Content
    title: str


class Hub(Protocol):
    """The hub's content calls. Each is one attempt: retry, logging and limits are decorators round it."""

    async def create_upload(self, spec: UploadSpec, files: Sequence[UploadFile], request_id: str) -> Session:
        """Open a session, or find the one this request_id opened; sends the whole manifest, in pages if need be."""

    async def sign_parts(self, session_id: str, parts: Sequence[Part]) -> list[Location]:
        """Where to put each of these parts, in order."""

    async def sign_pack(self, session_id: str, parts: Sequence[Part], crc64nvme: bytes) -> Location:
        """Where to put these files, of one part each, as one pack in this order, whose CRC this is."""

    async def record_parts(self, session_id: str, parts: Sequence[Part], pack_crc64nvme: bytes | None = None) -> None:
        """Report parts that are durable where the hub did not see them arrive: in files, or at URLs to `report`; with
        its CRC, which may be empty, those of a pack."""

    def list_parts(self, session_id: str) -> AsyncIterator[Part]:
        """The parts the hub has durably stored: the truth to resume from."""

    async def commit_upload(self, session_id: str, file_digests: Sequence[bytes]) -> Content:
        """Make the content visible. Idempotent."""

    async def abort_upload(self, session_id: str) -> None:
        """Throw the session away. Idempotent; SESSION_NOT_FOUND counts as done."""

    async def get_manifest(self, asset_id: str, content_id: str) -> tuple[Manifest, list[RemoteFile]]:
        """The whole manifest with fresh locations."""


class Hubs(Protocol):
    """The hubs that transfers belong to."""

    def get(self, context: Context) -> Hub:
        """The hub of a transfer. NOT_SIGNED_IN for one that this daemon does not know (any more)."""

    def sign_ins(self, context: Context) -> int:
        """How often somebody has signed in there since the start of the process: a run that was refused, but began
        before the last time, begins again."""


class Meter(Protocol):
    """Lanes tell it about every window they move. Called from lane threads; may block to keep the bandwidth limit."""

    def moved(self, count: int) -> None:
        """Count bytes. Raises `Interrupted` when the transfer must stop."""

    def check(self) -> None:
        """Raise `Interrupted` when the transfer must stop."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A hashed part on its way to the hub."""

    source: SourceFile
    span: Span
    to: Location
    block_digests: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A part on its way from the hub, into the same span of `dest`. `digest` is the part's; None is not compared."""

    origin: Location
    span: Span
    dest: Path
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class ShortFile:
    """A whole file of at most `SHORT_BYTES` on its way from the hub, with its digest."""

    origin: Location
    size_bytes: int
    digest: bytes


#: Takes the bytes of files.
Keep = Callable[[Sequence[memoryview]], None]


class Lanes(Protocol):
    """Moves and hashes the bytes of parts, in bounded threads, with memory that does not depend on sizes.

    Each call takes one thread for all its parts, in order: a visit to a thread costs as much as a small part does. It
    may ask for small ones together. The first failure ends it; `done` is told of every part before that, from the
    thread.
    """

    async def hash_all(
        self, parts: Sequence[tuple[SourceFile, Span]], meter: Meter, *, crc64nvme: bool = False
    ) -> list[Hashed]:
        """Block digests of spans of local files, with their CRCs in the same pass when asked for. Counts nothing.
        SOURCE_CHANGED when a file is not its source now, UNIMPLEMENTED when nothing here computes the CRC."""

    async def hash_pack(self, sources: Sequence[SourceFile], meter: Meter, *, crc64nvme: bool = False) -> HashedPack:
        """As `hash_all`, of whole files that go as one."""

    async def send_all(self, parts: Sequence[Outgoing], meter: Meter, done: Callable[[], None]) -> None:
        """Send parts; `done` is told of each when the receiver has it durably. SOURCE_CHANGED when a file is not its
        source now or what was read differs from its block digests."""

    async def send_pack(
        self, sources: Sequence[SourceFile], to: Location, meter: Meter, data: bytes | bytearray = b""
    ) -> None:
        """Send whole files as one body, in this order, or their bytes if they are at hand; returns when the receiver
        has it durably. SOURCE_CHANGED when one that is read is not its source now; whether its bytes are those that
        were hashed is for the receiver to say."""

    async def receive(self, part: Incoming, meter: Meter) -> bytes:
        """Fetch a part; returns its block digests when it is right and in its file durably. CHUNK_CORRUPT when it is
        not what its digest says."""

    async def receive_short(self, files: Sequence[ShortFile], meter: Meter, keep: Keep) -> None:
        """Fetch whole files; `keep` gets the bytes of the next ones, each right, from the thread, for as long as it
        runs. Those before a failure are kept. CHUNK_CORRUPT, and what `keep` raises."""

    async def hash_received(self, dest: Path, span: Span, meter: Meter) -> bytes:
        """Block digests of what `dest` holds there now, durably; empty when that is not to be had. Counts nothing."""


class Files(Protocol):
    """Local files, safely: what to upload, and where a download goes. Blocking; the engine calls it in threads."""

    def scan(self, paths: Iterable[str], wanted: Selection = EVERYTHING) -> list[SourceFile]:
        """The wanted files below these paths as a manifest, sorted by manifest path. SOURCE_MISSING, SOURCE_UNREADABLE,
        SOURCE_UNSUPPORTED (fifo, socket, device), INVALID_ARGUMENT (two files with one manifest path, or none)."""

    def check(self, source: SourceFile) -> None:
        """SOURCE_CHANGED or SOURCE_MISSING when the file is not what it was at submission."""

    def resolve(self, dest_dir: str, path: str) -> str:
        """The final path of a manifest path. UNSAFE_PATH when it would leave `dest_dir`."""

    def prepare(self, dest_dir: str, path: str, size_bytes: int, transfer_id: str) -> Path:
        """Make the directories below `dest_dir` for a manifest path, never outside it, never through a symlink
        (UNSAFE_PATH), and the part file `.<name>.<transfer_id>.ferry-part` beside the final name, as long as the file
        will be; one without bytes is durable then. An existing one keeps its bytes. Returns its path. DISK_FULL,
        DESTINATION_UNWRITABLE, READ_ONLY."""

    def write(
        self,
        dest_dir: str,
        files: Sequence[tuple[str, memoryview]],
        transfer_id: str,
        if_exists: IfExists,
        done: Callable[[str], None],
    ) -> None:
        """Write several (manifest path, bytes) in one go, as `prepare` and `publish` would. Of those that got no name
        nothing is left."""

    def publish(self, files: Sequence[tuple[Path, Path]], if_exists: IfExists, done: Callable[[Path], None]) -> None:
        """Rename to the final name, fsync the directory, for several (part file, final name) whose bytes are durable:
        never a half file, never a silent overwrite. `done` gets the name that each got (`rename` picks a free one), in
        order and once it is durable, also before a failure. DESTINATION_EXISTS for `fail` and `skip` when it is
        taken, for which the part file is kept and removed."""

    def confirm(self, files: Sequence[tuple[Path | None, Path]]) -> None:
        """Make files durable, and the final names that an earlier run gave them: several (part file, final name). Where
        that fails they are part files again, if possible; without a part file the name stays."""

    def exists(self, final: str | Path) -> bool:
        """Whether something has the final name (a dangling symlink too)."""

    def digest(self, final: Path, meter: Meter) -> bytes:
        """The digest of a local file, raw, to see whether a download is already there."""

    def discard(self, directories: Iterable[str], transfer_id: str) -> None:
        """Remove the part files of a transfer from these directories; missing ones are fine."""

    def check_destination(self, dest_dir: str) -> None:
        """Fail early: DESTINATION_UNWRITABLE when `dest_dir`, or its nearest existing parent, cannot be written, or is
        not a directory."""


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since the epoch, for people and rows."""

    def monotonic(self) -> float:
        """Seconds that only go forward, for intervals."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Store(Protocol):
    """The durable queue. Every write returns after its COMMIT. DISK_FULL, READ_ONLY or IO_ERROR when the disk refuses.

    `fields` are fields of `Transfer` to set beside; `updated_at` is the store's own.
    """

    async def insert(self, transfer: Transfer, files: Sequence[TransferFile], fingerprint: str) -> Transfer:
        """Queue a transfer; a request_id known with the same fingerprint gives the first one, with another
        REQUEST_ID_REUSED."""

    async def find_request(self, request_id: str) -> tuple[Transfer, str] | None:
        """The transfer made by this request and the request's fingerprint."""

    async def get(self, transfer_id: str) -> Transfer:
        """TRANSFER_NOT_FOUND."""

    async def page(self, states: Sequence[State], before: int | None, limit: int) -> list[tuple[int, Transfer]]:
        """Newest first, older than sequence number `before`, each with its own number. No states means all."""

    async def count(self, states: Sequence[State]) -> int:
        """How many are in these states; no states means all."""

    async def counts(self) -> dict[State, int]:
        """How many are in each state; a state without transfers may be missing."""

    async def unsettled(self) -> dict[tuple[State, str], int]:
        """How many have not settled, by state and what they wait for (empty for nothing). Its cost does not grow with
        those that have."""

    async def files(self, transfer_id: str, after: int = -1, limit: int | None = None) -> list[TransferFile]:
        """The files with an index above `after`, in manifest order."""

    async def parts(self, transfer_id: str) -> list[StoredPart]:
        """Every part row, in order of file and number."""

    async def change(self, transfer_id: str, event: Event, **fields: Any) -> Transfer:
        """Follow the transition table. ILLEGAL_TRANSITION, TRANSFER_NOT_FOUND; then nothing has changed."""

    async def claim(self, transfer_ids: Sequence[str]) -> list[Transfer]:
        """CLAIM those that are still queued; counts the attempt. The others are left out."""

    async def update(self, transfer_id: str, **fields: Any) -> Transfer:
        """Set fields without a change of state."""

    async def record(
        self,
        transfer_id: str,
        *,
        parts: Sequence[StoredPart] = (),
        files: Sequence[TransferFile] = (),
        **fields: Any,
    ) -> Transfer:
        """In one transaction: put part rows (a new row replaces an old one), put file rows, set fields."""

    async def replan(self, transfer_id: str, files: Sequence[TransferFile], **fields: Any) -> Transfer:
        """In one transaction: forget every part, put the files with their new part sizes, set fields."""

    async def forget_session(self, transfer_id: str) -> Transfer:
        """The hub has lost the session: no part is persisted any more; block digests stay, to save hashing."""

    async def release_due(self, now: float) -> list[Transfer]:
        """Make ready what has waited long enough: queued transfers lose their `next_attempt_at`, paused ones that wait
        for something other than the user are resumed. Returns those that were resumed."""

    async def release_signed_out(self, context: Context) -> list[Transfer]:
        """Resume what is paused for want of a sign-in to this hub, with a fresh retry budget. Returns those."""

    async def candidates(self, per_client: int) -> list[Candidate]:
        """Of every client and hub the first `per_client` ready transfers, by priority, then age. Its cost does not grow
        with the length of the queue."""

    async def next_due(self) -> float | None:
        """When the next waiting transfer becomes due."""

    async def recover(self) -> list[Transfer]:
        """At start: RUNNING to QUEUED, and PAUSED for sign-in to QUEUED. Returns the changed ones."""

    async def debris(self) -> list[Transfer]:
        """The transfers whose leftovers still have to be removed."""

    async def active(self) -> bool:
        """Whether any transfer has not settled and is not paused by its user."""

    async def load_limits(self) -> Limits | None:
        """The limits as last saved, if ever."""

    async def save_limits(self, limits: Limits) -> None:
        """Remember the limits."""

    async def page_key(self) -> bytes:
        """The secret, 16 bytes, of this database that page tokens are sealed with."""
