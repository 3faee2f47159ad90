"""Rows to values and back. Pure; the shape of the tables is in sql/, the values are in core/model.py."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from ferryd.core.model import (
    Context,
    DownloadSpec,
    Identity,
    IfExists,
    Kind,
    Part,
    Phase,
    StoredPart,
    Transfer,
    TransferFile,
    UploadSpec,
)
from ferryd.core.states import State
from ferrywire.reasons import REASONS, FerryError, Wait

_PLAIN = (
    "id",
    "client",
    "request_id",
    "local_path",
    "created_at",
    "updated_at",
    "title",
    "priority",
    "next_attempt_at",
    "attempts",
    "size_bytes",
    "persisted_bytes",
    "resent_bytes",
    "chunk_count",
    "chunk_index",
    "file_count",
    "file_index",
    "file_name",
    "session_id",
    "asset_id",
    "content_id",
    "digest",
    "ended_at",
    "session_number",
    "pinned_content_id",
    "part_checksum",
    "pack_bytes",
    "present_file_count",
)


def from_transfer(transfer: Transfer) -> dict[str, Any]:
    """The columns of a transfer that can change; `rate_bps` is of the moment and has none."""
    row = {name: getattr(transfer, name) for name in _PLAIN}
    row["state"] = transfer.state.value
    row["phase"] = transfer.phase and transfer.phase.value
    row["waiting_for"] = transfer.waiting_for and transfer.waiting_for.value
    row["error"] = transfer.error and _from_error(transfer.error)
    row["debris"] = int(transfer.debris)
    row["looked"] = int(transfer.looked)
    return row


def from_new_transfer(transfer: Transfer, fingerprint: str) -> dict[str, Any]:
    """All columns."""
    fixed = {
        "kind": transfer.kind.value,
        "spec": json.dumps(asdict(transfer.spec), ensure_ascii=False),
        "fingerprint": fingerprint,
        "context": transfer.context.name,
        "hub": transfer.context.hub,
    }
    return from_transfer(transfer) | fixed


def to_transfer(row: sqlite3.Row) -> Transfer:
    kind = Kind(row["kind"])
    return Transfer(
        **{name: row[name] for name in _PLAIN},
        kind=kind,
        state=State(row["state"]),
        spec=_to_spec(kind, json.loads(row["spec"])),
        context=Context(row["context"], row["hub"]),
        phase=Phase(row["phase"]) if row["phase"] else None,
        waiting_for=Wait(row["waiting_for"]) if row["waiting_for"] else None,
        error=_to_error(row["error"]) if row["error"] else None,
        debris=bool(row["debris"]),
        looked=bool(row["looked"]),
    )


def from_file(transfer_id: str, file: TransferFile) -> dict[str, Any]:
    identity = file.identity
    return {
        "transfer_id": transfer_id,
        "file_index": file.index,
        "path": file.path,
        "local_path": file.local_path,
        "size_bytes": file.size_bytes,
        "part_bytes": file.part_bytes,
        "identity": _from_identity(identity) if identity else None,
        "digest": file.digest,
        "persisted_bytes": file.persisted_bytes,
        "done": int(file.done),
        "skipped": int(file.skipped),
        "part_path": file.part_path,
    }


def to_file(row: sqlite3.Row) -> TransferFile:
    return TransferFile(
        index=row["file_index"],
        path=row["path"],
        local_path=row["local_path"],
        size_bytes=row["size_bytes"],
        part_bytes=row["part_bytes"],
        identity=Identity(**json.loads(row["identity"])) if row["identity"] else None,
        digest=row["digest"],
        persisted_bytes=row["persisted_bytes"],
        done=bool(row["done"]),
        skipped=bool(row["skipped"]),
        part_path=row["part_path"],
    )


def from_part(transfer_id: str, stored: StoredPart) -> dict[str, Any]:
    part = stored.part
    return {
        "transfer_id": transfer_id,
        "file_index": part.file_index,
        "number": part.number,
        "block_digests": part.block_digests,
        "crc64nvme": part.crc64nvme,
        "persisted": int(stored.persisted),
    }


def to_part(row: sqlite3.Row) -> StoredPart:
    part = Part(row["file_index"], row["number"], row["block_digests"], row["crc64nvme"])
    return StoredPart(part, bool(row["persisted"]))


def _from_identity(identity: Identity) -> str:
    # By hand: `asdict` and `json.dumps` took as long as all else that a row of thousands costs.
    return (
        f'{{"device": {identity.device}, "inode": {identity.inode}, "size_bytes": {identity.size_bytes}, '
        f'"mtime_ns": {identity.mtime_ns}, "ctime_ns": {identity.ctime_ns}}}'
    )


def _to_spec(kind: Kind, values: dict[str, Any]) -> UploadSpec | DownloadSpec:
    if kind is Kind.UPLOAD:
        lists = ("paths", "tags", "include", "exclude")
        return UploadSpec(**values | {name: tuple(values.get(name, ())) for name in lists})
    return DownloadSpec(
        **values | {"if_exists": IfExists(values["if_exists"]), "include": tuple(values["include"])},
    )


def _from_error(error: FerryError) -> str:
    return json.dumps([error.reason, error.message, error.retry_after_s, error.metadata], ensure_ascii=False)


def _to_error(text: str) -> FerryError:
    reason, message, retry_after_s, metadata = json.loads(text)
    known = reason if reason in REASONS else "INTERNAL"  # written by a newer daemon
    return FerryError(known, message, retry_after_s=retry_after_s, **metadata)
