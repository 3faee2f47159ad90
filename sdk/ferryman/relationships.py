"""Relationships: which asset came from which, and how. Catalogue calls, forwarded by the daemon.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ferryapi.hub.v1 import relationship_service_pb2 as pb
from ferryman import arguments
from ferryman.aio import AsyncClient
from ferryman.call import Call, Listing
from ferryman.client import Client
from ferryman.convert import from_struct, moment, to_struct
from ferryman.errors import invalid
from ferryman.pages import AsyncPage, Page
from ferryman.types import Lineage, LineageAsset, Relationship

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.hub.v1.RelationshipService/"
_LIST_DIRECTIONS: Final = {
    "both": pb.DIRECTION_BOTH,
    "out": pb.DIRECTION_ORIGINS,
    "in": pb.DIRECTION_DERIVED,
}
_LINEAGE_DIRECTIONS: Final = {
    "origins": pb.DIRECTION_ORIGINS,
    "derived": pb.DIRECTION_DERIVED,
    "both": pb.DIRECTION_BOTH,
}


def _parse(message: Any) -> Relationship:
    return Relationship(
        relationship_id=message.relationship_id,
        type=message.type,
        from_asset_id=message.from_asset_id,
        to_asset_id=message.to_asset_id,
        analysis_mode=message.analysis_mode or None,
        qualifier_note=message.qualifier_note or None,
        qualifier_time=message.qualifier_time or None,
        qualifiers=from_struct(message.qualifiers),
        related_asset=_summary(message.related_asset) if message.HasField("related_asset") else None,
        created_at=moment(message, "create_time"),
        created_by=message.created_by,
    )


def _summary(asset: Any) -> dict[str, Any]:
    return {
        "id": asset.asset_id,
        "title": asset.title,
        "alias": asset.alias or None,
        "latest_content_id": asset.latest_content_id or None,
    }


def _lineage(message: Any) -> Lineage:
    return Lineage(
        assets=[
            LineageAsset(
                asset_id=found.asset.asset_id,
                title=found.asset.title,
                alias=found.asset.alias or None,
                latest_content_id=found.asset.latest_content_id or None,
                depth=found.depth,
            )
            for found in message.assets
        ],
        relationships=[_parse(link) for link in message.relationships],
        truncated=message.truncated,
    )


def _type(rel_type: str | None, relationship_type: str | None) -> str:
    if rel_type is not None and relationship_type is not None and rel_type != relationship_type:
        raise invalid(
            "rel_type",
            f"rel_type is {rel_type!r} and relationship_type is {relationship_type!r}; they mean the same: pass one",
        )
    given = rel_type if rel_type is not None else relationship_type
    if given is None:
        raise invalid("rel_type", "rel_type is missing; pass a verb such as 'derived_from'")
    return arguments.text(given, "rel_type")


def create_call(
    from_asset_id: arguments.AssetRef,
    to_asset_id: arguments.AssetRef,
    rel_type: str | None,
    *,
    relationship_type: str | None,
    analysis_mode: str | None,
    qualifier_note: str | None,
    qualifier_time: str | datetime | None,
    qualifiers: Mapping[str, Any] | None,
) -> Call[Relationship]:
    """The call of `create_relationship`."""
    mode = "" if analysis_mode is None else arguments.choice(analysis_mode, "analysis_mode", arguments.ANALYSIS_MODES)
    link = pb.Relationship(
        from_asset_id=arguments.reference(from_asset_id, "from_asset_id", "asset_id"),
        to_asset_id=arguments.reference(to_asset_id, "to_asset_id", "asset_id"),
        type=_type(rel_type, relationship_type),
        analysis_mode=mode,
        qualifier_note=arguments.optional_text(qualifier_note, "qualifier_note"),
        qualifier_time=arguments.iso_time(qualifier_time, "qualifier_time"),
        qualifiers=to_struct(qualifiers, "qualifiers"),
    )
    request = pb.CreateRelationshipRequest(relationship=link, request_id=str(uuid.uuid4()))
    return Call(f"{_SERVICE}CreateRelationship", request, pb.Relationship, _parse)


def _list(asset: arguments.AssetRef, direction: str, page_size: int, page_token: str) -> Listing[Relationship]:
    request = pb.ListRelationshipsRequest(
        asset_id=arguments.reference(asset, "asset", "asset_id"),
        direction=_LIST_DIRECTIONS[arguments.choice(direction, "direction", tuple(_LIST_DIRECTIONS))],
        page_size=arguments.page_size(page_size),
        page_token=arguments.text(page_token, "page_token"),
    )
    return Listing(f"{_SERVICE}ListRelationships", request, pb.ListRelationshipsResponse, "relationships", _parse)


def _delete(relationship: str | Relationship) -> Call[None]:
    relationship_id = arguments.reference(relationship, "relationship", "relationship_id")
    request = pb.DeleteRelationshipRequest(relationship_id=relationship_id)
    return Call(f"{_SERVICE}DeleteRelationship", request, pb.DeleteRelationshipResponse, lambda _: None)


def _get_lineage(asset: arguments.AssetRef, direction: str, max_depth: int, max_assets: int) -> Call[Lineage]:
    request = pb.GetLineageRequest(
        asset_id=arguments.reference(asset, "asset", "asset_id"),
        direction=_LINEAGE_DIRECTIONS[arguments.choice(direction, "direction", tuple(_LINEAGE_DIRECTIONS))],
        max_depth=arguments.whole(max_depth, "max_depth", 0, 100),
        max_assets=arguments.whole(max_assets, "max_assets", 0, 10_000),
    )
    return Call(f"{_SERVICE}GetLineage", request, pb.Lineage, _lineage)


class Relationships:
    """`client.relationships`: provenance links between assets, and what follows from them.

    Example:
        client.relationships.create(result, raw, "derived_from")
    """

    create = Client.create_relationship

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self, asset: arguments.AssetRef, *, direction: str = "both", page_size: int = 0, page_token: str = ""
    ) -> Page[Relationship]:
        """List the links of an asset, oldest first.

        `direction` is `out` for links that start here (to origins), `in` for links that point here (from what was made
        of it), or `both`. `page_size` is how many are fetched at a time: 0 means 50, at most 1,000.

        Errors: `not_found`, `invalid_argument`.

        Example:
            derived = [link.from_asset_id for link in client.relationships.list(raw, direction="in")]
        """
        return Page(self._connection, _list(asset, direction, page_size, page_token))

    def delete(self, relationship: str | Relationship) -> None:
        """Delete a link. Needs write on its source. Errors: `not_found`, `permission_denied`.

        Example:
            client.relationships.delete(link)
        """
        self._connection.run(_delete(relationship))

    def lineage(
        self, asset: arguments.AssetRef, *, direction: str = "origins", max_depth: int = 0, max_assets: int = 0
    ) -> Lineage:
        """Get everything an asset came from (`origins`), everything made from it (`derived`), or `both`.

        At most `max_depth` links away (0 means 100, the most) and `max_assets` assets (0 means 1,000, at most 10,000);
        `truncated` tells when that cut something off. Cycles are allowed. Errors: `not_found`, `invalid_argument`.

        Example:
            for found in client.relationships.lineage(result).assets:
                print(found.depth, found.title)
        """
        return self._connection.run(_get_lineage(asset, direction, max_depth, max_assets))


class AsyncRelationships:
    """`client.relationships` of `AsyncClient`: as `Relationships`, awaited.

    Example:
        await client.relationships.create(result, raw, "derived_from")
    """

    create = AsyncClient.create_relationship

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def list(
        self, asset: arguments.AssetRef, *, direction: str = "both", page_size: int = 0, page_token: str = ""
    ) -> AsyncPage[Relationship]:
        """List the links of an asset, as `Relationships.list`; for `async for`."""
        return AsyncPage(self._connection, _list(asset, direction, page_size, page_token))

    async def delete(self, relationship: str | Relationship) -> None:
        """Delete a link, as `Relationships.delete`."""
        await self._connection.run(_delete(relationship))

    async def lineage(
        self, asset: arguments.AssetRef, *, direction: str = "origins", max_depth: int = 0, max_assets: int = 0
    ) -> Lineage:
        """Get everything an asset came from or was made into, as `Relationships.lineage`."""
        return await self._connection.run(_get_lineage(asset, direction, max_depth, max_assets))
