"""Where a caller reads or writes bytes: what SignParts (upload step 8) and GetDownload (D7) hand out. No logic here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UrlLocation:
    """A signed URL, relative to the hub's address. `expires_at` is seconds since the epoch."""

    url: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A file of this machine, and where in it the bytes start."""

    path: Path
    offset: int = 0


Location = UrlLocation | FileLocation
