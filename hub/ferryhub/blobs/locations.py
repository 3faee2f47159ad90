"""Where a caller reads or writes bytes: what SignParts (upload step 8) and GetDownload (D7) hand out. No logic here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UrlLocation:
    """A signed URL, absolute or relative to the hub's address. `expires_at` is seconds since the epoch."""

    url: str
    expires_at: int
    #: Headers that are signed too and must be sent.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The hub does not see what arrives there: whoever sent a part tells it with RecordParts.
    report: bool = False


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A file of this machine, and where in it the bytes start."""

    path: Path
    offset: int = 0


Location = UrlLocation | FileLocation
