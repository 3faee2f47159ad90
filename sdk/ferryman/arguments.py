"""Checks and converts what callers pass, before anything is sent. Upload step 1.

Every refusal is `DaemonError("invalid_argument", …)` naming the argument and what it may be. Pure but for the current
directory and home, which relative paths need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

from ferryman.errors import invalid

StrPath = str | os.PathLike[str]

OWNER_TYPES: Final = ("project", "user")
ANALYSIS_MODES: Final = (
    "non_destructive",
    "altering",
    "destructive",
    "in_situ",
    "ex_situ",
    "invasive",
    "non_invasive",
)
_MAX_PAGE: Final = 1_000


class HasAssetId(Protocol):
    """An upload's or download's result, an asset's metadata, a content version."""

    @property
    def asset_id(self) -> str: ...


class HasProjectId(Protocol):
    """A project."""

    @property
    def project_id(self) -> str: ...


class HasCollectionId(Protocol):
    """A collection."""

    @property
    def collection_id(self) -> str | None: ...


class HasContentId(Protocol):
    """A content version, or an upload's or download's result."""

    @property
    def content_id(self) -> str | None: ...


class HasTransferId(Protocol):
    """A transfer's information or result."""

    @property
    def transfer_id(self) -> str: ...


AssetRef = str | HasAssetId
ProjectRef = str | HasProjectId
CollectionRef = str | HasCollectionId | HasProjectId
ContentRef = str | HasContentId
TransferRef = str | HasTransferId


def reference(value: object, field: str, *attributes: str) -> str:
    """The id in an argument: text (an id or an alias), or the first of the attributes that a result object has."""
    for attribute in attributes:
        found = getattr(value, attribute, None)
        if isinstance(found, str) and found:
            return found
    if isinstance(value, str) and value:
        return text(value, field)
    wanted = " or an object with ".join(("an id or alias as text", *attributes))
    raise invalid(field, f"{field} must be {wanted}, not {value!r}")


def text(value: object, field: str) -> str:
    """Text that can be sent: a str that is valid Unicode."""
    if not isinstance(value, str):
        raise invalid(field, f"{field} must be text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(field, f"{field} is not valid Unicode: {value!r}") from None
    return str(value)


def optional_text(value: object, field: str) -> str:
    """Text, or empty for None."""
    return "" if value is None else text(value, field)


def texts(value: object, field: str) -> list[str]:
    """A list of texts; empty for None. One text alone is refused: its letters are not what was meant."""
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise invalid(field, f"{field} must be a list of texts, not {value!r}")
    return [text(item, field) for item in value]


def choice(value: object, field: str, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        raise invalid(field, f"{field} must be one of {', '.join(allowed)}, not {value!r}")
    return str(value)


def whole(value: object, field: str, least: int, most: int) -> int:
    """A whole number within limits, both included."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(field, f"{field} must be a whole number from {least:,} to {most:,}, not {value!r}")
    return int(value)


def page_size(value: object) -> int:
    """The size of a page: 0 for the server's default of 50, at most 1,000."""
    return whole(value, "page_size", 0, _MAX_PAGE)


def seconds(value: object, field: str) -> float | None:
    """A time to wait, in seconds; None waits without end."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise invalid(field, f"{field} must be a number of seconds, 0 or more, not {value!r}")
    return float(value) if value < 1e9 else None


def iso_time(value: object, field: str) -> str:
    """An ISO 8601 time as given, or that of a datetime; empty for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    given = text(value, field)
    try:
        datetime.fromisoformat(given)
    except ValueError:
        raise invalid(field, f"{field} must be an ISO 8601 time such as 2026-03-01T12:00:00Z, not {given!r}") from None
    return given


def local_path(value: StrPath, field: str) -> str:
    """An absolute path: `~` expanded, a relative one taken from the current directory; links are not followed."""
    try:
        given = os.fspath(value)
    except TypeError:
        raise invalid(field, f"{field} must be a path, not {value!r}") from None
    given = os.fsdecode(given)
    if not given or "\0" in given:
        raise invalid(field, f"{field} must be a path, not {given!r}")
    return text(os.path.abspath(os.path.expanduser(given)), field)  # noqa: PTH100,PTH111 - pathlib keeps `..`


def local_paths(value: StrPath | Iterable[StrPath], field: str) -> list[str]:
    """One path, or a list of them."""
    if isinstance(value, str | bytes | os.PathLike):
        return [local_path(value, field)]
    if not isinstance(value, Iterable):
        raise invalid(field, f"{field} must be a path or a list of paths, not {value!r}")
    paths = [local_path(item, field) for item in value]
    if not paths:
        raise invalid(field, f"{field} is an empty list; name at least one file or directory")
    return paths


def client_name() -> str:
    """Names this process to the daemon, which shares its slots fairly between processes."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""  # noqa: PTH119 - no Path on the hot path
    return f"{program.encode('ascii', 'replace').decode()[:48] or 'python'}:{os.getpid()}"
