"""What a transfer tells: its state, its progress and its result. Upload step 9, seen from the caller.

Pure: snapshots go in, monotone events come out. Nothing here knows protobuf or the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ferryman.errors import DaemonError

#: A waiter stops in these states. A failed transfer can be resumed.
SETTLED: Final = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a transfer is.

    `bytes_done` counts bytes that the receiver has durably stored: it never decreases and equals `bytes_total` only
    after verification. `chunk_index` of `chunk_count` parts are stored. `rate_bps` is bytes per second over the last
    seconds. `file_index` (from 0) and `file_name` are of the file that moved last.
    """

    transfer_id: str
    bytes_done: int
    bytes_total: int
    chunk_index: int
    chunk_count: int
    rate_bps: float
    file_index: int
    file_name: str

    @property
    def percent(self) -> float:
        """0 to 100; 100 for an empty file."""
        return min(100.0, 100.0 * self.bytes_done / self.bytes_total) if self.bytes_total else 100.0

    @property
    def rate_mbps(self) -> float:
        """Megabytes (10**6 bytes) per second."""
        return self.rate_bps / 1e6


@dataclass(frozen=True, slots=True)
class TransferInfo:
    """A transfer as it stands.

    `kind` is `upload` or `download`; `state` is `queued`, `running`, `paused`, `succeeded`, `failed` or `cancelled`;
    `phase` is what a running one does now and `waiting_for` what an unsettled one waits for (`slot`, `network`, `auth`,
    `space`, `rate_limit`, `hub`, `user`), with the time of its next attempt. `error` is that of the last attempt.
    Sizes are bytes, `rate_bps` is bytes per second, `resent_bytes` what interruptions cost. `chunk_index` of
    `chunk_count` parts are stored; `file_index` (from 0) and `file_name` are of the file that moved last. `context` is
    the name of the hub it belongs to, for good. `present_file_count` is how many files the receiver had whole when the
    transfer last began to move bytes.
    """

    transfer_id: str
    kind: str
    state: str
    phase: str
    waiting_for: str
    next_attempt_at: datetime | None
    error: DaemonError | None
    attempt_count: int
    priority: int
    size_bytes: int
    persisted_bytes: int
    rate_bps: float
    chunk_count: int
    chunk_index: int
    file_count: int
    file_index: int
    file_name: str
    asset_id: str | None
    content_id: str | None
    digest: str | None
    local_path: str
    title: str
    created_at: datetime | None
    updated_at: datetime | None
    ended_at: datetime | None
    resent_bytes: int
    context: str = ""
    present_file_count: int = 0

    @property
    def settled(self) -> bool:
        """True when it succeeded, failed or was cancelled: nothing more happens by itself."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True)
class TransferFile:
    """One file of a transfer: its path in the asset, where it is on this machine, and how much is stored, in bytes.

    `skipped` is True when a download found the right bytes there, or kept what was there.
    """

    path: str
    local_path: str
    size_bytes: int
    digest: str | None
    persisted_bytes: int
    skipped: bool


@dataclass(frozen=True, slots=True)
class UploadResult:
    """A finished upload. `digest` is that of the content, `size_bytes` and `file_count` are of all files."""

    asset_id: str
    content_id: str
    transfer_id: str
    digest: str
    size_bytes: int
    file_count: int


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A file that a download wrote (or found right: `skipped`). `size` is bytes; `path` is its path in the asset."""

    local_path: str
    size: int
    path: str
    digest: str | None
    skipped: bool


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """A finished download: its files, in manifest order."""

    files: list[DownloadedFile]
    asset_id: str
    content_id: str
    transfer_id: str


class Follower:
    """Turns the snapshots of one transfer into events that never go backwards and end at exactly 100 percent."""

    def __init__(self) -> None:
        self._last: ProgressEvent | None = None

    def event(self, info: TransferInfo) -> ProgressEvent | None:
        """The event to show for a snapshot; None when it tells nothing new."""
        succeeded = info.state == "succeeded"
        # An unknown size (a download before its manifest) and an empty file look alike: 100 percent comes at the end.
        if not succeeded and (info.settled or info.size_bytes == 0):
            return None
        event = _event(info, done=info.size_bytes if succeeded else info.persisted_bytes)
        last, self._last = self._last, event
        if last is not None and not succeeded and (event.bytes_done < last.bytes_done or _same(event, last)):
            self._last = last
            return None
        return event


def _event(info: TransferInfo, *, done: int) -> ProgressEvent:
    return ProgressEvent(
        transfer_id=info.transfer_id,
        bytes_done=done,
        bytes_total=info.size_bytes,
        chunk_index=info.chunk_index,
        chunk_count=info.chunk_count,
        rate_bps=info.rate_bps,
        file_index=info.file_index,
        file_name=info.file_name,
    )


def _same(one: ProgressEvent, other: ProgressEvent) -> bool:
    return (one.bytes_done, one.chunk_index, one.file_index) == (other.bytes_done, other.chunk_index, other.file_index)


def failure(info: TransferInfo) -> DaemonError | None:
    """The error to raise for a settled transfer; None when it succeeded."""
    if info.state == "succeeded":
        return None
    metadata = {"transferId": info.transfer_id}
    if info.state == "cancelled":
        message = f"transfer {info.transfer_id} was cancelled"
        return DaemonError("cancelled", message, reason="CANCELLED", metadata=metadata)
    error = info.error or DaemonError("internal", f"transfer {info.transfer_id} failed without saying why")
    return type(error)(error.code, error.message, reason=error.reason, metadata={**error.metadata, **metadata})


def upload_result(info: TransferInfo) -> UploadResult:
    """The result of an upload that succeeded."""
    return UploadResult(
        asset_id=info.asset_id or "",
        content_id=info.content_id or "",
        transfer_id=info.transfer_id,
        digest=info.digest or "",
        size_bytes=info.size_bytes,
        file_count=info.file_count,
    )


def download_result(info: TransferInfo, files: list[TransferFile]) -> DownloadResult:
    """The result of a download that succeeded."""
    return DownloadResult(
        files=[DownloadedFile(f.local_path, f.size_bytes, f.path, f.digest, f.skipped) for f in files],
        asset_id=info.asset_id or "",
        content_id=info.content_id or "",
        transfer_id=info.transfer_id,
    )
