"""RelationshipService at the edge: parse, call the catalogue, convert. No decision and no SQL here."""

from __future__ import annotations

from typing import Any, Final

from ferryapi.hub.v1 import relationship_service_pb2 as pb
from ferryhub.catalogue import lineage, relationships
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.paging import PageSeal
from ferryhub.catalogue.relationships import Direction
from ferryhub.catalogue.validation import invalid
from ferryhub.rpc import convert
from ferryhub.rpc.caller import caller

_DIRECTIONS: Final[dict[int, Direction]] = {
    pb.Direction.DIRECTION_ORIGINS: "origins",
    pb.Direction.DIRECTION_DERIVED: "derived",
    pb.Direction.DIRECTION_BOTH: "both",
}


class RelationshipService:
    """Serves `ferryapi.hub.v1.RelationshipService`."""

    def __init__(self, database: Database, pages: PageSeal) -> None:
        self._database = database
        self._pages = pages

    async def create_relationship(self, request: pb.CreateRelationshipRequest, _ctx: Any) -> pb.Relationship:
        """Creates a link."""
        given = request.relationship
        new = relationships.NewRelationship(
            from_asset_id=given.from_asset_id,
            to_asset_id=given.to_asset_id,
            type=given.type,
            analysis_mode=given.analysis_mode,
            qualifier_note=given.qualifier_note,
            qualifier_time=given.qualifier_time,
            qualifiers=convert.plain(given.qualifiers),
        )
        row = await self._database.write(relationships.create, caller(), new, request_id=request.request_id)
        return convert.seen_link(row)

    async def list_relationships(self, request: pb.ListRelationshipsRequest, _ctx: Any) -> pb.ListRelationshipsResponse:
        """Lists the links of an asset."""
        actor, way = caller(), _direction(request.direction, "both")
        query = ("ListRelationships", request.asset_id, way)
        page = self._pages.page(request.page_size, request.page_token, actor, *query)
        rows, after = await self._database.read(relationships.listing, actor, request.asset_id, way, page)
        token = self._pages.token(after, actor, *query)
        return pb.ListRelationshipsResponse(relationships=map(convert.seen_link, rows), next_page_token=token)

    async def delete_relationship(
        self, request: pb.DeleteRelationshipRequest, _ctx: Any
    ) -> pb.DeleteRelationshipResponse:
        """Deletes a link."""
        await self._database.write(relationships.remove, caller(), request.relationship_id)
        return pb.DeleteRelationshipResponse()

    async def get_lineage(self, request: pb.GetLineageRequest, _ctx: Any) -> pb.Lineage:
        """Gets an asset's ancestors or descendants."""
        how = lineage.Walk(
            _direction(request.direction, "origins"),
            request.max_depth or lineage.MAX_DEPTH,
            request.max_assets or lineage.DEFAULT_ASSETS,
        )
        found = await self._database.read(lineage.walk, caller(), request.asset_id, how)
        return convert.lineage(found)


def _direction(given: int, default: Direction) -> Direction:
    if given == pb.Direction.DIRECTION_UNSPECIFIED:
        return default
    if given not in _DIRECTIONS:
        raise invalid("direction", f"{given} is none that this hub knows")
    return _DIRECTIONS[given]
