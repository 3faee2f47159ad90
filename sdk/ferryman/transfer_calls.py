"""The calls of the TransferService as values: uploads, downloads, control and limits. Upload step 1.

Pure functions: arguments are checked, paths made absolute and request ids chosen here, and nothing is sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from ferryapi.daemon.v1 import transfer_service_pb2 as pb
from ferryman import arguments
from ferryman.call import Call, Listing
from ferryman.convert import error_of, moment, to_struct, word
from ferryman.errors import invalid
from ferryman.moving import REQUIRED
from ferryman.progress import SETTLED, TransferFile, TransferInfo
from ferryman.reports import Limits

_SERVICE: Final = "/ferryapi.daemon.v1.TransferService/"
#: Looking at a directory of many files may take this long, in seconds.
_WALK_S: Final = 600.0
_MAX_CHUNK_MB: Final = 5_120
_PRIORITY: Final = (-100, 100)
_IF_EXISTS: Final = ("fail", "skip", "replace", "rename")
_STATES: Final = ("queued", "running", "paused", *sorted(SETTLED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The arguments of an upload, as the caller gave them."""

    local_path: arguments.StrPath | Iterable[arguments.StrPath]
    title: Any = REQUIRED
    owner_type: Any = REQUIRED
    owner_id: Any = REQUIRED
    description: str | None = None
    alias: str | None = None
    tags: Iterable[str] | None = None
    metadata: Mapping[str, Any] | None = None
    collection_id: arguments.CollectionRef | None = None
    chunk_size_mb: int | None = None
    asset: arguments.AssetRef | None = None
    message: str | None = None
    priority: int = 0
    include: Iterable[str] | None = None
    exclude: Iterable[str] | None = None


def create_upload(upload: Upload) -> Call[TransferInfo]:
    """The call that queues an upload: of a new asset, or of a version when `asset` is given.

    Raises TypeError when an argument that a new asset needs is missing, `DaemonError` when one is wrong.
    """
    request = pb.CreateUploadRequest(
        paths=arguments.local_paths(upload.local_path, "local_path"),
        message=arguments.optional_text(upload.message, "message"),
        include=arguments.texts(upload.include, "include"),
        exclude=arguments.texts(upload.exclude, "exclude"),
        priority=arguments.whole(upload.priority, "priority", *_PRIORITY),
        client=arguments.client_name(),
        request_id=str(uuid.uuid4()),
    )
    if upload.chunk_size_mb is not None:
        request.chunk_size_mb = arguments.whole(upload.chunk_size_mb, "chunk_size_mb", 1, _MAX_CHUNK_MB)
    if upload.asset is None:
        _describe(request, upload)
    else:
        _refuse_description(upload)
        request.asset_id = arguments.reference(upload.asset, "asset", "asset_id")
    walk_s = _WALK_S if any(Path(path).is_dir() for path in request.paths) else 0.0
    return Call(f"{_SERVICE}CreateUpload", request, pb.Transfer, parse, walk_s)


def _describe(request: pb.CreateUploadRequest, upload: Upload) -> None:
    missing = [name for name in ("title", "owner_type", "owner_id") if getattr(upload, name) is REQUIRED]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise TypeError(f"upload() is missing the required keyword-only arguments: {names}")
    request.title = arguments.text(upload.title, "title")
    request.owner_type = arguments.choice(upload.owner_type, "owner_type", arguments.OWNER_TYPES)
    request.owner_id = arguments.reference(upload.owner_id, "owner_id", "project_id", "user_id")
    request.description = arguments.optional_text(upload.description, "description")
    request.alias = arguments.optional_text(upload.alias, "alias")
    request.tags.extend(arguments.texts(upload.tags, "tags"))
    if upload.metadata is not None:
        request.metadata.CopyFrom(to_struct(upload.metadata, "metadata"))
    if upload.collection_id is not None:
        request.collection_id = arguments.reference(
            upload.collection_id, "collection_id", "collection_id", "root_collection_id"
        )


def _refuse_description(upload: Upload) -> None:
    for name in ("description", "alias", "tags", "metadata", "collection_id"):
        if getattr(upload, name) is not None:
            raise invalid(name, f"{name} is of the asset, which `asset` says exists; change it with set_metadata")


def create_download(
    asset: arguments.AssetRef,
    dest_dir: arguments.StrPath,
    *,
    content_id: arguments.ContentRef | None,
    if_exists: str,
    include: str | Iterable[str] | None,
    priority: int,
) -> Call[TransferInfo]:
    """The call that queues a download."""
    wanted = arguments.choice(if_exists, "if_exists", _IF_EXISTS)
    request = pb.CreateDownloadRequest(
        asset_id=arguments.reference(asset, "asset_id", "asset_id"),
        content_id="" if content_id is None else arguments.reference(content_id, "content_id", "content_id"),
        dest_dir=arguments.local_path(dest_dir, "dest_dir"),
        if_exists=wanted.upper(),
        include=arguments.texts([include] if isinstance(include, str) else include, "include"),
        priority=arguments.whole(priority, "priority", *_PRIORITY),
        client=arguments.client_name(),
        request_id=str(uuid.uuid4()),
    )
    return Call(f"{_SERVICE}CreateDownload", request, pb.Transfer, parse)


def get(transfer: arguments.TransferRef) -> Call[TransferInfo]:
    """The call for a transfer as it stands."""
    request = pb.GetTransferRequest(transfer_id=_id(transfer))
    return Call(f"{_SERVICE}GetTransfer", request, pb.Transfer, parse)


