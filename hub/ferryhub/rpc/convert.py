"""Rows of the catalogue as messages of `ferryapi.hub.v1`, and free data both ways. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from ferryapi.hub.v1 import access_service_pb2 as access_pb
from ferryapi.hub.v1 import asset_service_pb2 as asset_pb
from ferryapi.hub.v1 import collection_service_pb2 as collection_pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryapi.hub.v1 import relationship_service_pb2 as relationship_pb
from ferryhub.catalogue.lineage import Lineage

_STATES: Final = {"draft": asset_pb.Asset.State.DRAFT, "ready": asset_pb.Asset.State.READY}
#: Whole numbers up to here are exact in a double, the only number a Struct has.
_EXACT: Final = float(1 << 53)


def timestamp(time_us: int) -> Timestamp:
    """Microseconds since the epoch as a timestamp."""
    made = Timestamp()
    _fill_timestamp(made, time_us)
    return made


def _fill_timestamp(made: Timestamp, time_us: int) -> None:
    made.seconds, us = divmod(time_us, 1_000_000)
    made.nanos = us * 1000


def struct(encoded: str) -> Struct:
    """A JSON object's text as a Struct."""
    made = Struct()
    _fill_struct(made, encoded)
    return made


def _fill_struct(made: Struct, encoded: str) -> None:
    made.SetInParent()  # there, even with nothing in it
    if encoded != "{}":
        made.update(json.loads(encoded))


def plain(given: Struct) -> dict[str, Any]:
    """A Struct as plain data; whole numbers become integers, not-finite ones stay for the domain to refuse."""
    return {key: _plain_value(value) for key, value in given.fields.items()}


def _plain_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain_value(each) for each in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _EXACT else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def project(row: Row[Any]) -> project_pb.Project:
    """A project with its default allocation."""
    return project_pb.Project(
        project_id=row.id,
        name=row.name,
        description=row.description,
        alias=row.alias,
        root_collection_id=row.root_collection_id,
        default_allocation=project_pb.Allocation(
            allocation_id=row.default_allocation_id,
            storage_location=row.storage_location,
            quota_bytes=row.quota_bytes,
            used_bytes=row.used_bytes,
        ),
        create_time=timestamp(row.created_at),
        created_by=row.created_by,
    )


def collection(row: Row[Any]) -> collection_pb.Collection:
    """A collection."""
    return collection_pb.Collection(
        collection_id=row.id,
        name=row.name,
        alias=row.alias,
        parent_id=row.parent_id or "",
        path=row.path,
        owner_type=row.owner_type,
        owner_id=row.owner_id,
        description=row.description,
        create_time=timestamp(row.created_at),
    )


def asset(row: Row[Any]) -> asset_pb.Asset:
    """An asset with its metadata."""
    made = asset_pb.Asset(
        asset_id=row.id,
        title=row.title,
        description=row.description,
        alias=row.alias,
        tags=json.loads(row.tags),
        owner_type=row.owner_type,
        owner_id=row.owner_id,
        collection_id=row.collection_id,
        state=_STATES[row.state],
        latest_content_id=row.latest_content_id,
        size_bytes=row.size_bytes,
        file_count=row.file_count,
        created_by=row.created_by,
        etag=row.etag,
    )
    _fill_struct(made.metadata, row.metadata)
    _fill_timestamp(made.create_time, row.created_at)
    _fill_timestamp(made.update_time, row.updated_at)
    return made


def asset_summary(row: Row[Any]) -> relationship_pb.AssetSummary:
    """The few fields of an asset that a lineage shows."""
    return relationship_pb.AssetSummary(
        asset_id=row.id, title=row.title, alias=row.alias, latest_content_id=row.latest_content_id
    )


def link(row: Row[Any]) -> relationship_pb.Relationship:
    """A link on its own."""
    return relationship_pb.Relationship(
        relationship_id=row.id,
        from_asset_id=row.from_asset_id,
        to_asset_id=row.to_asset_id,
        type=row.type,
        analysis_mode=row.analysis_mode,
        qualifier_note=row.qualifier_note,
        qualifier_time=row.qualifier_time,
        qualifiers=struct(row.qualifiers),
        create_time=timestamp(row.created_at),
        created_by=row.created_by,
    )


def lineage(found: Lineage) -> relationship_pb.Lineage:
    """Thousands of assets and links: rows are taken apart by place and messages filled where they are, which takes a
    quarter of the time that names and copies do."""
    made = relationship_pb.Lineage(truncated=found.truncated)
    add_asset, add_link = made.assets.add, made.relationships.add
    for row, depth in found.assets.values():
        _fill_summary(add_asset(depth=depth).asset, row)
    for row in found.links.values():
        _fill_link(add_link(), row)
    return made


def _fill_summary(made: relationship_pb.AssetSummary, row: Any) -> None:
    made.asset_id, _, made.title, made.alias, made.latest_content_id = row


def _fill_link(made: relationship_pb.Relationship, row: Any) -> None:
    made.relationship_id, created_at, made.from_asset_id, made.to_asset_id, *said, qualifiers, made.created_by = row
    made.type, made.analysis_mode, made.qualifier_note, made.qualifier_time = said
    _fill_timestamp(made.create_time, created_at)
    _fill_struct(made.qualifiers, qualifiers)


def seen_link(row: Row[Any]) -> relationship_pb.Relationship:
    """A link with the asset at its other end, which is left out when the caller may not see it."""
    made = link(row)
    if row.other_id is not None:
        other = relationship_pb.AssetSummary(
            asset_id=row.other_id,
            title=row.other_title,
            alias=row.other_alias,
            latest_content_id=row.other_latest_content_id,
        )
        made.related_asset.CopyFrom(other)
    return made


def grant(row: Row[Any]) -> access_pb.Grant:
    """A grant with the principal's e-mail address."""
    return access_pb.Grant(principal_id=row.principal_id, email=row.email, resource_id=row.resource_id, role=row.role)
