"""CollectionService at the edge: parse, call the catalogue, convert. No decision and no SQL here."""

from __future__ import annotations

from typing import Any

from ferryapi.hub.v1 import collection_service_pb2 as pb
from ferryhub.catalogue import collections
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.paging import PageSeal
from ferryhub.rpc import convert
from ferryhub.rpc.caller import caller


class CollectionService:
    """Serves `ferryapi.hub.v1.CollectionService`."""

    def __init__(self, database: Database, pages: PageSeal) -> None:
        self._database = database
        self._pages = pages

    async def create_collection(self, request: pb.CreateCollectionRequest, _ctx: Any) -> pb.Collection:
        """Creates a collection."""
        new = collections.NewCollection(request.name, request.parent_id, request.alias, request.description)
        row = await self._database.write(collections.create, caller(), new, request_id=request.request_id)
        return convert.collection(row)

    async def get_collection(self, request: pb.GetCollectionRequest, _ctx: Any) -> pb.Collection:
        """Gets a collection."""
        return convert.collection(await self._database.read(collections.get, caller(), request.collection_id))

    async def list_collections(self, request: pb.ListCollectionsRequest, _ctx: Any) -> pb.ListCollectionsResponse:
        """Lists the collections below another."""
        actor, query = caller(), ("ListCollections", request.parent_id)
        page = self._pages.page(request.page_size, request.page_token, actor, *query)
        rows, after = await self._database.read(collections.listing, actor, request.parent_id, page)
        token = self._pages.token(after, actor, *query)
        return pb.ListCollectionsResponse(collections=map(convert.collection, rows), next_page_token=token)
