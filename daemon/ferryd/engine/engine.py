"""The engine: what rpc/ and app.py see of the daemon's brain. Upload steps 4 to 10 start here.

It puts the parts together and keeps the loop that claims transfers; decisions live in commands, scheduler, runner and
retry. No SQL, no network, no protobuf.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ferryd.core.model import DownloadSpec, Limits, Transfer, TransferFile, UploadSpec
from ferryd.core.ports import Clock, Files, Hub, Lanes, Store
from ferryd.core.states import State

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing. `next_page_token` is empty at the end; `total_size` counts all that match."""

    items: list[T]
    next_page_token: str
    total_size: int


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Counters since the start of the process. `transfers` is by state, now."""

    transfers: dict[State, int]
    sent_bytes: int
    received_bytes: int
    retried_parts: int
    watchers: int


class Engine:
    """The transfers of this daemon. All methods are for the event loop; errors are `FerryError`."""

    def __init__(self, *, store: Store, hub: Hub, lanes: Lanes, files: Files, clock: Clock) -> None: ...

    async def run(self) -> None:
        """Recover, then claim and run transfers until cancelled. Commands work before it has begun, too."""

    async def drain(self) -> int:
        """Refuse new transfers, interrupt the running ones (back to QUEUED, progress kept) and end all watches with
        SHUTTING_DOWN. Returns within about 2 s how many were running. Idempotent."""

    @property
    def draining(self) -> bool:
        """True while new transfers are refused."""

    async def active(self) -> bool:
        """Whether any transfer has not settled and is not paused by its user: then the daemon must not exit idly."""

    async def statistics(self) -> EngineStatistics:
        """Counters, cheap enough to ask every second."""

    async def create_upload(
        self, spec: UploadSpec, *, client: str = "", priority: int = 0, request_id: str = ""
    ) -> Transfer:
        """Queue an upload; returns after it is durable. INVALID_ARGUMENT, SOURCE_*, REQUEST_ID_REUSED, DISK_FULL,
        SHUTTING_DOWN."""

    async def create_download(
        self, spec: DownloadSpec, *, client: str = "", priority: int = 0, request_id: str = ""
    ) -> Transfer:
        """Queue a download; returns after it is durable. INVALID_ARGUMENT, DESTINATION_UNWRITABLE, REQUEST_ID_REUSED,
        DISK_FULL, SHUTTING_DOWN."""

    async def get(self, transfer_id: str) -> Transfer:
        """The transfer as it is now. TRANSFER_NOT_FOUND."""

    async def list(self, *, page_size: int = 0, page_token: str = "", states: Sequence[State] = ()) -> Page[Transfer]:
        """Newest first. PAGE_TOKEN_INVALID, INVALID_ARGUMENT (page_size below 0; above 1,000 is capped; 0 means 50)."""

    async def list_files(self, transfer_id: str, *, page_size: int = 0, page_token: str = "") -> Page[TransferFile]:
        """The files in manifest order. TRANSFER_NOT_FOUND, PAGE_TOKEN_INVALID."""

    async def pause(self, transfer_id: str) -> Transfer:
        """Durable when it returns. A PAUSED one stays so. ILLEGAL_TRANSITION."""

    async def resume(self, transfer_id: str) -> Transfer:
        """PAUSED or FAILED to QUEUED, with a fresh retry budget. ILLEGAL_TRANSITION."""

    async def cancel(self, transfer_id: str) -> Transfer:
        """Durable when it returns; leftovers are removed after it. A CANCELLED one stays so. ILLEGAL_TRANSITION."""

    async def retry(self, transfer_id: str) -> Transfer:
        """FAILED or waiting to QUEUED and due at once, with a fresh retry budget. ILLEGAL_TRANSITION."""

    async def set_priority(self, transfer_id: str, priority: int) -> Transfer:
        """-100 to 100. ILLEGAL_TRANSITION when settled."""

    def limits(self) -> Limits:
        """The limits in force."""

    async def set_limits(
        self,
        *,
        bandwidth_bps: int | None = None,
        running_transfers: int | None = None,
        parts_in_flight: int | None = None,
    ) -> Limits:
        """Change the limits named, at once and for later starts. INVALID_ARGUMENT."""

    def subscribe(
        self, transfer_ids: Sequence[str] = (), min_interval_s: float = 0.2
    ) -> AsyncIterator[tuple[Transfer, bool]]:
        """(transfer, initial): first the snapshot of each, then changes. Ends when all named ones have settled; never
        for all. TRANSFER_NOT_FOUND, SHUTTING_DOWN. Close it (`aclose`) or leave it by cancellation."""
