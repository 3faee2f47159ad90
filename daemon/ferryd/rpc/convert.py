"""Between the wire and the engine's values: pure functions, both ways. Step 3."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf import json_format, struct_pb2, timestamp_pb2

from ferryapi.daemon.v1 import transfer_service_pb2 as pb
from ferryd.core.model import DownloadSpec, IfExists, Kind, Transfer, TransferFile, UploadSpec
from ferryd.core.states import State
from ferrywire.digest import to_text
from ferrywire.parts import DEFAULT_PART_BYTES, MIB
from ferrywire.reasons import FerryError
from ferrywire.status import to_status

_KINDS = {Kind.UPLOAD: pb.Transfer.UPLOAD, Kind.DOWNLOAD: pb.Transfer.DOWNLOAD}
_STATES = {state: int(pb.Transfer.State.Value(state.name)) for state in State}
_STATES_BACK = {number: state for state, number in _STATES.items()}
_IF_EXISTS = {
    pb.CreateDownloadRequest.IF_EXISTS_UNSPECIFIED: IfExists.FAIL,
    **{pb.CreateDownloadRequest.IfExists.Value(value.name): value for value in IfExists},
}
_T = TypeVar("_T")


def upload_spec(request: pb.CreateUploadRequest) -> UploadSpec:
    """What an upload request asks for. Limits are the engine's to check."""
    wanted = request.chunk_size_mb * MIB if request.HasField("chunk_size_mb") else DEFAULT_PART_BYTES
    return UploadSpec(
        paths=tuple(request.paths),
        title=request.title,
        owner_type=request.owner_type,
        owner_id=request.owner_id,
        description=request.description,
        alias=request.alias,
        tags=tuple(request.tags),
        metadata=from_struct(request.metadata),
        collection_id=request.collection_id,
        asset_id=request.asset_id,
        part_bytes=wanted,
        message=request.message,
        include=tuple(request.include),
        exclude=tuple(request.exclude),
    )


def download_spec(request: pb.CreateDownloadRequest) -> DownloadSpec:
    """What a download request asks for."""
    return DownloadSpec(
        asset_id=request.asset_id,
        dest_dir=request.dest_dir,
        content_id=request.content_id,
        if_exists=_known(_IF_EXISTS, request.if_exists, "if_exists"),
        include=tuple(request.include),
    )


def states(numbers: list[int]) -> list[State]:
    """The states of a filter."""
    return [_known(_STATES_BACK, number, "states") for number in numbers]


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A Struct as plain values. NaN and infinity are refused: no JSON and no database keeps them."""
    try:
        value: dict[str, Any] = json_format.MessageToDict(struct)
    except (ValueError, json_format.Error) as error:
        raise FerryError(
            "INVALID_ARGUMENT", "metadata holds NaN or infinity; leave the key out instead", field="metadata"
        ) from error
    return value


def transfer_message(transfer: Transfer) -> pb.Transfer:
    """A transfer for the wire; absent values stay absent."""
    message = pb.Transfer(
        transfer_id=transfer.id,
        kind=_KINDS[transfer.kind],
        state=transfer.state.name,
        phase=transfer.phase or "",
        waiting_for=transfer.waiting_for or "",
        attempt_count=transfer.attempts,
        priority=transfer.priority,
        size_bytes=transfer.size_bytes,
        persisted_bytes=transfer.persisted_bytes,
        rate_bps=transfer.rate_bps,
        chunk_count=transfer.chunk_count,
        chunk_index=transfer.chunk_index,
        file_count=transfer.file_count,
        file_index=transfer.file_index,
        file_name=transfer.file_name,
        asset_id=transfer.asset_id,
        content_id=transfer.content_id,
        digest=transfer.digest,
        local_path=transfer.local_path,
        title=transfer.title,
        context=transfer.context.name,
        resent_bytes=transfer.resent_bytes,
        present_file_count=transfer.present_file_count,
        create_time=timestamp(transfer.created_at),
        update_time=timestamp(transfer.updated_at),
    )
    if transfer.error is not None:
        message.error.CopyFrom(to_status(transfer.error))
    if transfer.next_attempt_at is not None:
        message.next_attempt_time.CopyFrom(timestamp(transfer.next_attempt_at))
    if transfer.ended_at is not None:
        message.end_time.CopyFrom(timestamp(transfer.ended_at))
    return message


def file_message(file: TransferFile) -> pb.TransferFile:
    """A file of a transfer for the wire."""
    return pb.TransferFile(
        path=file.path,
        local_path=file.local_path,
        size_bytes=file.size_bytes,
        digest=to_text(file.digest) if file.digest else "",
        persisted_bytes=file.persisted_bytes,
        skipped=file.skipped,
    )


def timestamp(seconds: float) -> timestamp_pb2.Timestamp:
    """Seconds since the epoch as a Timestamp."""
    message = timestamp_pb2.Timestamp()
    message.FromNanoseconds(int(seconds * 1e6) * 1000)
    return message


def _known(table: dict[int, _T], number: int, field: str) -> _T:
    if number not in table:
        raise FerryError("INVALID_ARGUMENT", f"{field}: {number} is not a known value", field=field)
    return table[number]
