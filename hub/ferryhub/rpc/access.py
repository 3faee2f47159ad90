"""AccessService at the edge: parse, call the catalogue, convert. No decision and no SQL here."""

from __future__ import annotations

from typing import Any

from ferryapi.hub.v1 import access_service_pb2 as pb
from ferryhub.catalogue import grants
from ferryhub.catalogue.actor import SCOPES
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.paging import PageSeal
from ferryhub.rpc import convert
from ferryhub.rpc.caller import caller


class AccessService:
    """Serves `ferryapi.hub.v1.AccessService`."""

    def __init__(self, database: Database, pages: PageSeal) -> None:
        self._database = database
        self._pages = pages

    async def get_identity(self, _request: pb.GetIdentityRequest, _ctx: Any) -> pb.Identity:
        """Gets the caller."""
        actor = caller()
        scopes = [scope for scope in SCOPES if scope in actor.scopes]
        expires = None if actor.expires_at is None else convert.timestamp(actor.expires_at)
        return pb.Identity(principal_id=actor.principal_id, email=actor.email, scopes=scopes, expire_time=expires)

    async def set_grant(self, request: pb.SetGrantRequest, _ctx: Any) -> pb.Grant:
        """Gives a role."""
        given = request.grant
        row = await self._database.write(grants.set_grant, caller(), given.resource_id, given.principal_id, given.role)
        return convert.grant(row)

    async def list_grants(self, request: pb.ListGrantsRequest, _ctx: Any) -> pb.ListGrantsResponse:
        """Lists the roles on a resource."""
        actor, query = caller(), ("ListGrants", request.resource_id)
        page = self._pages.page(request.page_size, request.page_token, actor, *query)
        rows, after = await self._database.read(grants.listing, actor, request.resource_id, page)
        token = self._pages.token(after, actor, *query)
        return pb.ListGrantsResponse(grants=map(convert.grant, rows), next_page_token=token)

    async def remove_grant(self, request: pb.RemoveGrantRequest, _ctx: Any) -> pb.RemoveGrantResponse:
        """Takes a role away."""
        await self._database.write(grants.remove, caller(), request.resource_id, request.principal_id)
        return pb.RemoveGrantResponse()
