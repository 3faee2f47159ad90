"""What `--json` prints: one event a line, of a versioned schema that `docs/cli-json.md` writes down. Pure."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.progress import TransferInfo

#: In every event. The number changes when a field goes or changes its meaning; new fields and events may come.
SCHEMA: Final = "ferry.v1"


def line(event: str, data: object, now: datetime) -> str:
    """One event as a line, without its end. Only ASCII, so that no locale can spoil it."""
    return json.dumps({"schema": SCHEMA, "event": event, "time": plain(now), "data": plain(data)}, allow_nan=False)


def plain(value: object) -> Any:
    """A value as JSON holds it: dataclasses as objects, times in UTC as ISO 8601."""
    if isinstance(value, DaemonError):
        return _error(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def transfer(info: TransferInfo) -> dict[str, Any]:
    """The payload of a `transfer` event."""
    return {**plain(info), "settled": info.settled}


def _error(error: DaemonError) -> dict[str, Any]:
    from ferryman.cli.faults import next_step

    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "next_step": next_step(error),
        "retryable": error.retryable,
    }
