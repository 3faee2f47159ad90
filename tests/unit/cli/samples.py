"""Transfers for the tests of what is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ferryman.progress import TransferInfo

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MIB = 1 << 20


def transfer(**fields: Any) -> TransferInfo:
    """A running upload, 25 of 100 MiB, unless something else is said."""
    known: dict[str, Any] = {
        "transfer_id": "trf_01JD8Z3S6Q7M0V5W4X2Y1N9K8P",
        "kind": "upload",
        "state": "running",
        "phase": "sending",
        "waiting_for": "",
        "next_attempt_at": None,
        "error": None,
        "attempt_count": 1,
        "priority": 0,
        "size_bytes": 100 * MIB,
        "persisted_bytes": 25 * MIB,
        "rate_bps": 10.0 * MIB,
        "chunk_count": 4,
        "chunk_index": 1,
        "file_count": 1,
        "file_index": 0,
        "file_name": "run-7.h5",
        "asset_id": None,
        "content_id": None,
        "digest": None,
        "local_path": "/data/run-7.h5",
        "title": "Run 7",
        "created_at": NOW,
        "updated_at": NOW,
        "ended_at": None,
        "resent_bytes": 0,
    }
    return TransferInfo(**{**known, **fields})