def listing(states: Iterable[str], page_size: int, page_token: str) -> Listing[TransferInfo]:
    """The listing of transfers."""
    names = [arguments.choice(state, "states", _STATES) for state in arguments.texts(states, "states")]
    request = pb.ListTransfersRequest(
        page_size=arguments.page_size(page_size),
        page_token=arguments.text(page_token, "page_token"),
        states=[name.upper() for name in names],
    )
    return Listing(f"{_SERVICE}ListTransfers", request, pb.ListTransfersResponse, "transfers", parse, total=True)


def files(transfer_id: str, page_size: int = 1_000) -> Listing[TransferFile]:
    """The listing of a transfer's files."""
    request = pb.ListTransferFilesRequest(transfer_id=transfer_id, page_size=page_size)
    return Listing(f"{_SERVICE}ListTransferFiles", request, pb.ListTransferFilesResponse, "files", _file)


def watch(transfers: Iterable[arguments.TransferRef], min_interval_s: float) -> Call[TransferInfo | None]:
    """The streaming call for the changes of transfers; None is a heartbeat."""
    interval = Duration()
    interval.FromNanoseconds(int((arguments.seconds(min_interval_s, "min_interval_s") or 0.0) * 1e9))
    request = pb.WatchTransfersRequest(transfer_ids=[_id(transfer) for transfer in transfers], min_interval=interval)
    return Call(f"{_SERVICE}WatchTransfers", request, pb.WatchTransfersResponse, _watched)


def pause(transfer_id: str) -> Call[TransferInfo]:
    """The call that pauses."""
    return Call(f"{_SERVICE}PauseTransfer", pb.PauseTransferRequest(transfer_id=transfer_id), pb.Transfer, parse)


def resume(transfer_id: str) -> Call[TransferInfo]:
    """The call that resumes."""
    return Call(f"{_SERVICE}ResumeTransfer", pb.ResumeTransferRequest(transfer_id=transfer_id), pb.Transfer, parse)


def cancel(transfer_id: str) -> Call[TransferInfo]:
    """The call that cancels."""
    return Call(f"{_SERVICE}CancelTransfer", pb.CancelTransferRequest(transfer_id=transfer_id), pb.Transfer, parse)


def retry(transfer_id: str) -> Call[TransferInfo]:
    """The call that tries again."""
    return Call(f"{_SERVICE}RetryTransfer", pb.RetryTransferRequest(transfer_id=transfer_id), pb.Transfer, parse)


def set_priority(transfer_id: str, priority: int) -> Call[TransferInfo]:
    """The call that changes the priority."""
    wanted = arguments.whole(priority, "priority", *_PRIORITY)
    request = pb.SetPriorityRequest(transfer_id=transfer_id, priority=wanted)
    return Call(f"{_SERVICE}SetPriority", request, pb.Transfer, parse)


def get_limits() -> Call[Limits]:
    """The call for the limits in force."""
    return Call(f"{_SERVICE}GetLimits", pb.GetLimitsRequest(), pb.Limits, _limits)


def set_limits(bandwidth_bps: int | None, running_transfers: int | None, parts_in_flight: int | None) -> Call[Limits]:
    """The call that changes the limits that are not None."""
    request = pb.SetLimitsRequest()
    if bandwidth_bps is not None:
        request.bandwidth_bps = arguments.whole(bandwidth_bps, "bandwidth_bps", 0, (1 << 63) - 1)
    if running_transfers is not None:
        request.running_transfers = arguments.whole(running_transfers, "running_transfers", 1, 64)
    if parts_in_flight is not None:
        request.parts_in_flight = arguments.whole(parts_in_flight, "parts_in_flight", 1, 64)
    return Call(f"{_SERVICE}SetLimits", request, pb.Limits, _limits)


def parse(message: Any) -> TransferInfo:
    """A transfer as it stands."""
    return TransferInfo(
        transfer_id=message.transfer_id,
        kind=word(message, "kind"),
        state=word(message, "state"),
        phase=message.phase,
        waiting_for=message.waiting_for,
        next_attempt_at=moment(message, "next_attempt_time"),
        error=error_of(message.error) if message.HasField("error") else None,
        attempt_count=message.attempt_count,
        priority=message.priority,
        size_bytes=message.size_bytes,
        persisted_bytes=message.persisted_bytes,
        rate_bps=message.rate_bps,
        chunk_count=message.chunk_count,
        chunk_index=message.chunk_index,
        file_count=message.file_count,
        file_index=message.file_index,
        file_name=message.file_name,
        asset_id=message.asset_id or None,
        content_id=message.content_id or None,
        digest=message.digest or None,
        local_path=message.local_path,
        title=message.title,
        created_at=moment(message, "create_time"),
        updated_at=moment(message, "update_time"),
        ended_at=moment(message, "end_time"),
        resent_bytes=message.resent_bytes,
        context=message.context,
        present_file_count=message.present_file_count,
    )


def _file(message: Any) -> TransferFile:
    return TransferFile(
        path=message.path,
        local_path=message.local_path,
        size_bytes=message.size_bytes,
        digest=message.digest or None,
        persisted_bytes=message.persisted_bytes,
        skipped=message.skipped,
    )


def _watched(message: Any) -> TransferInfo | None:
    return parse(message.transfer) if message.HasField("transfer") else None


def _limits(message: Any) -> Limits:
    return Limits(message.bandwidth_bps, message.running_transfers, message.parts_in_flight)


def _id(transfer: arguments.TransferRef) -> str:
    return arguments.reference(transfer, "transfer", "transfer_id", "id")
