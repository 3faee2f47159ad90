"""What the catalogue's calls return: frozen dataclasses of plain Python values, for projects, assets and provenance.

Times are `datetime` in UTC with their zone, sizes are bytes. What transfers return is in `progress.py`, what the daemon
says of itself in `reports.py`: each class costs half a millisecond to import. Nothing here knows protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Allocation:
    """A project's share of a storage location: how many bytes there may be, and how many are used."""

    allocation_id: str
    storage_location: str
    quota_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class Project:
    """An owner of assets.

    `root_collection_id` is the collection that all others of the project are below; `default_allocation` is where its
    bytes go unless something else is said.
    """

    project_id: str
    name: str
    description: str
    alias: str | None
    root_collection_id: str
    default_allocation: Allocation
    created_at: datetime | None
    created_by: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of a project's tree.

    `parent` is the id of the collection above, None for a root. `path` holds the names from the root, each after `/`.
    """

    collection_id: str
    name: str
    alias: str | None
    parent: str | None
    path: str
    owner_type: str
    owner_id: str
    description: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class AssetMetadata:
    """A dataset's metadata, with the size of its newest content in bytes.

    `state` is `draft` until the first upload is committed, then `ready`. Numbers in `metadata` that are whole come back
    as int: the store does not keep 1 and 1.0 apart. `etag` changes with every update.
    """

    asset_id: str
    title: str
    description: str
    alias: str | None
    tags: list[str]
    metadata: dict[str, Any]
    owner_type: str
    owner_id: str
    collection_id: str | None
    state: str
    latest_content_id: str | None
    size_bytes: int
    file_count: int
    created_at: datetime | None
    updated_at: datetime | None
    created_by: str
    etag: str


@dataclass(frozen=True, slots=True)
class Content:
    """One immutable version of an asset's bytes. `version` counts from 1; `digest` is `xxh3b:` and 32 hex digits."""

    content_id: str
    asset_id: str
    version: int
    digest: str
    size_bytes: int
    file_count: int
    message: str
    created_at: datetime | None
    created_by: str


@dataclass(frozen=True, slots=True)
class Relationship:
    """A directed provenance link from a dependent asset to its origin.

    `related_asset` is the other asset, seen from the one asked about: a dict with `id`, `title`, `alias` and
    `latest_content_id`, or None when the caller may not see it. `qualifier_time` is ISO 8601, as it was given.
    """

    relationship_id: str
    type: str
    from_asset_id: str
    to_asset_id: str
    analysis_mode: str | None
    qualifier_note: str | None
    qualifier_time: str | None
    qualifiers: dict[str, Any]
    related_asset: dict[str, Any] | None
    created_at: datetime | None
    created_by: str


@dataclass(frozen=True, slots=True)
class LineageAsset:
    """An asset of a lineage. `depth` is the fewest links from the asset asked about, 0 for itself."""

    asset_id: str
    title: str
    alias: str | None
    latest_content_id: str | None
    depth: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """Assets, nearest first, and the links between them. `truncated` is True when a limit cut something off."""

    assets: list[LineageAsset]
    relationships: list[Relationship]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A principal's role (`viewer`, `editor` or `owner`) on a resource and everything below it."""

    principal_id: str
    email: str
    resource_id: str
    role: str
