"""Checks what a caller asks for, before anything is touched. Upload step 4. Pure.

Every error is INVALID_ARGUMENT with the field's name as the local API spells it.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any, Final

from ferryd.core.model import DownloadSpec, Limits, UploadSpec
from ferrywire.parts import MAX_PART_BYTES, MIB
from ferrywire.reasons import FerryError

_TITLE_CHARS: Final = 500
_DESCRIPTION_CHARS: Final = 10_000
_MESSAGE_CHARS: Final = 1_000
_NAME_CHARS: Final = 64
_OWNER_TYPES: Final = ("project", "user")
_NEW_ASSET_FIELDS: Final = (
    "title",
    "owner_type",
    "owner_id",
    "description",
    "alias",
    "tags",
    "metadata",
    "collection_id",
)
_MOST_SLOTS: Final = 64
_LEAST_BPS: Final = 1024


def check_upload(spec: UploadSpec) -> None:
    if not spec.paths:
        raise _invalid("paths", "paths is empty: name at least one file or directory")
    for path in spec.paths:
        _check_absolute("paths", path)
    if spec.part_bytes is not None:
        _check_part_bytes(spec.part_bytes)
    _check_length("message", spec.message, _MESSAGE_CHARS)
    if spec.asset_id:
        _check_version(spec)
    else:
        _check_new_asset(spec)


def check_download(spec: DownloadSpec) -> None:
    if not spec.asset_id and not spec.content_id:
        raise _invalid("asset_id", "asset_id is empty: name the asset to download")
    _check_absolute("dest_dir", spec.dest_dir)
    for pattern in spec.include:
        if not pattern or "\0" in pattern or pattern.startswith("/"):
            raise _invalid("include", f"include has {pattern!r}: use shell patterns over relative paths, as '*.csv'")
        if pattern.count("[") and "]" not in pattern[pattern.index("[") :]:
            raise _invalid("include", f"include has {pattern!r}: the [ is never closed")


def check_request(*, client: str, priority: int, request_id: str) -> None:
    check_priority(priority)
    _check_length("client", client, _NAME_CHARS)
    _check_length("request_id", request_id, _NAME_CHARS)


def check_priority(priority: int) -> None:
    if not -100 <= priority <= 100:
        raise _invalid("priority", f"priority is {priority}: use -100 to 100")


def check_limits(limits: Limits) -> None:
    if limits.bandwidth_bps and limits.bandwidth_bps < _LEAST_BPS:
        raise _invalid("bandwidth_bps", f"bandwidth_bps is {limits.bandwidth_bps}: use 0 or at least {_LEAST_BPS}")
    for name, value in (
        ("running_transfers", limits.running_transfers),
        ("parts_in_flight", limits.parts_in_flight),
    ):
        if not 1 <= value <= _MOST_SLOTS:
            raise _invalid(name, f"{name} is {value}: use 1 to {_MOST_SLOTS}")


def _check_part_bytes(part_bytes: int) -> None:
    if not MIB <= part_bytes <= MAX_PART_BYTES or part_bytes % MIB:
        shown = f"{part_bytes / MIB:g}"
        raise _invalid("chunk_size_mb", f"chunk_size_mb is {shown}: use a whole number of MiB, 1 to 5120")


def _check_version(spec: UploadSpec) -> None:
    given = [name for name in _NEW_ASSET_FIELDS if getattr(spec, name)]
    if given:
        message = f"{given[0]} is for a new asset, and asset_id names one that exists: leave one of them out"
        raise _invalid(given[0], message)


def _check_new_asset(spec: UploadSpec) -> None:
    if not spec.title.strip():
        raise _invalid("title", "title is empty: a new asset needs one")
    _check_length("title", spec.title, _TITLE_CHARS)
    _check_length("description", spec.description, _DESCRIPTION_CHARS)
    if spec.owner_type not in _OWNER_TYPES:
        raise _invalid("owner_type", f"owner_type is {spec.owner_type!r}: use 'project' or 'user'")
    if not spec.owner_id:
        raise _invalid("owner_id", "owner_id is empty: name the project or user that will own the asset")
    _check_finite("metadata", spec.metadata)


def _check_finite(where: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _invalid("metadata", f"{where} is {value}: numbers must be finite")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_finite(f"{where}.{key}", inner)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            _check_finite(f"{where}[{at}]", inner)


def _check_absolute(field: str, path: str) -> None:
    if not path or "\0" in path or not PurePosixPath(path).is_absolute():
        raise _invalid(field, f"{field} has {path!r}: use absolute paths")


def _check_length(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise _invalid(field, f"{field} has {len(text)} characters: at most {most}")


def _invalid(field: str, message: str) -> FerryError:
    return FerryError("INVALID_ARGUMENT", message, field=field)
